"use strict";
// Which parameters of a masked network count: combsearch/connectivity.py once more, for one
// network, so that the page counts as the tables do. No elements here.
const Connectivity = (() => {
  /**
   * fed: a path of kept weights leads here from an input. constant: none does, but a bias is
   * here or in a constant neuron that leads here. reaching: a path leads from here to an output.
   * Arrays [layer][neuron], input first.
   */
  function neurons({ widths, masks, biasMasks }) {
    const all = (width, value) => new Array(width).fill(value);
    const fed = [all(widths[0], true)];
    const constant = [all(widths[0], false)];
    const reaching = widths.map((width, layer) => all(width, layer === widths.length - 1));
    masks.forEach((mask, layer) => {
      const width = widths[layer];
      const any = (row, flags) => flags.some((flag, column) => flag && mask[row * width + column]);
      const rows = d3.range(widths[layer + 1]);
      fed.push(rows.map((row) => any(row, fed[layer])));
      constant.push(rows.map((row) => !fed[layer + 1][row] && (Boolean(biasMasks[layer][row]) || any(row, constant[layer]))));
    });
    for (let layer = masks.length - 1; layer >= 0; layer -= 1) {
      const width = widths[layer];
      masks[layer].forEach((kept, at) => {
        if (kept && reaching[layer + 1][Math.floor(at / width)]) reaching[layer][at % width] = true;
      });
    }
    return { constant, fed, reaching };
  }

  /** 1 for every kept parameter that counts: weights [layer][row * columns + column], biases [layer][row]. */
  function connected(net) {
    const found = neurons(net);
    const weights = net.masks.map((mask, layer) => mask.map((kept, at) => {
      const [row, column] = [Math.floor(at / net.widths[layer]), at % net.widths[layer]];
      // A constant stands in for a bias that was pruned; where there is one, it moves into it.
      const asBias = found.constant[layer][column] && !net.biasMasks[layer][row];
      return kept && (found.fed[layer][column] || asBias) && found.reaching[layer + 1][row] ? 1 : 0;
    }));
    const biases = net.biasMasks.map((mask, layer) => mask.map((kept, row) => (kept && found.reaching[layer + 1][row] ? 1 : 0)));
    return { biases, neurons: found, weights };
  }

  const total = (arrays) => d3.range(arrays.length).reduce((sum, at) => sum + arrays[at].reduce((part, one) => part + one, 0), 0);

  /** Parameters that the masks keep. */
  const nonzeros = (net) => total(net.masks) + total(net.biasMasks);

  /** The biases among them. */
  const biases = (net) => total(net.biasMasks);

  /** Those left when every disconnected one is removed. */
  function effectiveNonzeros(net) {
    const { weights, biases } = connected(net);
    return total(weights) + total(biases);
  }

  /** Whether every neuron that keeps a weight and reaches an output has its bias. */
  function biasesKept(net) {
    const { reaching } = neurons(net);
    return net.masks.every((mask, layer) => d3.range(net.widths[layer + 1]).every((row) => {
      const width = net.widths[layer];
      const keeps = mask.subarray(row * width, (row + 1) * width).some((kept) => kept);
      return !keeps || !reaching[layer + 1][row] || net.biasMasks[layer][row];
    }));
  }

  return { biases, biasesKept, connected, effectiveNonzeros, neurons, nonzeros };
})();
