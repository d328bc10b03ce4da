// Panel 1: a table of items under six sliders, its spectrum, its cosines, its picture, and the four answers.
"use strict";

(() => {
  const home = document.getElementById("playground-table");
  if (!home) return;
  const P = Playground, { make, slider, button, picture, axes, line, dot, colour } = Panel;
  const { items, dims, nulls } = P.noise, pick = (list) => ({ max: list.length - 1, value: list.length - 1, show: (i) => String(list[i]) });
  const sliders = make("div", { class: "sliders" }), buttons = make("div", { class: "buttons" });
  const pictures = make("div", { class: "pictures" }), answers = make("ol"), verdict = make("p", { class: "verdict", "aria-live": "polite" });
  // until here the page shows a still picture and a sentence
  home.replaceChildren(sliders, buttons, pictures, answers, verdict);

  const change = () => { stale = true; home.setAttribute("aria-busy", true); wake(); }, one = (value) => value.toFixed(1);
  const control = {}, add = (name, options, changed = change) => { control[name] = slider(sliders, options, changed); };
  add("items", { label: "items N", ...pick(items) });
  add("dim", { label: "dimensions d", ...pick(dims) }, () => { control.rank.say(); change(); });
  add("offset", { label: "cone offset", max: 3, step: 0.1, value: 0, show: one });
  add("rank", { label: "rank", min: 1, max: 64, value: 64, show: (r) => `${Math.min(r, dims[control.dim.value])}` });
  add("strength", { label: "cluster strength", max: 3, step: 0.1, value: 0, show: one });
  add("noise", { label: "noise", max: 2, step: 0.1, value: 1, show: one });
  add("seed", { label: "seed", type: "number", max: 999999, value: 1 }, () => { drawn = P.draw(control.seed.value); change(); });
  const presets = { noise: [0, 64, 0, 1], cone: [2, 64, 0, 1], "rank 2": [0, 2, 0, 0.1], clusters: [0, 64, 1, 1] };
  for (const [name, values] of Object.entries(presets)) {
    button(buttons, name, () => { ["offset", "rank", "strength", "noise"].forEach((k, i) => { control[k].value = values[i]; }); change(); });
  }
  button(buttons, "another draw", () => { control.seed.value += 1; drawn = P.draw(control.seed.value); change(); });

  let drawn = P.draw(control.seed.value), stale = true, awake = false, m, x, counts, near, places, before;

  const spectrum = picture(pictures, { caption: "Spectrum; the line is noise, dashed its edge", ratio: 0.8 }, (view) => {
    const scale = m.values.reduce((a, b) => a + b, 0) / m.d, { pen } = view, top = Math.max(m.values[0], m.floor.edge) / scale * 1.1;
    const { px, py } = axes(view, { x: [0, m.d + 1], y: [0, top], bend: Math.sqrt, label: "direction",
      xticks: [1, m.d / 2, m.d].map((v) => [v, v]), yticks: [0, 1, 4, 9, 16, 36, 64].filter((v) => v < top) });
    const noise = Array.from(P.law(m.n, m.d), (v, j) => [px(j + 1), py(v * m.floor.variance / scale)]);
    line(pen, [[px(0), py(m.floor.edge / scale)], [px(m.d + 1), py(m.floor.edge / scale)]], colour("quiet"), [4, 4]);
    pen.lineWidth = 2;
    line(pen, noise, colour("quiet"));
    const [above, within] = [colour("orange"), colour("blue")];
    m.values.forEach((v, j) => dot(pen, [px(j + 1), py(v / scale)], 2.5, v > m.floor.edge ? above : within));
  });

  const histogram = picture(pictures, { caption: "Cosines of pairs; the line is noise, dashed the mean", ratio: 0.8, left: 8 }, (view) => {
    const bins = counts.length, null_ = Array.from({ length: 201 }, (_, i) => (1 - (i / 100 - 1) ** 2) ** ((m.d - 3) / 2));
    const area = null_.reduce((a, b) => a + b, 0) / 100, total = counts.reduce((a, b) => a + b, 0) * 2 / bins;
    const highest = Math.max(...null_.map((v) => v / area), ...counts.map((v) => v / total)), { pen } = view;
    const { px, py } = axes(view, { x: [-1, 1], y: [0, highest * 1.05], label: "cosine", xticks: [-1, 0, 1].map((v) => [v, v]), yticks: [] });
    pen.fillStyle = colour("blue");
    counts.forEach((v, b) => pen.fillRect(px(2 * b / bins - 1), py(v / total), px(2 / bins) - px(0) - 0.5, py(0) - py(v / total)));
    pen.lineWidth = 2;
    line(pen, null_.map((v, i) => [px(i / 100 - 1), py(v / area)]), colour("quiet"));
    line(pen, [[px(m.cosine), py(0)], [px(m.cosine), py(highest)]], colour("orange"), [4, 4]);
  });

  const plane = picture(pictures, { caption: "The two longest directions; colours are groups", ratio: 0.8, left: 8, bottom: 14 }, (view) => {
    const reach = Math.max(...places.flat().map(Math.abs)) * 1.05 || 1, { pen, frame } = view, wide = (frame.right - frame.left) / (frame.bottom - frame.top);
    const { px, py } = axes(view, { x: [-reach * wide, reach * wide], y: [-reach, reach], label: "", xticks: [], yticks: [] });
    const hues = Array.from({ length: P.MOST.groups }, (_, g) => `hsl(${g * 30} 65% 50%)`);
    places.forEach(([a, b], i) => dot(pen, [px(a), py(b)], 2, hues[i % hues.length]));
  });

  function measure() {
    const n = items[control.items.value], d = dims[control.dim.value];
    x = P.table(drawn, { items: n, dim: d, offset: control.offset.value, rank: control.rank.value, strength: control.strength.value, noise: control.noise.value });
    m = P.measure(x, n, d);
    counts = new Array(40).fill(0);
    P.cosines(m.unit, n, d).forEach((c) => { counts[Math.min(39, Math.floor((c + 1) * 20))] += 1; });
    places = P.project(x, n, d, m.axes, before);
    before = places.axes;
    near = null;
  }

  const question = (name, yes, because) => make("li", {}, make("b", {}, name), ` ${yes}: ${because}.`);
  function say(found) {
    const limit = nulls[`${m.n}x${m.d}`], guess = found || P.judge(m, { value: 1, sd: 1 }, limit), yes = (flag) => (flag ? "Yes" : "No");
    const share = found ? `neighbours share their group ${found.lift.value.toFixed(2)} times as often as chance; from ${(1 + 5 * found.lift.sd).toFixed(2)} on it is no luck` : "counting neighbours";
    answers.replaceChildren(
      question("Same direction?", yes(guess.cone), `mean cosine ${m.cosine.toFixed(3)}; a cone begins at ${limit.cone_limit.toFixed(3)}`),
      question("Few dimensions?", yes(guess.low), `participation ratio ${m.unitRatio.toFixed(1)} of rows at equal length (${m.ratio.toFixed(1)} of rows as they are, effective rank ${m.rank.toFixed(1)}); few is up to ${limit.unit_ratio_limit.toFixed(1)}, noise has ${limit.unit_ratio_mean.toFixed(1)}`),
      question("Only noise?", guess.off ? "The spectrum differs" : "It cannot be told from noise", `distance to the law ${m.distance.toFixed(3)}, noise stays below ${(limit.distance_mean + 5 * limit.distance_sd).toFixed(3)}; eigenvalues above the edge: ${m.floor.outliers}`),
      question("Do neighbours mean anything?", found ? yes(found.structured) : "…", share));
    if (!found) return;
    verdict.textContent = `Verdict: ${found.words.join(", ")}`;
    spectrum.describe(`${m.d} eigenvalues, ${m.floor.outliers} above the edge of noise; the largest is ${(m.values[0] / m.floor.edge).toFixed(2)} times the edge`);
    histogram.describe(`Histogram of cosines, mean ${m.cosine.toFixed(3)}`);
    plane.describe(`${m.n} items in their two longest directions, in ${P.MOST.groups} colours`);
  }

  // A frame either measures what a slider has changed, or counts the neighbours of some more items.
  function wake() { if (!awake) { awake = true; requestAnimationFrame(frame); } }
  function frame() {
    awake = false;
    if (stale) {
      stale = false;
      measure();
      [spectrum, histogram, plane].forEach((shown) => shown.repaint());
      say();
      wake();
      return;
    }
    near = near || P.neighbours(m.unit, m.n, m.d);
    if (!near.step(40)) wake();
    else {
      const lift = P.lift(near, m.n);
      say({ lift, ...P.judge(m, lift, nulls[`${m.n}x${m.d}`]) });
      home.setAttribute("aria-busy", false);
    }
  }
  measure();
  change();
})();
