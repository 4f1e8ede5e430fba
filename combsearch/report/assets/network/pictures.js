"use strict";
// Pictures of numbers over the plane, and of their distribution where there is no plane.
const Pictures = (() => {
  const STEPS = 256;
  let tables = new Map();
  Page.onScheme(() => { tables = new Map(); });

  /** Colour ``(share) => text`` as a table of pixels, 0 to 1 in 256 steps. */
  function table(name, colour) {
    if (!tables.has(name)) tables.set(name, Uint32Array.from(d3.range(STEPS), (step) => pixel(colour(step / (STEPS - 1)))));
    return tables.get(name);
  }

  function pixel(colour) {
    const [red, green, blue] = Colours.channels(colour);
    return ((255 << 24) | (Math.round(blue) << 16) | (Math.round(green) << 8) | Math.round(red)) >>> 0;
  }

  const activeTable = () => table("active", Colours.active);
  const planeTable = () => table("plane", (share) => Colours.plane(2 * share - 1));

  /** The colour of a class: orange and blue of two, else one of eight. */
  const ofClass = (label, classes) => Colours.of(classes === 2 ? ["orange", "blue"][label] : `class-${label % 8}`);

  function sized(canvas, width, height = width) {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    return canvas.getContext("2d");
  }

  /** Pixels of ``values`` (row by row) by ``index`` into a table; -1 is paper. */
  function paint(canvas, values, side, index, colours) {
    const context = sized(canvas, side);
    const image = context.createImageData(side, side);
    const pixels = new Uint32Array(image.data.buffer);
    const paper = pixel(Colours.of("paper"));
    for (let at = 0; at < pixels.length; at += 1) {
      const step = index(values[at]);
      pixels[at] = step < 0 ? paper : colours[step];
    }
    context.putImageData(image, 0, 0);
  }

  /** A hidden neuron: its activation, 0 to its own largest; paper where it is 0. */
  function activation(canvas, values, side) {
    let most = 1e-12;
    for (const value of values) if (value > most) most = value;
    paint(canvas, values, side, (value) => (value > 0 ? Math.round((value / most) * (STEPS - 1)) : -1), activeTable());
  }

  /** An input: its coordinate. */
  const coordinate = (canvas, values, side, reach) =>
    paint(canvas, values, side, (value) => Math.round((value / reach / 2 + 0.5) * (STEPS - 1)), planeTable());

  const shade = (logit) => Math.round((Math.tanh(logit / 2) / 2 + 0.5) * (STEPS - 1));

  /** An output: the probability of class 1, a half being paper. */
  const output = (canvas, values, side) => paint(canvas, values, side, shade, planeTable());

  /** ``values`` of side * side pixels between pixels: at every one of ``size`` * ``size``. */
  function enlarged(values, side, size) {
    const made = new Float32Array(size * size);
    const places = Float64Array.from(d3.range(size), (at) => Math.max(0, Math.min(side - 1.000001, ((at + 0.5) * side) / size - 0.5)));
    for (let row = 0; row < size; row += 1) {
      const top = Math.floor(places[row]);
      const down = places[row] - top;
      for (let column = 0; column < size; column += 1) {
        const left = Math.floor(places[column]);
        const [right, at] = [places[column] - left, top * side + left];
        const above = values[at] * (1 - right) + values[at + 1] * right;
        const below = values[at + side] * (1 - right) + values[at + side + 1] * right;
        made[row * size + column] = above * (1 - down) + below * down;
      }
    }
    return made;
  }

  function minus(one, other) {
    const made = new Float64Array(one.length);
    for (let at = 0; at < one.length; at += 1) made[at] = one[at] - other[at];
    return made;
  }

  /** ``layer`` on an empty ``canvas``. Drawn and not put: printers draw a canvas again without what was put. */
  function laid(canvas, layer) {
    const context = sized(canvas, layer.width);
    context.drawImage(layer, 0, 0);
    return context;
  }

  /** The regions of the classes; ``logits`` over the plane, one array an output. */
  function regions(canvas, logits, side, size) {
    if (logits.length > 2) return severalRegions(canvas, logits, side, size);
    const gap = logits.length === 1 ? logits[0] : minus(logits[1], logits[0]);
    const layer = document.createElement("canvas");
    paint(layer, enlarged(gap, side, size), size, shade, planeTable());
    const context = laid(canvas, layer);
    context.strokeStyle = Colours.of("ink");
    context.lineWidth = Math.max(1, size / 330);
    context.lineJoin = "round";
    const scale = size / side;
    context.beginPath();
    for (const polygon of d3.contours().size([side, side]).thresholds([0])(gap)[0].coordinates) {
      for (const ring of polygon) {
        ring.forEach(([x, y], at) => (at ? context.lineTo(x * scale, y * scale) : context.moveTo(x * scale, y * scale)));
      }
    }
    context.stroke();
    return undefined;
  }

  function severalRegions(canvas, logits, side, size) {
    const large = logits.map((values) => enlarged(values, side, size));
    const layer = document.createElement("canvas");
    const image = sized(layer, size).createImageData(size, size);
    const pixels = new Uint32Array(image.data.buffer);
    const tints = logits.map((_, label) => pixel(d3.interpolateRgb(Colours.of("paper"), ofClass(label, logits.length))(0.45)));
    const ink = pixel(Colours.of("ink"));
    const found = new Uint8Array(pixels.length);
    for (let at = 0; at < found.length; at += 1) found[at] = Forward.classOf(large, at);
    for (let at = 0; at < pixels.length; at += 1) {
      const edge = (at % size && found[at] !== found[at - 1]) || (at >= size && found[at] !== found[at - size]);
      pixels[at] = edge ? ink : tints[found[at]];
    }
    layer.getContext("2d").putImageData(image, 0, 0);
    laid(canvas, layer);
  }

  /** The points of a task over the regions: in the colour of their class, those that are wrong in ink. */
  function points(canvas, columns, y, classes, wrong, reach) {
    const size = canvas.width;
    const layer = document.createElement("canvas");
    const context = sized(layer, size);
    const image = context.createImageData(size, size);
    const pixels = new Uint32Array(image.data.buffer);
    const count = columns[0].length;
    const dot = Math.max(Math.round(size / 260), Math.min(Math.round(size / 70), Math.round(0.6 * Math.sqrt((size * size) / count))));
    const place = (value) => Math.round(((value + reach) / (2 * reach)) * size);
    const put = (at, colour, wide) => {
      const [left, top] = [place(columns[0][at]) - (wide >> 1), place(-columns[1][at]) - (wide >> 1)];
      for (let row = Math.max(0, top); row < Math.min(size, top + wide); row += 1) {
        for (let column = Math.max(0, left); column < Math.min(size, left + wide); column += 1) pixels[row * size + column] = colour;
      }
    };
    const colours = d3.range(classes).map((label) => pixel(ofClass(label, classes)));
    for (let at = 0; at < count; at += 1) put(at, colours[y[at]], dot);
    const [paper, ink] = [pixel(Colours.of("paper")), pixel(Colours.of("ink"))];
    for (let at = 0; at < count; at += 1) if (wrong[at]) put(at, paper, dot + 4);
    for (let at = 0; at < count; at += 1) if (wrong[at]) put(at, ink, dot + 1);
    context.putImageData(image, 0, 0);
    canvas.getContext("2d").drawImage(layer, 0, 0);
  }

  /** One bar a class, ``shares`` 0 to 1. */
  function bars(canvas, shares, size) {
    const context = sized(canvas, size);
    context.fillStyle = Colours.of("paper");
    context.fillRect(0, 0, size, size);
    const wide = size / shares.length;
    shares.forEach((share, label) => {
      context.fillStyle = ofClass(label, shares.length);
      context.fillRect((label + 0.12) * wide, size * (1 - 0.92 * share), 0.76 * wide, 0.92 * size * share);
    });
  }

  const BINS = 40;

  /** How the one logit is spread, class 0 and class 1 over another; a line at 0, where they are told apart. */
  function spread(canvas, logits, y, size) {
    const context = sized(canvas, size);
    context.fillStyle = Colours.of("paper");
    context.fillRect(0, 0, size, size);
    const most = logits.reduce((found, value) => Math.max(found, Math.abs(value)), 1e-9);
    const counts = [new Array(BINS).fill(0), new Array(BINS).fill(0)];
    logits.forEach((value, at) => { counts[y[at]][Math.min(BINS - 1, Math.floor((value / most / 2 + 0.5) * BINS))] += 1; });
    const tallest = d3.max(counts.flat());
    context.globalAlpha = 0.7;
    counts.forEach((own, label) => own.forEach((count, bin) => {
      context.fillStyle = ofClass(label, 2);
      context.fillRect((bin * size) / BINS, size * (1 - (0.94 * count) / tallest), size / BINS - 0.5, (0.94 * size * count) / tallest);
    }));
    context.globalAlpha = 1;
    context.fillStyle = Colours.of("ink");
    context.fillRect(size / 2 - 0.5, 0, Math.max(1, size / 330), size);
  }

  return { activation, bars, coordinate, output, points, regions, spread };
})();
