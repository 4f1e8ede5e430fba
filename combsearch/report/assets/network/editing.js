"use strict";
// A network being edited: what is switched off, what was moved, and the way back. A target is
// {kind: "weight", layer, row, column}, {kind: "bias", layer, row} (layer 0 leads from the inputs)
// or {kind: "neuron", layer, neuron} (layer 0 are the inputs). No elements here.
const Editing = (() => {
  const sameState = (one, other) => one.on === other.on && one.value === other.value;

  /** Weights and biases with their state; ``onChange`` is called with true while a slider moves. */
  function editing(json, onChange) {
    const start = Forward.unpacked(json);
    const { widths } = start;
    const values = { weight: start.weights.map((one) => one.slice()), bias: start.biases.map((one) => one.slice()) };
    const off = {
      weight: start.weights.map((one) => new Uint8Array(one.length)),
      bias: start.biases.map((one) => new Uint8Array(one.length)),
      neuron: widths.map((width) => new Uint8Array(width)),
    };
    const [done, undone] = [[], []];
    let open = null; // the step of a slider that still moves

    const placeOf = ({ kind, layer, row, column, neuron }) =>
      (kind === "weight" ? row * widths[layer] + column : kind === "bias" ? row : neuron);

    /** Its value (float32) and whether it is on; a neuron has no value of its own. */
    function state(target) {
      const at = placeOf(target);
      const value = target.kind === "neuron" ? null : values[target.kind][target.layer][at];
      return { on: !off[target.kind][target.layer][at], value };
    }

    function put(target, { on, value }) {
      const at = placeOf(target);
      off[target.kind][target.layer][at] = on ? 0 : 1;
      if (value !== null) values[target.kind][target.layer][at] = value;
    }

    /** Take a step; what follows with ``moving`` on the same target joins it until ``settle``. */
    function change(target, wanted, moving = false) {
      const before = state(target);
      const after = { ...before, ...wanted };
      if (after.value !== null) after.value = Math.fround(after.value);
      if (open && open.key !== JSON.stringify(target)) open = null;
      if (open) open.step[0].after = after;
      else {
        if (sameState(before, after)) return;
        done.push([{ target, before, after }]);
        if (moving) open = { key: JSON.stringify(target), step: done[done.length - 1] };
      }
      undone.length = 0;
      put(target, after);
      onChange(moving);
    }

    /** A slider was let go; where it ended where it began nothing is left to undo. */
    function settle() {
      if (open && sameState(open.step[0].before, open.step[0].after)) done.pop();
      open = null;
      onChange(false);
    }

    function step(from, to, which) {
      open = null;
      const taken = from.pop();
      if (!taken) return;
      to.push(taken);
      taken.forEach((one) => put(one.target, one[which]));
      onChange(false);
    }

    const all = parameters();
    const neurons = widths.flatMap((width, layer) => d3.range(width).map((neuron) => ({ kind: "neuron", layer, neuron })));

    /** All parameters that the network had: what can be switched and moved. */
    function parameters() {
      const found = [];
      start.masks.forEach((mask, layer) => mask.forEach((kept, at) => {
        if (kept) found.push({ kind: "weight", layer, row: Math.floor(at / widths[layer]), column: at % widths[layer] });
      }));
      start.biasMasks.forEach((mask, layer) => mask.forEach((kept, row) => {
        if (kept) found.push({ kind: "bias", layer, row });
      }));
      return found;
    }

    const original = (target) => ({
      on: true, value: target.kind === "neuron" ? null : (target.kind === "weight" ? start.weights : start.biases)[target.layer][placeOf(target)],
    });

    const differs = (target) => !sameState(state(target), original(target));

    /** Back to the network as it came; one step that can be undone. */
    function reset() {
      const steps = [...all, ...neurons].filter(differs).map((target) => ({ target, before: state(target), after: original(target) }));
      if (!steps.length) return;
      open = null;
      done.push(steps);
      undone.length = 0;
      steps.forEach((one) => put(one.target, one.after));
      onChange(false);
    }

    /** How much differs from the network as it came. */
    function summary() {
      const touched = all.filter(differs);
      return {
        moved: touched.filter((target) => state(target).on).length,
        off: touched.filter((target) => !state(target).on).length,
        neurons: neurons.filter(differs).length,
      };
    }

    /** Whether a weight takes part: it is on, and so is the neuron that it leads from. */
    const takesPart = (layer, row, column) =>
      start.masks[layer][row * widths[layer] + column] === 1 && !off.weight[layer][row * widths[layer] + column] && !off.neuron[layer][column];

    /** The network as it stands: what is off is 0 and masked. */
    function effective() {
      const masks = start.masks.map((mask, layer) => mask.map((_, at) => (takesPart(layer, Math.floor(at / widths[layer]), at % widths[layer]) ? 1 : 0)));
      const biasMasks = start.biasMasks.map((mask, layer) => mask.map((kept, row) => (kept && !off.bias[layer][row] ? 1 : 0)));
      return {
        widths, masks, biasMasks,
        weights: values.weight.map((one, layer) => one.map((value, at) => (masks[layer][at] ? value : 0))),
        biases: values.bias.map((one, layer) => one.map((value, row) => (biasMasks[layer][row] ? value : 0))),
      };
    }

    /** Whether the network has this parameter at all. */
    const has = (target) => (target.kind === "neuron" ? true
      : (target.kind === "weight" ? start.masks : start.biasMasks)[target.layer][placeOf(target)] === 1);

    return {
      canRedo: () => undone.length > 0, canUndo: () => done.length > 0, change, effective, has, original,
      redo: () => step(undone, done, "after"), reset, settle, start, state, summary, takesPart, targets: all,
      undo: () => step(done, undone, "before"),
    };
  }

  return { editing };
})();
