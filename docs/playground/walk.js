// Panel 2: four tokens, each with its own noise, and the walk back under the best guess there is.
"use strict";

(() => {
  const home = document.getElementById("playground-walk");
  if (!home) return;
  const P = Playground, { items, popularity, steps } = P.CATALOGUE, { make, slider, button, picture, axes, line, dot, colour } = Panel;
  const truth = [0, 2, 3, 4], sliders = make("div", { class: "sliders" }), buttons = make("div", { class: "buttons" });
  const pictures = make("div", { class: "pictures plane" }), rows = make("tbody"), still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const head = ["token", "item", "steps of noise", "best guess"].map((name) => make("th", { scope: "col" }, name));
  home.replaceChildren(sliders, buttons, pictures, make("table", {}, make("thead", {}, make("tr", {}, ...head)), rows));

  let tokens = [], noise, timer = null;
  const levels = truth.map((item, k) => slider(sliders, { label: `noise of token ${k + 1}`, max: steps, value: [4, 10, 18, 32][k] }, start));
  const seed = slider(sliders, { label: "seed", type: "number", min: 0, max: 999999, value: 1 }, start);

  function start() {
    pause();
    noise = P.normals(seed.value, truth.length * 2 * (steps + 1));
    tokens = truth.map((item, k) => {
      const left = levels[k].value, eps = noise.subarray(2 * k, 2 * k + 2);
      return { item, left, path: [left ? P.noised(items[item], left - 1, eps) : items[item]] };
    });
    show();
  }

  function step() {
    tokens.forEach((token, k) => {
      if (!token.left) return;
      token.left -= 1;
      const from = 2 * (truth.length * (token.left + 1) + k);
      token.path.push(P.stepBack(token.path.at(-1), token.left, noise.subarray(from, from + 2)));
    });
    show();
    return tokens.some((token) => token.left);
  }

  function pause() { clearTimeout(timer); timer = null; play.textContent = "Play"; }
  function run() { if (step()) timer = setTimeout(run, 150); else pause(); }
  button(buttons, "Step", () => { pause(); step(); });
  const play = button(buttons, "Play", () => {
    if (timer) { pause(); return; }
    if (!tokens.some((token) => token.left)) start();
    if (still.matches) { while (step()); return; }
    play.textContent = "Pause";
    run();
  });
  button(buttons, "Again", () => { seed.value += 1; start(); });

  const plane = picture(pictures, { caption: "Rings are items, as large as they are popular; crosses are the best guesses", ratio: 0.85 }, (view) => {
    const { pen } = view, ticks = [-2, 0, 2];
    const { px, py } = axes(view, { x: [-4.1, 4.1], y: [-3.3, 3.3], label: "dimension 1", xticks: ticks.map((v) => [v, v]), yticks: ticks });
    const at = ([a, b]) => [px(a), py(b)];
    items.forEach((point, k) => {
      pen.strokeStyle = colour("quiet");
      pen.beginPath();
      pen.arc(...at(point), 30 * Math.sqrt(popularity[k]), 0, 2 * Math.PI);
      pen.stroke();
      pen.fillStyle = colour("quiet");
      pen.textAlign = "center";
      pen.fillText(`item ${k}`, px(point[0]), py(point[1]) + 30);
    });
    tokens.forEach((token, k) => {
      const paint = colour(`token-${k + 1}`), here = at(token.path.at(-1)), [gx, gy] = at(best(token).point);
      pen.lineWidth = 1;
      line(pen, token.path.map(at), paint);
      line(pen, [here, [gx, gy]], paint, [3, 3]);
      pen.lineWidth = 2;
      line(pen, [[gx - 5, gy - 5], [gx + 5, gy + 5]], paint);
      line(pen, [[gx - 5, gy + 5], [gx + 5, gy - 5]], paint);
      dot(pen, here, 9, paint);
      pen.fillStyle = colour("paper");
      pen.textAlign = "center";
      pen.fillText(k + 1, here[0], here[1] + 4);
    });
  });

  function best({ path, left, item }) {
    if (left) return P.guess(path.at(-1), left - 1);
    const distance = items.map(([a, b]) => Math.hypot(path.at(-1)[0] - a, path.at(-1)[1] - b)), nearest = distance.indexOf(Math.min(...distance));
    return { point: path.at(-1), shares: items.map((_, k) => +(k === nearest)) };
  }

  function show() {
    plane.repaint();
    rows.replaceChildren(...tokens.map((token, k) => {
      const { shares } = best(token), most = Math.max(...shares), name = shares.indexOf(most);
      const words = token.left ? `item ${name}, ${Math.round(100 * most)} %` : `ended nearest to item ${name}`;
      return make("tr", {}, ...[k + 1, token.item, token.left, words].map((text) => make("td", {}, text)));
    }));
    plane.describe(`Four tokens in the plane of six items, with ${tokens.map((t) => t.left).join(", ")} steps of noise left`);
  }

  start();
})();
