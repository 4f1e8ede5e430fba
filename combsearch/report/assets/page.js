"use strict";
// What all pages share: their data, elements, numbers, downloads, dialogs, colour scheme.
// One script file is one constant; later files use earlier ones.
const Page = (() => {
  const listeners = new Set();

  /** What Python put into the page. */
  const data = () => JSON.parse(document.getElementById("data").textContent);

  /** An element with attributes and children; texts become text and never markup. */
  function element(tag, attributes = {}, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return made;
  }

  /** A button that says what it does. */
  const button = (text, onclick, attributes = {}) =>
    element("button", { type: "button", onclick, ...attributes }, text);

  /** A definition list of [name, value] pairs; a value is a text or an element. */
  const facts = (pairs) =>
    element("dl", { class: "facts" }, pairs.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));

  /** "96.45%": cut and not rounded, so that 99.996% never reads 100%. */
  const percent = (share) => (share === null ? "–" : `${(Math.floor(Math.round(share * 1e10) / 1e6) / 100).toFixed(2)}%`);

  /** "99.5%", "0.02%": a share with as many digits as it has, no more than six. */
  const plain = (share) => `${parseFloat((share * 100).toPrecision(6))}%`;

  /** 24,576 */
  const whole = (number) => (number === null ? "–" : d3.format(",d")(number));

  function bytes(base64) {
    const text = atob(base64);
    const found = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) found[i] = text.charCodeAt(i);
    return found;
  }

  /** Little-endian float32 numbers, as Python writes them. */
  const floats = (base64) => new Float32Array(bytes(base64).buffer);

  /** Hand ``content`` (bytes or a text) to the reader as a file. */
  function save(content, name, type = "application/octet-stream") {
    const url = URL.createObjectURL(new Blob([content], { type }));
    const link = element("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  /** Head of a page: its title, what it is, and the switch between light and dark. */
  function head(title, kind) {
    return element("header", { class: "head" },
      element("div", {}, element("p", { class: "kind" }, kind), element("h1", {}, title)),
      schemeButton());
  }

  const isDark = () => (document.documentElement.dataset.scheme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

  function schemeButton() {
    const name = () => (isDark() ? "Light" : "Dark");
    const made = button(name(), () => {
      document.documentElement.dataset.scheme = isDark() ? "light" : "dark";
      made.textContent = name();
      recolour();
    }, { class: "scheme", title: "Switch between light and dark" });
    onScheme(() => { made.textContent = name(); });
    return made;
  }

  /**
   * Call ``listener`` when colours change, also before and after printing: canvases must then be
   * drawn again. Returns what ends it.
   */
  function onScheme(listener) {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  const recolour = () => [...listeners].forEach((call) => call());
  const paper = matchMedia("print");
  for (const query of [matchMedia("(prefers-color-scheme: dark)"), paper]) query.addEventListener("change", recolour);

  // A browser counts the pages, or copies the canvases, before it says that the medium is paper.
  for (const [event, begins] of [["beforeprint", true], ["afterprint", false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle("paper", begins);
      recolour();
    });
  }

  /** Whether the page is drawn for paper. */
  const isPrinting = () => paper.matches || document.documentElement.classList.contains("paper");

  const heard = (attributes = {}) => element("div", { role: "status", "aria-live": "polite", class: "unseen heard", ...attributes });
  document.body.append(heard({ id: "said" }));

  /** Say something to those who hear the page; behind an open window nothing is heard. */
  function announce(text) {
    const places = document.querySelectorAll("dialog[open] > .heard, #said");
    places[places.length - 1].textContent = text;
  }

  /** Focus an element, or the one of the same ``data-focus`` that was drawn in its place. */
  function focus(wanted) {
    const name = wanted?.dataset.focus;
    const drawnAnew = () => [...document.querySelectorAll("[data-focus]")].find((one) => one.dataset.focus === name);
    (wanted?.isConnected ? wanted : drawnAnew())?.focus({ preventScroll: true });
  }

  /** A window over the page; ``fill(root)`` makes its content. Escape and a button close it. */
  function dialog(title, fill) {
    const root = element("div", { class: "content" });
    const made = element("dialog", { class: "window", "aria-label": title },
      element("div", { class: "bar" }, element("h2", {}, title), button("Close", () => made.close())), root);
    const before = document.activeElement;
    made.addEventListener("close", () => {
      made.remove();
      if (document.activeElement === document.body) focus(before); // what opened it may have been drawn anew
    });
    made.append(heard());
    document.body.append(made);
    made.showModal();
    fill(root);
    return made;
  }

  return { announce, button, bytes, data, dialog, element, facts, floats, focus, head, isPrinting, onScheme, percent, plain, save, whole };
})();
