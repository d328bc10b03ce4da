// The numbers of the playground. Nothing here draws; each function has its twin in Python, on the page or in adrec.
"use strict";

const Playground = (() => {
  const MOST = { items: 1000, dim: 64, groups: 12 };

  // ---- chance: mulberry32, a counter that is scrambled, and Box and Muller's pairs of normal numbers
  function uniforms(seed, count) {
    return Float64Array.from({ length: count }, (_, i) => {
      const state = (seed + (i + 1) * 0x6D2B79F5) | 0;
      let t = Math.imul(state ^ (state >>> 15), state | 1);
      t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    });
  }

  function normals(seed, count) {
    const u = uniforms(seed, count), out = new Float64Array(count);
    for (let i = 0; i < count; i += 2) {
      const radius = Math.sqrt(-2 * Math.log(1 - u[i])), angle = 2 * Math.PI * u[i + 1];
      out[i] = radius * Math.cos(angle);
      out[i + 1] = radius * Math.sin(angle);
    }
    return out;
  }

  // ---- a table of items: groups and taste in `rank` directions, turned, plus noise and an offset
  function draw(seed) {
    const { items, dim, groups } = MOST, all = normals(seed, dim * (1 + groups + 2 * items));
    const part = (from, rows) => all.subarray(dim * from, dim * (from + rows));
    return { mirror: part(0, 1), centres: part(1, groups), taste: part(1 + groups, items), noise: part(1 + groups + items, items) };
  }

  function table(drawn, { items, dim, offset, rank, strength, noise }) {
    const x = new Float64Array(items * dim), D = MOST.dim;
    let square = 0;
    for (let j = 0; j < dim; j++) square += drawn.mirror[j] ** 2;
    for (let i = 0; i < items; i++) {
      const group = (i % MOST.groups) * D, from = i * D, row = i * dim;
      let along = 0;
      for (let j = 0; j < Math.min(rank, dim); j++) {
        x[row + j] = strength * drawn.centres[group + j] + drawn.taste[from + j];
        along += drawn.mirror[j] * x[row + j];
      }
      for (let j = 0; j < dim; j++) x[row + j] += offset + noise * drawn.noise[from + j] - 2 * along / square * drawn.mirror[j];
    }
    return x;
  }

  // ---- eigenvalues of a symmetric matrix: Householder's reflections to three diagonals, then QL with shifts
  function eigen(matrix, d, vectors) {
    const a = Float64Array.from(matrix), diagonal = new Float64Array(d), beside = new Float64Array(d);
    const q = new Float64Array(vectors ? d * d : 0), v = new Float64Array(d), w = new Float64Array(d);
    for (let i = 0; i < q.length; i += d + 1) q[i] = 1;
    for (let k = 0; k < d - 2; k++) {
      let length = 0, norm = 0, shared = 0;
      for (let i = k + 1; i < d; i++) length += (v[i] = a[i * d + k]) ** 2;
      beside[k] = v[k + 1] > 0 ? -Math.sqrt(length) : Math.sqrt(length);
      v[k + 1] -= beside[k];
      for (let i = k + 1; i < d; i++) norm += v[i] ** 2;
      if (norm === 0) continue;
      for (let i = k + 1; i < d; i++) v[i] /= Math.sqrt(norm);
      for (let i = k + 1; i < d; i++) {
        w[i] = 0;
        for (let j = k + 1; j < d; j++) w[i] += a[i * d + j] * v[j];
        shared += w[i] * v[i];
      }
      for (let i = k + 1; i < d; i++) w[i] = 2 * (w[i] - shared * v[i]);
      for (let i = k + 1; i < d; i++) for (let j = k + 1; j < d; j++) a[i * d + j] -= v[i] * w[j] + w[i] * v[j];
      if (!vectors) continue;
      w.fill(0);
      for (let i = k + 1; i < d; i++) for (let j = 0; j < d; j++) w[j] += v[i] * q[i * d + j];
      for (let i = k + 1; i < d; i++) for (let j = 0; j < d; j++) q[i * d + j] -= 2 * v[i] * w[j];
    }
    for (let i = 0; i < d; i++) diagonal[i] = a[i * d + i];
    if (d > 1) beside[d - 2] = a[(d - 1) * d + d - 2];
    const small = Number.EPSILON * Math.max(...diagonal.map(Math.abs), ...beside.map(Math.abs));
    for (let l = 0; l < d; l++) quiet(l, diagonal, beside, q, d, small);
    const order = Array.from(diagonal.keys()).sort((i, j) => diagonal[j] - diagonal[i]);
    const axis = (k) => q.subarray(order[k] * d, order[k] * d + d);
    return { values: Float64Array.from(order, (i) => diagonal[i]), axis };
  }

  // Rotate until the number beside diagonal[l] is gone (Bowdler, Martin, Reinsch & Wilkinson 1968).
  function quiet(l, diagonal, beside, q, d, small) {
    for (let round = 0; round < 60; round++) {
      let m = l;
      while (m < d - 1 && Math.abs(beside[m]) > small) m++;
      if (m === l) return;
      let g = (diagonal[l + 1] - diagonal[l]) / (2 * beside[l]);
      g = diagonal[m] - diagonal[l] + beside[l] / (g + (g < 0 ? -1 : 1) * Math.sqrt(g * g + 1));
      let s = 1, c = 1, p = 0, i = m - 1;
      for (; i >= l; i--) {
        const f = s * beside[i], b = c * beside[i], r = Math.sqrt(f * f + g * g);
        beside[i + 1] = r;
        if (r === 0) break;
        s = f / r;
        c = g / r;
        g = diagonal[i + 1] - p;
        const t = (diagonal[i] - g) * s + 2 * c * b;
        p = s * t;
        diagonal[i + 1] = g + p;
        g = c * t - b;
        if (q.length) for (let k = i * d; k < i * d + d; k++) {
          const old = q[k + d];
          q[k + d] = s * q[k] + c * old;
          q[k] = c * q[k] - s * old;
        }
      }
      diagonal[i < l ? l : i + 1] -= p;
      if (i < l) beside[l] = g;
      beside[m] = 0;
    }
  }

  // ---- a cloud and its spectrum: see the pages on spectra and on collapse
  function mean(x, n, d) {
    const out = new Float64Array(d);
    for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) out[j] += x[i * d + j] / n;
    return out;
  }

  function minus(x, n, d, origin) {
    const out = new Float64Array(n * d);
    for (let i = 0; i < n; i++) for (let j = 0; j < d; j++) out[i * d + j] = x[i * d + j] - origin[j];
    return out;
  }

  function directions(x, n, d, origin) {  // of all items, seen from the origin, and the sum of 1/distance
    const unit = minus(x, n, d, origin);
    let nearness = 0;
    for (let i = 0; i < n * d; i += d) {
      let square = 0;
      for (let j = i; j < i + d; j++) square += unit[j] * unit[j];
      const scale = square > 0 ? 1 / Math.sqrt(square) : 0;
      for (let j = i; j < i + d; j++) unit[j] *= scale;
      nearness += scale;
    }
    return { unit, nearness };
  }

  // The point from which directions cancel (Weiszfeld 1937); 0 if they do there as well as chance.
  function middle(x, n, d, start) {
    const pull = ({ unit }) => mean(unit, n, d).map((v) => v * n), square = (v) => sum(v.map((value) => value * value));
    if (square(pull(start)) <= n * (1 + 5 * Math.sqrt(2 / d))) return new Float64Array(d);
    let here = mean(x, n, d);
    for (let step = 0; step < 100; step++) {
      const seen = directions(x, n, d, here), drawn = pull(seen);
      if (square(drawn) <= 1e-4 * n) break;
      here = here.map((v, j) => v + drawn[j] / seen.nearness);
    }
    return here;
  }

  function covariance(x, n, d) {
    const rows = minus(x, n, d, mean(x, n, d)), out = new Float64Array(d * d);
    for (let i = 0; i < n * d; i += 4 * d) {  // four items at a time: every number of items here is divisible by 4
      for (let j = 0; j < d; j++) {
        const [a, b, c, e] = [rows[i + j], rows[i + d + j], rows[i + 2 * d + j], rows[i + 3 * d + j]];
        for (let k = j, r = i + j; k < d; k++, r++) out[j * d + k] += a * rows[r] + b * rows[r + d] + c * rows[r + 2 * d] + e * rows[r + 3 * d];
      }
    }
    for (let j = 0; j < d; j++) for (let k = 0; k <= j; k++) out[j * d + k] = (out[k * d + j] /= n - 1);
    return out;
  }

  function spectrum(x, n, d, vectors) {
    const found = eigen(covariance(x, n, d), d, vectors), floor = found.values[0] * d * Number.EPSILON;
    return { ...found, values: found.values.map((v) => (v > floor ? v : 0)) };
  }

  const sum = (values) => values.reduce((a, b) => a + b, 0);
  const participation = (values) => sum(values) ** 2 / sum(values.map((v) => v * v));
  const effectiveRank = (values) => {
    const sizes = values.filter((v) => v > 0).map(Math.sqrt), total = sum(sizes);
    return Math.exp(-sum(sizes.map((s) => s / total * Math.log(s / total))));
  };
  const meanCosine = (unit, n, d) => (n * sum(mean(unit, n, d).map((v) => v * v)) - 1) / (n - 1);

  // ---- what noise would give: Marchenko and Pastur's law of variance 1
  const edges = (n, d) => [-1, 1].map((sign) => (1 + sign * Math.sqrt(d / (n - 1))) ** 2);

  const laws = {};
  function law(n, d) {  // the sorted spectrum that noise of this shape shows; its mean is 1
    if (laws[[n, d]]) return laws[[n, d]];
    const gamma = d / (n - 1), rank = Math.min(n - 1, d), parts = 20000, values = [], passed = [];
    for (let i = 0, total = 0; i < parts; i++) {
      const theta = (i + 0.5) * Math.PI / parts;
      values.push(1 + gamma + 2 * Math.sqrt(gamma) * Math.cos(theta));
      passed.push(total += Math.sin(theta) ** 2 / values[i]);
    }
    const out = new Float64Array(d);
    for (let j = 0, i = 0; j < rank; j++) {
      const wanted = (j + 0.5) / rank * passed[parts - 1];
      while (passed[i + 1] < wanted) i++;
      out[j] = values[i] + (wanted - passed[i]) / (passed[i + 1] - passed[i]) * (values[i + 1] - values[i]);
    }
    return (laws[[n, d]] = out.map((v) => v * d / sum(out)));
  }

  function cdf(value, n, d) {  // share of the non-zero eigenvalues at or below a value
    const gamma = d / (n - 1), a = 1 + gamma, b = 2 * Math.sqrt(gamma), gap = Math.abs(1 - gamma);
    const theta = Math.acos(Math.min(1, Math.max(-1, (value - a) / b)));
    const half = Math.atan2(gap * Math.sin(theta / 2), (1 + Math.sqrt(gamma)) ** 2 * Math.cos(theta / 2));
    return 1 - (a * theta - b * Math.sin(theta) - 2 * gap * half) / (2 * Math.PI * Math.min(gamma, 1));
  }

  function noiseDistance(values, n, d) {
    const rank = Math.min(n - 1, d), average = sum(values) / d;
    let most = 0;
    for (let j = 0; j < rank; j++) {
      const below = cdf(values[j] / average, n, d);
      most = Math.max(most, Math.abs(1 - j / rank - below), Math.abs(1 - (j + 1) / rank - below));
    }
    return most;
  }

  const median = (sorted) => (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
  function noiseFloor(values, n, d) {  // variance of the noise, and how many eigenvalues rise above its edge
    const rank = Math.min(n - 1, d), variance = median(values.slice(0, rank)) / median(law(n, d).slice(0, rank));
    const edge = variance * edges(n, d)[1];
    return { variance, edge, outliers: values.filter((v) => v > edge).length };
  }

  // ---- everything that is shown of a table but its neighbours
  function measure(x, n, d) {
    const raw = spectrum(x, n, d, true), seen = directions(x, n, d, new Float64Array(d)), unit = seen.unit;
    const equal = spectrum(directions(x, n, d, middle(x, n, d, seen)).unit, n, d).values;
    return {
      n, d, unit, values: raw.values, equal, axes: [raw.axis(0), raw.axis(1)],
      cosine: meanCosine(unit, n, d), rank: effectiveRank(raw.values),
      ratio: participation(raw.values), unitRatio: participation(equal),
      distance: noiseDistance(equal, n, d), top: equal[0] / sum(equal) * d,
      uneven: d / participation(equal) - 1, floor: noiseFloor(raw.values, n, d),
    };
  }

  function cosines(unit, n, d) {  // of each item with the twelve that follow it: one in twelve pairs shares a group
    const out = new Float64Array(n * MOST.groups);
    for (let pair = 0; pair < out.length; pair++) {
      const i = pair % n * d, other = (pair % n + 1 + Math.floor(pair / n)) % n * d;
      let dot = 0;
      for (let j = 0; j < d; j++) dot += unit[i + j] * unit[other + j];
      out[pair] = dot;
    }
    return out;
  }

  // Places in the plane of two axes, seen from the mean; the axes keep their sense from the ones before.
  function project(x, n, d, axes, before) {
    const origin = mean(x, n, d), dot = (a, b, from = 0) => { let total = 0; for (let j = 0; j < d; j++) total += a[j] * b[from + j]; return total; };
    const turned = axes.map((axis, k) => (before && before[k].length === d && dot(axis, before[k]) < 0 ? axis.map((v) => -v) : axis));
    const zero = turned.map((axis) => dot(axis, origin));
    const places = Array.from({ length: n }, (_, i) => turned.map((axis, k) => dot(axis, x, i * d) - zero[k]));
    return Object.assign(places, { axes: turned });
  }

  // ---- neighbours: ten by cosine, a few items at a time, so that the sliders stay quick
  function neighbours(unit, n, d, k = 10) {
    const centred = minus(unit, n, d, mean(unit, n, d)), near = new Int32Array(n * k), score = new Float64Array(n);
    const half = new Float64Array(n);
    for (let i = 0; i < n * d; i++) half[Math.floor(i / d)] += centred[i] ** 2 / 2;
    let row = 0;
    const step = (rows) => {
      for (const end = Math.min(n, row + rows); row < end; row++) {
        for (let i = 0; i < n; i++) {
          let dot = -half[i];
          for (let j = 0, a = row * d, b = i * d; j < d; j++) dot += centred[a + j] * centred[b + j];
          score[i] = i === row ? -Infinity : dot;
        }
        for (let place = 0; place < k; place++) {
          let best = 0;
          for (let i = 1; i < n; i++) if (score[i] > score[best]) best = i;
          near[row * k + place] = best;
          score[best] = -Infinity;
        }
      }
      return row === n;
    };
    return { near, step, k };
  }

  // The lift, and its exact standard deviation if the labels were dealt out anew (Mantel 1967): its mean is then 1.
  function lift({ near, k }, n) {
    const group = (i) => i % MOST.groups, size = new Float64Array(MOST.groups), named = new Float64Array(n).fill(k);
    const pairs = new Set();
    let shared = 0, mutual = 0;
    for (let i = 0; i < n; i++) size[group(i)] += 1;
    near.forEach((j, slot) => {
      const i = Math.floor(slot / k);
      shared += group(i) === group(j);
      named[j] += 1;
      if (pairs.has(j * n + i)) mutual += 1;
      pairs.add(i * n + j);
    });
    const a0 = n * k, a1 = n * k + 2 * mutual, a2 = sum(named.map((v) => v * v));
    const b0 = sum(size.map((s) => s * (s - 1))), b1 = 2 * b0, b2 = 4 * sum(size.map((s) => s * (s - 1) ** 2));
    const two = n * (n - 1), three = two * (n - 2), four = three * (n - 3), chance = b0 / two;
    const square = a1 * b1 / (2 * two) + (a2 - 2 * a1) * (b2 - 2 * b1) / (4 * three) + (a0 * a0 + a1 - a2) * (b0 * b0 + b1 - b2) / four;
    return { value: shared / a0 / chance, sd: Math.sqrt(square - (a0 * chance) ** 2) / (a0 * chance) };
  }

  // ---- the four questions, with the limits of adrec.collapse.diagnose: five standard deviations of noise are far
  function judge(m, near, nulls) {
    const far = (value, center, sd) => value - center > 5 * sd + 1e-9, by = (name) => nulls[name];
    const few = (ratio, name) => ratio <= by(`${name}_limit`) && far(by(`${name}_mean`), ratio, by(`${name}_sd`));
    const cone = m.cosine > by("cone_limit");
    const low = few(m.unitRatio, "unit_ratio") && (m.unitRatio <= 1 + (by("unit_ratio_mean") - 1) / 4 || few(m.ratio, "ratio"));
    const off = far(m.distance, by("distance_mean"), by("distance_sd"))
      || far(Math.abs(m.top - by("top_mean")), 0, by("top_sd")) || m.uneven > by("uneven_limit");
    const structured = far(near.value, 1, near.sd), noise = !(off || structured);
    const words = { "cone": cone, "low rank": low, "noise": noise, "structured": structured, "anisotropic": !(noise || low || structured) };
    return { cone, low, off, structured, words: Object.keys(words).filter((word) => words[word]) };
  }

  // ---- the catalogue of the diffusion page, its schedule, the best guess and the step back
  const CATALOGUE = {
    items: [[1.5, 0.3], [1.0, 1.2], [-0.2, 1.5], [-1.4, 0.4], [-0.9, -1.1], [0.6, -1.5]],
    popularity: [0.30, 0.25, 0.15, 0.15, 0.10, 0.05], steps: 32,
  };
  const betas = Array.from({ length: 32 }, (_, t) => 0.013125 + t / 31 * (0.635 - 0.013125));
  const kept = betas.map((_, t) => betas.slice(0, t + 1).reduce((product, b) => product * (1 - b), 1));

  function guess([x, y], t) {  // the mean of all that x_t could have been, and each item's share in it
    const scores = CATALOGUE.items.map(([a, b], k) => Math.log(CATALOGUE.popularity[k])
      - ((x - Math.sqrt(kept[t]) * a) ** 2 + (y - Math.sqrt(kept[t]) * b) ** 2) / (2 * (1 - kept[t])));
    const most = Math.max(...scores), sizes = scores.map((s) => Math.exp(s - most)), total = sum(sizes);
    const shares = sizes.map((s) => s / total);
    return { shares, point: [0, 1].map((c) => sum(shares.map((p, k) => p * CATALOGUE.items[k][c]))) };
  }

  function noised(point, t, eps) { return point.map((v, c) => Math.sqrt(kept[t]) * v + Math.sqrt(1 - kept[t]) * eps[c]); }

  function stepBack(x, t, z) {
    const { point } = guess(x, t);
    if (t === 0) return point;
    const start = betas[t] * Math.sqrt(kept[t - 1]) / (1 - kept[t]), end = Math.sqrt(1 - betas[t]) * (1 - kept[t - 1]) / (1 - kept[t]);
    return point.map((v, c) => start * v + end * x[c] + Math.sqrt(betas[t]) * z[c]);
  }

  return { MOST, CATALOGUE, uniforms, normals, draw, table, measure, cosines, project, neighbours, lift, judge, edges, law, noised, guess, stepBack };
})();
