"use strict";
// The forward pass in float64 of float32 weights, neuron by neuron over all points, and only of
// what a change touches. No elements here.
const Forward = (() => {
  const zeros = (lengths, kind) => lengths.map((length) => new kind(length));

  /** The JSON of a network as full matrices: weights, masks [row * columns + column]; biases. */
  function unpacked({ widths, weights, biases }) {
    const sizes = widths.slice(1).map((rows, layer) => rows * widths[layer]);
    const made = {
      widths,
      weights: zeros(sizes, Float32Array), masks: zeros(sizes, Uint8Array),
      biases: zeros(widths.slice(1), Float32Array), biasMasks: zeros(widths.slice(1), Uint8Array),
    };
    weights.forEach(([rows, columns, values], layer) => rows.forEach((row, at) => {
      const place = row * widths[layer] + columns[at];
      made.weights[layer][place] = values[at];
      made.masks[layer][place] = 1;
    }));
    biases.forEach(([rows, values], layer) => rows.forEach((row, at) => {
      made.biases[layer][row] = values[at];
      made.biasMasks[layer][row] = 1;
    }));
    return made;
  }

  /** Points [point * inputs + input] as one float64 array an input; only those of ``places`` if given. */
  function columnsOf(x, inputs, places = d3.range(x.length / inputs)) {
    return d3.range(inputs).map((input) => Float64Array.from(places, (place) => x[place * inputs + input]));
  }

  /** One place of every ``step``, which one as good as drawn: points may lie in some order. */
  function thinned(count, step) {
    let drawn = 1;
    return d3.range(Math.floor(count / step)).map((block) => {
      drawn = (Math.imul(drawn, 1664525) + 1013904223) >>> 0;
      return block * step + Math.floor((drawn / 2 ** 32) * step);
    });
  }

  /** Centres of side * side pixels over [-reach, reach]^2, row by row from the upper left. */
  function plane(side, reach) {
    const step = (2 * reach) / side;
    const [first, second] = [new Float64Array(side * side), new Float64Array(side * side)];
    for (let at = 0; at < side * side; at += 1) {
      first[at] = -reach + step * ((at % side) + 0.5);
      second[at] = reach - step * (Math.floor(at / side) + 0.5);
    }
    return [first, second];
  }

  /** out = bias + sum of weight * input, four inputs at a time; ReLU where hidden. How many are above 0. */
  function neuron(out, bias, weights, inputs, hidden) {
    const count = out.length;
    out.fill(bias);
    let at = 0;
    for (; at + 3 < weights.length; at += 4) {
      const [a, b, c, d] = [weights[at], weights[at + 1], weights[at + 2], weights[at + 3]];
      const [p, q, r, s] = [inputs[at], inputs[at + 1], inputs[at + 2], inputs[at + 3]];
      for (let i = 0; i < count; i += 1) out[i] += a * p[i] + b * q[i] + c * r[i] + d * s[i];
    }
    for (; at < weights.length; at += 1) {
      const [a, p] = [weights[at], inputs[at]];
      for (let i = 0; i < count; i += 1) out[i] += a * p[i];
    }
    let above = 0;
    for (let i = 0; i < count; i += 1) {
      if (out[i] > 0) above += 1;
      else if (hidden) out[i] = 0;
    }
    return above;
  }

  /**
   * All values of a network on fixed points. ``refresh(net)`` computes again only neurons whose
   * weights or inputs changed; then ``values[layer][neuron]`` are the activations (layer 0: the
   * inputs; last: logits) and ``above[layer][neuron]`` how many are above 0.
   */
  function evaluator(columns, widths) {
    const count = columns[0].length;
    const values = [columns, ...widths.slice(1).map((width) => d3.range(width).map(() => new Float64Array(count)))];
    const above = widths.map((width) => new Array(width).fill(0));
    let last = null;

    function changed(net, layer, row, moved) {
      const [width, weights] = [widths[layer], net.weights[layer]];
      if (!last || last.biases[layer][row] !== net.biases[layer][row]) return true;
      for (let column = 0, at = row * width; column < width; column += 1, at += 1) {
        if (weights[at] !== last.weights[layer][at] || (weights[at] !== 0 && moved[column])) return true;
      }
      return false;
    }

    function refresh(net) {
      let moved = new Array(widths[0]).fill(false);
      net.weights.forEach((weights, layer) => {
        const width = widths[layer];
        moved = d3.range(widths[layer + 1]).map((row) => {
          if (!changed(net, layer, row, moved)) return false;
          const kept = d3.range(width).filter((column) => weights[row * width + column] !== 0);
          const own = kept.map((column) => weights[row * width + column]);
          above[layer + 1][row] = neuron(values[layer + 1][row], net.biases[layer][row], own,
            kept.map((column) => values[layer][column]), layer + 2 < widths.length);
          return true;
        });
      });
      last = { weights: net.weights.map((one) => one.slice()), biases: net.biases.map((one) => one.slice()) };
    }

    return { above, count, refresh, values };
  }

  /** The class of point ``at``: of one logit whether it is above 0, of several the first largest. */
  function classOf(logits, at) {
    if (logits.length === 1) return logits[0][at] > 0 ? 1 : 0;
    let best = 0;
    for (let output = 1; output < logits.length; output += 1) if (logits[output][at] > logits[best][at]) best = output;
    return best;
  }

  /** How many points have the class that they should, and which do not (1: wrong). */
  function graded(logits, y) {
    const count = logits[0].length;
    const wrong = new Uint8Array(count);
    let correct = count;
    for (let at = 0; at < count; at += 1) {
      if (classOf(logits, at) !== y[at]) {
        wrong[at] = 1;
        correct -= 1;
      }
    }
    return { correct, wrong };
  }

  /** Of every class the share of its points where ``values`` is above 0. */
  function shares(values, y, classes) {
    const [active, all] = [new Array(classes).fill(0), new Array(classes).fill(0)];
    for (let at = 0; at < values.length; at += 1) {
      all[y[at]] += 1;
      if (values[at] > 0) active[y[at]] += 1;
    }
    return all.map((count, label) => (count ? active[label] / count : 0));
  }

  return { classOf, columnsOf, evaluator, graded, plane, shares, thinned, unpacked };
})();
