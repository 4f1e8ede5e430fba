"use strict";
// What is selected: its picture and facts, its value to move, the switch.
const Panel = (() => {
  const short = d3.format(".6~g");
  const plain = (value) => String(Number(value.toPrecision(6)));
  const STEPS = 400;

  /** A slider, a number and a switch of one weight or bias. */
  function control(editor, target, name, range) {
    const { value } = editor.original(target);
    const most = Math.max(range, 1.5 * Math.abs(value), Math.abs(editor.state(target).value));
    const slider = Page.element("input", { type: "range", min: -most, max: most, step: most / STEPS, "aria-label": `${name}, slider` });
    const field = Page.element("input", { type: "number", step: "any", "aria-label": `${name}, value` });
    const onOff = Page.button("", () => editor.change(target, { on: !editor.state(target).on }));
    const back = Page.button("Restore", () => editor.change(target, editor.original(target)), { title: `Back to ${short(value)}` });
    slider.addEventListener("input", () => editor.change(target, { value: Number(slider.value), on: true }, true));
    slider.addEventListener("change", () => editor.settle());
    field.addEventListener("change", () => {
      const wanted = Math.fround(Number(field.value));
      if (field.value.trim() === "" || !Number.isFinite(wanted)) field.value = plain(editor.state(target).value);
      else editor.change(target, { value: wanted, on: true });
    });

    let last = NaN; // what the field shows: nothing that is being typed is lost

    function refresh() {
      const now = editor.state(target);
      if (Math.abs(now.value) > Number(slider.max)) Object.assign(slider, { min: -Math.abs(now.value), max: Math.abs(now.value) });
      if (document.activeElement !== slider || Math.abs(Number(slider.value) - now.value) > most / STEPS) slider.value = now.value;
      if (now.value !== last) field.value = plain(now.value);
      last = now.value;
      onOff.textContent = now.on ? "Switch off" : "Switch on";
      onOff.setAttribute("aria-label", `${now.on ? "Switch off" : "Switch on"} the ${name}`);
      back.disabled = now.on && now.value === value;
    }

    refresh();
    const element = Page.element("div", { class: "control" }, Page.element("div", { class: "value" }, slider, field),
      Page.element("div", { class: "buttons" }, onOff, back));
    return { element, refresh };
  }

  const upper = (text) => text[0].toUpperCase() + text.slice(1);

  /**
   * A panel. widths: of the network. range: of the sliders at least.
   * facts(target): lines of text on a neuron. picture(target, canvas): draws it, or false. closed(): it shows nothing again.
   */
  function panel(root, editor, widths, range, facts, picture, closed) {
    let [target, parts, canvas, lines, onOff] = [null, [], null, null, null];
    const close = Page.button("Close", () => { clear(); closed(); }, { class: "close" });

    function clear() {
      [target, parts, canvas, lines, onOff] = [null, [], null, null, null];
      root.classList.add("empty");
      root.replaceChildren(Page.element("p", { class: "quiet" }, "Click an edge, a neuron or the square of a bias."));
    }

    function show(wanted) {
      const shown = wanted.kind === "bias" ? { kind: "neuron", layer: wanted.layer + 1, neuron: wanted.row } : wanted;
      if (target && JSON.stringify(target) === JSON.stringify(shown)) return refresh();
      target = shown;
      root.classList.remove("empty");
      [parts, canvas, lines, onOff] = [[], null, null, null];
      const heading = Page.element("div", { class: "heading" }, Page.element("h3", {}, upper(Drawing.words(widths, target))), close);
      if (target.kind === "weight") {
        parts = [control(editor, target, "weight", range)];
        root.replaceChildren(heading, parts[0].element);
      } else root.replaceChildren(heading, ...ofNeuron());
      return refresh();
    }

    function ofNeuron() {
      const bias = { kind: "bias", layer: target.layer - 1, row: target.neuron };
      canvas = Page.element("canvas", { class: "large", "aria-hidden": "true" });
      lines = Page.element("div", { class: "lines" });
      onOff = target.layer < widths.length - 1 ? Page.button("", () => editor.change(target, { on: !editor.state(target).on })) : null;
      const made = [Page.element("div", { class: "sight" }, canvas, Page.element("div", { class: "beside" }, lines, onOff))];
      if (target.layer > 0 && editor.has(bias)) {
        parts = [control(editor, bias, "bias", range)];
        made.push(Page.element("h4", {}, "Its bias"), parts[0].element);
      }
      return made;
    }

    /** Show the values as they are now. */
    function refresh() {
      if (!target) return;
      parts.forEach((part) => part.refresh());
      if (onOff) onOff.textContent = editor.state(target).on ? "Switch neuron off" : "Switch neuron on";
      if (lines) lines.replaceChildren(...facts(target).map((text) => Page.element("p", {}, text)));
      if (canvas) canvas.hidden = picture(target, canvas) === false;
    }

    clear();
    return { refresh, show };
  }

  return { panel };
})();
