// What both panels are built of: sliders, buttons, pictures that follow the theme and the width of the page.
"use strict";

const Panel = (() => {
  function make(tag, attributes = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    node.append(...children);
    return node;
  }

  function slider(into, { label, min = 0, max, step = 1, value, show = String, type = "range" }, changed) {
    const input = make("input", { type, min, max, step, value }), output = make("output");
    const say = () => { output.textContent = show(+input.value); input.setAttribute("aria-valuetext", output.textContent); };
    const control = {
      get value() { return Math.min(max, Math.max(min, +input.value)); },
      set value(wanted) { input.value = wanted; say(); },
      say,
    };
    input.addEventListener("input", () => { say(); changed(); });
    into.append(make("label", {}, make("span", {}, label), input, ...(type === "range" ? [output] : [])));
    say();
    return control;
  }

  function button(into, label, pressed) {
    const node = make("button", { type: "button" }, label);
    node.addEventListener("click", pressed);
    into.append(node);
    return node;
  }

  const colour = (name) => getComputedStyle(document.querySelector(".playground")).getPropertyValue(`--${name}`).trim();

  // A canvas with a caption; `paint` gets a pen, the size, and two functions from numbers to places.
  function picture(into, { caption, ratio, left = 34, bottom = 30 }, paint) {
    const canvas = make("canvas", { role: "img" }), pen = canvas.getContext("2d");
    into.append(make("figure", {}, make("figcaption", {}, caption), canvas));
    const repaint = () => {
      const width = canvas.clientWidth, height = Math.round(width * ratio), dots = window.devicePixelRatio || 1;
      if (!width) return;
      if (canvas.width !== Math.round(width * dots) || canvas.height !== Math.round(height * dots)) {
        canvas.width = Math.round(width * dots);
        canvas.height = Math.round(height * dots);
        canvas.style.height = `${height}px`;
      }
      pen.setTransform(dots, 0, 0, dots, 0, 0);
      pen.clearRect(0, 0, width, height);
      pen.font = `12px ${getComputedStyle(document.body).fontFamily}`;
      paint({ pen, frame: { left, right: width - 8, top: 8, bottom: height - bottom } });
    };
    new ResizeObserver(repaint).observe(canvas);
    new MutationObserver(repaint).observe(document.documentElement, { attributes: true, attributeFilter: ["data-scheme"] });
    return { repaint, describe: (text) => canvas.setAttribute("aria-label", text) };
  }

  function axes({ pen, frame }, { x, y, xticks, yticks, label, bend = (v) => v }) {
    const place = (value, [low, high], from, to) => from + (value - low) / (high - low) * (to - from);
    const px = (v) => place(v, x, frame.left, frame.right), py = (v) => place(bend(v), y.map(bend), frame.bottom, frame.top);
    pen.strokeStyle = colour("rule");
    pen.fillStyle = colour("quiet");
    pen.lineWidth = 1;
    pen.strokeRect(frame.left, frame.top, frame.right - frame.left, frame.bottom - frame.top);
    pen.textAlign = "center";
    for (const [value, text] of xticks) pen.fillText(text, px(value), frame.bottom + 13);
    pen.fillText(label, (frame.left + frame.right) / 2, frame.bottom + 26);
    pen.textAlign = "right";
    for (const value of yticks) pen.fillText(value, frame.left - 5, py(value) + 4);
    return { px, py };
  }

  function line(pen, points, paint, dashes = []) {
    pen.setLineDash(dashes);
    pen.strokeStyle = paint;
    pen.beginPath();
    for (const [x, y] of points) pen.lineTo(x, y);
    pen.stroke();
    pen.setLineDash([]);
  }

  function dot(pen, [x, y], radius, paint) {
    pen.fillStyle = paint;
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }

  return { make, slider, button, picture, axes, line, dot, colour };
})();
