"use strict";
// A network as numpy's .npz, which `combsearch certify` and `load_network` read: a zip file
// without compression, one .npy (version 1.0) an array. No elements here.
const Npz = (() => {
  const ascii = (text) => Uint8Array.from(text, (sign) => sign.charCodeAt(0));

  const TABLE = d3.range(256).map((start) => {
    let value = start;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value >>> 0;
  });

  /** The checksum of a zip file's member. */
  function crc32(bytes) {
    let value = 0xffffffff;
    for (const byte of bytes) value = (value >>> 8) ^ TABLE[(value ^ byte) & 255];
    return (value ^ 0xffffffff) >>> 0;
  }

  /** Numbers of 2 or 4 bytes, the lowest byte first: [[size, value], ...]. */
  function packed(...numbers) {
    const view = new DataView(new ArrayBuffer(d3.range(numbers.length).reduce((sum, at) => sum + numbers[at][0], 0)));
    let at = 0;
    for (const [size, value] of numbers) {
      if (size === 2) view.setUint16(at, value, true);
      else view.setUint32(at, value, true);
      at += size;
    }
    return new Uint8Array(view.buffer);
  }

  function joined(parts) {
    const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  /** An array as .npy; ``kind`` is numpy's, such as "<f4". */
  function npy(kind, shape, bytes) {
    const axes = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`;
    const head = `{'descr': '${kind}', 'fortran_order': False, 'shape': ${axes}, }`;
    const padded = `${head.padEnd(Math.ceil((head.length + 11) / 64) * 64 - 11)}\n`;
    return joined([ascii("\x93NUMPY\x01\x00"), packed([2, padded.length]), ascii(padded), bytes]);
  }

  /** A text as an array without axes: four bytes a character. */
  function npyText(text) {
    const signs = [...text].map((sign) => sign.codePointAt(0));
    return npy(`<U${signs.length}`, [], packed(...signs.map((sign) => [4, sign])));
  }

  const DATE = (1 << 5) | 1; // 1 January 1980, the first that a zip file can name: no clock in a result

  /** A zip file of [name, bytes] pairs. */
  function zip(members) {
    const [locals, entries] = [[], []];
    let offset = 0;
    for (const [name, bytes] of members) {
      const facts = [[2, 20], [2, 0], [2, 0], [2, 0], [2, DATE], [4, crc32(bytes)], [4, bytes.length], [4, bytes.length],
        [2, name.length], [2, 0]];
      const local = joined([packed([4, 0x04034b50], ...facts), ascii(name), bytes]);
      locals.push(local);
      entries.push(joined([packed([4, 0x02014b50], [2, 20], ...facts, [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), ascii(name)]));
      offset += local.length;
    }
    const directory = joined(entries);
    const end = packed([4, 0x06054b50], [2, 0], [2, 0], [2, members.length], [2, members.length], [4, directory.length],
      [4, offset], [2, 0]);
    return joined([...locals, directory, end]);
  }

  /** The bytes of a network's file: what is switched off is 0 and masked, ``about`` a flat table. */
  function network(net, about) {
    const members = [];
    const add = (name, kind, shape, array) =>
      members.push([`${name}.npy`, npy(kind, shape, new Uint8Array(array.buffer, array.byteOffset, array.byteLength))]);
    net.weights.forEach((weights, layer) => {
      const shape = [net.widths[layer + 1], net.widths[layer]];
      add(`weight${layer}`, "<f4", shape, weights);
      add(`bias${layer}`, "<f4", shape.slice(0, 1), net.biases[layer]);
      add(`mask${layer}`, "|u1", shape, net.masks[layer]);
      add(`bias_mask${layer}`, "|u1", shape.slice(0, 1), net.biasMasks[layer]);
    });
    const sorted = Object.fromEntries(Object.keys(about).sort().map((name) => [name, about[name]]));
    members.push(["about.npy", npyText(JSON.stringify(sorted))]);
    return zip(members);
  }

  /** The words of a mask in hexadecimal, 64 weights a word, as combsearch/mask.py lays them out. */
  function words({ masks }) {
    const bits = masks.flatMap((mask) => [...mask]);
    return d3.range(0, bits.length, 64).map((start) => {
      let word = 0n;
      bits.slice(start, start + 64).forEach((bit, at) => { if (bit) word |= 1n << BigInt(at); });
      return word.toString(16).padStart(16, "0");
    }).join(" ");
  }

  return { network, words };
})();
