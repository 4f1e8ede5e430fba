"use strict";
// What all pages share: their data, elements, numbers, downloads, dialogs, colour scheme.
// One script file is one constant; later files use earlier ones.
const Page = (() => {
  const listeners = [];

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
      listeners.forEach((call) => call());
    }, { class: "scheme", title: "Switch between light and dark" });
    onScheme(() => { made.textContent = name(); });
    return made;
  }

  /** Call ``listener`` when colours change: canvases must then be drawn again. */
  function onScheme(listener) {
    listeners.push(listener);
  }
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", () => listeners.forEach((call) => call()));
  }

  /** Say something to those who hear the page. */
  function announce(text) {
    let place = document.getElementById("said");
    if (!place) {
      place = element("div", { id: "said", role: "status", "aria-live": "polite", class: "unseen" });
      document.body.append(place);
    }
    place.textContent = text;
  }

  /** A window over the page; ``fill(root)`` makes its content. Escape and a button close it. */
  function dialog(title, fill) {
    const root = element("div", { class: "content" });
    const made = element("dialog", { class: "window", "aria-label": title },
      element("div", { class: "bar" }, element("h2", {}, title), button("Close", () => made.close())), root);
    made.addEventListener("close", () => made.remove());
    document.body.append(made);
    made.showModal();
    fill(root);
    return made;
  }

  return { announce, button, bytes, data, dialog, element, facts, floats, head, isDark, onScheme, percent, save, whole };
})();
