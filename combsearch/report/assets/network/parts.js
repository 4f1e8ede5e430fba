"use strict";
// What stands around the drawing of a network: its score, the tools, the key, the facts; and
// what its file says.
const NetworkParts = (() => {
  const number = d3.format(".3~g");
  const span = (name, text = "") => Page.element("span", { class: name }, text);

  function figure(name) {
    const [value, note] = [span("figure"), span("note")];
    return { element: Page.element("div", {}, span("name", name), value, note), note, value };
  }

  /** "14 weights, 8 biases" */
  function split({ net, nonzeros }) {
    const biases = Connectivity.biases(net);
    return [[nonzeros - biases, "weight", "weights"], [biases, "bias", "biases"]]
      .map(([count, one, several]) => `${Page.whole(count)} ${count === 1 ? one : several}`).join(", ");
  }

  /** The score: accuracy and counts, with what they were before anything was changed. */
  function scores(task, hasPoints) {
    const [accuracy, nonzeros, effective] = ["accuracy", "nonzeros", "effective nonzeros"].map(figure);
    const element = Page.element("div", { class: "score" }, hasPoints ? accuracy.element : null, nonzeros.element, effective.element);

    function show(now, first) {
      if (hasPoints) {
        const [share, was] = [now.correct / now.count, first.correct / first.count];
        const all = task.shown < task.points ? ` shown of ${Page.whole(task.points)}` : "";
        accuracy.value.textContent = `${now.rough ? "about " : ""}${Page.percent(share)}`;
        accuracy.note.textContent = `${Page.whole(now.correct)} of ${Page.whole(now.count)} points${all}${share === was || now.rough ? "" : `, was ${Page.percent(was)}`}`;
      }
      nonzeros.value.textContent = Page.whole(now.nonzeros);
      nonzeros.note.textContent = `${split(now)}${now.nonzeros === first.nonzeros ? "" : `; was ${Page.whole(first.nonzeros)}`}`;
      effective.value.textContent = Page.whole(now.effective);
      effective.note.textContent = now.effective === first.effective ? "connected ones" : `was ${Page.whole(first.effective)}`;
    }

    const spoken = () => [...(hasPoints ? [`Accuracy ${accuracy.value.textContent}`] : []), `${nonzeros.value.textContent} nonzeros`, `${effective.value.textContent} effective`].join(", ");
    return { element, show, spoken };
  }

  let radios = 0; // several networks on one page: names of their radio buttons must differ

  /** One of two ways that a click can be meant. */
  function clicks() {
    radios += 1;
    const one = (text, checked) => {
      const input = Page.element("input", { type: "radio", name: `clicks-${radios}`, checked });
      return { input, label: Page.element("label", {}, input, ` ${text}`) };
    };
    const [switches, selects] = [one("switch off or on", true), one("only select", false)];
    const element = Page.element("fieldset", { class: "clicks" }, Page.element("legend", {}, "A click will"), switches.label, selects.label);
    return { element, switches: () => switches.input.checked };
  }

  const entry = (sample, ...texts) => Page.element("li", {}, span(`sample ${sample}`), Page.element("span", {}, ...texts));

  /** What the colours of classes mean: of regions over the plane, else of bars; and of points. */
  function classKey({ outputs, plane, points }) {
    if (!plane && !points) return [];
    const list = (name, ...before) => Page.element("li", { class: "classes" }, ...before, d3.range(Math.max(2, outputs))
      .flatMap((label) => [span(`sample ${name} of-${outputs > 2 ? `class-${label % 8}` : ["orange", "blue"][label]}`), span("", `class ${label}`)]));
    if (!plane) return [list("solid")];
    const ramp = (before, ...behind) => Page.element("li", {}, span("", before), span("sample plane"), ...behind.map((text) => span("", text)));
    return [
      ...(outputs > 2 ? [list("tint", span("", "region of"))] : [ramp("output: class 0", "class 1; fainter is less sure")]),
      entry("boundary", "boundary between classes"),
      points ? list("dot", span("", "point of")) : null,
      points ? entry("wrong", "point that is classified wrong") : null,
      ramp(`${outputs > 1 ? "an input or output" : "an input"} below 0`, "above 0"),
    ];
  }

  /** What edges, squares and pictures mean. */
  function key({ norm, outputs, plane, points }) {
    return Page.element("ul", { class: "key" }, classKey({ outputs, plane, points }),
      Page.element("li", {}, span("", `weight −${number(norm)}`), span("sample wedge"), span("", `+${number(norm)}`)),
      entry("square", "bias, same colours"),
      plane ? Page.element("li", {}, span("", "activation 0"), span("sample ramp"), span("", "its largest")) : null,
      !plane && points ? entry("two", "share of each class that activates a neuron") : null,
      !plane && points ? entry("two", outputs === 1 ? "output: how its values are spread; right of the line it says class 1" : "at the end: share of each class that is told right") : null,
      plane || points ? entry("crossed", points ? "dead: active at no point" : "dead: active nowhere") : null,
      entry("dashed", "disconnected"), entry("dotted", "switched off"));
  }

  function tools(hasPoints) {
    const [undo, redo, reset, download] = [
      Page.button("Undo", () => {}, { title: "Ctrl+Z" }), Page.button("Redo", () => {}, { title: "Ctrl+Shift+Z" }),
      Page.button("Reset", () => {}, { title: "The network as it came" }), Page.button("Download network", () => {}, { class: "download" }),
    ];
    const click = clicks();
    const box = Page.element("input", { type: "checkbox", checked: true });
    const show = hasPoints ? Page.element("label", { class: "points" }, box, " show the points") : null;
    const element = Page.element("div", { class: "tools" }, Page.element("div", { class: "buttons" }, undo, redo, reset, download), click.element, show);
    return { box, download, element, redo, reset, switches: click.switches, undo };
  }

  /** All parts; ``on`` tells them what to call: {take(way), download(), points()}. */
  function parts(item, task, has) {
    const score = scores(task, has.points);
    const tool = tools(has.plane && has.points);
    const stage = Page.element("div", { class: "stage", role: "group", "aria-label": "The network: arrow keys walk from neuron to edge to neuron, Enter switches, plus and minus move a weight or bias" });
    const panel = Page.element("div", {});
    const glance = Page.element("p", { class: "glance", "aria-hidden": "true" }); // on a phone the score is out of sight
    const help = Page.element("p", { class: "help quiet" }, "By keyboard: Tab to the drawing, arrow keys walk from neuron to edge to neuron, Enter switches off and on, + and − move a weight or bias.");
    const root = Page.element("section", { class: "network" },
      Page.element("div", { class: "view" },
        Page.element("div", { class: "picture" }, stage, key(has), help),
        Page.element("aside", { "aria-label": "Score and tools" }, score.element, tool.element, Page.element("div", { class: "panel" }, glance, panel))),
      Page.element("div", { class: "told" }, Page.element("h2", {}, "About this network"), Page.facts(item.about),
        Page.element("h3", {}, "Made by"), item.command ? Page.element("pre", {}, item.command) : Page.element("p", { class: "quiet" }, "The command that made it is not known.")));

    function on(handlers) {
      for (const way of ["undo", "redo", "reset"]) tool[way].addEventListener("click", () => handlers.take(way));
      tool.download.addEventListener("click", handlers.download);
      tool.box.addEventListener("change", handlers.points);
    }

    function history(editor) {
      tool.undo.disabled = !editor.canUndo();
      tool.redo.disabled = !editor.canRedo();
      const { moved, neurons, off } = editor.summary();
      tool.reset.disabled = !(moved || neurons || off);
    }

    function show(now, first) {
      score.show(now, first);
      glance.textContent = score.spoken();
    }

    return {
      history, on, panel, root, score: show, showsPoints: () => tool.box.checked, spoken: score.spoken, stage, switches: tool.switches,
    };
  }

  const counted = (count, name) => (count ? [`${count} ${name}${count > 1 ? "s" : ""}`] : []);

  /** What was changed, in words; empty where nothing was. */
  function edits(editor) {
    const { moved, neurons, off } = editor.summary();
    const [gone, told] = [[...counted(off, "parameter"), ...counted(neurons, "neuron")], counted(moved, "parameter")];
    return [...(gone.length ? [`${gone.join(" and ")} switched off`] : []), ...(told.length ? [`${told[0]} moved`] : [])].join(", ");
  }

  /** The facts of the file to download: true of the network as it stands. */
  function about(item, task, editor, now, points) {
    const { net } = now;
    const found = {
      ...item.file, shape: net.widths.join(","), mask: Npz.words(net), nonzeros: now.nonzeros, effective_nonzeros: now.effective,
      counting: Connectivity.biasesKept(net) ? "biases kept" : "biases prunable",
    };
    const told = edits(editor);
    if (told) found.edited = told;
    if (points && task.shown === task.points) Object.assign(found, { task: task.name, accuracy: now.correct / now.count });
    else if (told) delete found.accuracy; // it was another network's
    return found;
  }

  /** A name for the file: of plain signs. */
  function fileName(name, editor) {
    const plain = name.replace(/\.(npz|safetensors)$/i, "").replace(/[^A-Za-z0-9_.-]+/g, "-").replace(/^[-.]+|[-.]+$/g, "").slice(0, 80) || "network";
    return `${plain}${edits(editor) ? "-edited" : ""}.npz`;
  }

  return { about, fileName, parts };
})();
