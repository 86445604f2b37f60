// Line charts as SVG: axes, bands of states, a hair that reads the curves off, zoom along x.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}, parent = null, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text) made.textContent = text;
  if (parent) parent.append(made);
  return made;
}

function ticks(low, high, count) {
  const rough = (high - low) / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) {
    found.push({ value, text: value.toFixed(Math.max(0, -Math.floor(Math.log10(step) + 1e-9))) });
  }
  return found;
}

// At most two points a pixel: the least and the greatest of those that fall on it.
function thin(x, y, from, to, pixels) {
  const per = (to - from) / Math.max(pixels, 1);
  if (per <= 2) return Array.from({ length: to - from }, (_, i) => from + i);
  const kept = [];
  for (let pixel = 0; pixel < pixels; pixel++) {
    const first = Math.floor(from + pixel * per);
    const last = Math.min(Math.floor(from + (pixel + 1) * per), to);
    let [low, high] = [first, first];
    for (let i = first; i < last; i++) {
      if (Number.isNaN(y[i])) [low, high] = [i, high];
      else if (!(y[i] >= y[low])) low = i;
      if (y[i] > y[high]) high = i;
    }
    kept.push(...(low < high ? [low, high] : low > high ? [high, low] : [low]));
  }
  return kept;
}

class Chart {
  // spec: { x: [low, high], y: [low, high], lines: [{ name, colour, x, y, width, dash, steps }],
  //         bands: [[from, to, colour]], marks: [{ x, y, text }], xLabel, yLabel, onPick, zoomable }
  constructor(box, spec) {
    Object.assign(this, { box, spec, range: [...spec.x], at: null });
    this.svg = element("svg", { role: "img", "aria-label": spec.label });
    this.svg.style.height = `${spec.height || 260}px`;
    box.append(this.svg);
    this.read = document.createElement("output");
    box.append(this.read);
    this.listen();
    new ResizeObserver(() => this.draw()).observe(box);
  }

  get area() {
    const width = this.box.clientWidth;
    const height = this.svg.clientHeight;
    return { left: 40, right: width - 8, top: 8, bottom: height - (this.spec.bare ? 6 : 24), width, height };
  }

  toX(value) {
    const { left, right } = this.area;
    return left + ((value - this.range[0]) / (this.range[1] - this.range[0])) * (right - left);
  }

  toY(value) {
    const { top, bottom } = this.area;
    const [low, high] = this.spec.y;
    return bottom - ((clamp(value, low - high, 3 * high) - low) / (high - low)) * (bottom - top);
  }

  fromX(pixel) {
    const { left, right } = this.area;
    const share = clamp((pixel - left) / (right - left), 0, 1);
    return this.range[0] + share * (this.range[1] - this.range[0]);
  }

  draw() {
    const { area, svg, spec } = this;
    if (area.width < 60) return;
    svg.setAttribute("viewBox", `0 0 ${area.width} ${area.height}`);
    svg.replaceChildren();
    const id = `clip-${spec.id}`;
    const clip = element("clipPath", { id }, element("defs", {}, svg));
    const frame = { x: area.left, y: 0, width: area.right - area.left, height: area.bottom };
    element("rect", frame, clip);
    const inside = element("g", { "clip-path": `url(#${id})` }, svg);
    for (const [from, to, colour] of spec.bands || []) {
      const [x, end] = [this.toX(from), this.toX(to)];
      if (end < area.left || x > area.right) continue;
      element("rect", { ...frame, x, width: Math.max(end - x, 0.5), fill: `var(--${colour})`, class: "band" }, inside);
    }
    this.axes();
    for (const line of spec.lines) this.curve(line, inside);
    for (const mark of spec.marks || []) this.mark(mark, inside);
    this.head = element("line", { y1: 0, y2: area.bottom, class: "head" }, inside);
    this.hair = element("line", { y1: 0, y2: area.bottom, class: "hair" }, inside);
    this.moveTo(this.at);
  }

  axes() {
    const { area, svg, spec } = this;
    const levels = spec.yTicks ? spec.yTicks.map((value) => ({ value })) : ticks(...spec.y, area.height / 55);
    for (const { value, text } of levels) {
      const y = this.toY(value);
      element("line", { x1: area.left, x2: area.right, y1: y, y2: y, class: "grid" }, svg);
      element("text", { x: area.left - 6, y: y + 4, class: "y" }, svg, spec.yText ? spec.yText(value) : text);
    }
    if (spec.bare) return;
    for (const { value, text } of ticks(...this.range, area.width / 90)) {
      const x = this.toX(value);
      const anchor = x > area.right - 14 ? "end" : x < area.left + 10 ? "start" : "middle";
      element("text", { x, y: area.height - 6, "text-anchor": anchor }, svg, `${text}${spec.xUnit || ""}`);
    }
  }

  curve({ x, y, colour, width = 1.6, dash = "", steps = false }, parent) {
    const from = Math.max(lastNotAfter(x, this.range[0]), 0);
    const to = Math.min(lastNotAfter(x, this.range[1]) + 2, x.length);
    let path = "";
    let pen = "M";
    let before = 0;
    for (const i of thin(x, y, from, to, Math.round(this.area.width))) {
      if (Number.isNaN(y[i])) {
        pen = "M";
        continue;
      }
      const at = this.toX(x[i]).toFixed(1);
      if (steps && pen === "L") path += `L${at} ${before}`;
      before = this.toY(y[i]).toFixed(1);
      path += `${pen}${at} ${before}`;
      pen = "L";
    }
    element("path", { d: path, stroke: `var(--${colour})`, "stroke-width": width, "stroke-dasharray": dash }, parent);
  }

  mark({ x, y, text }, parent) {
    const [px, py] = [this.toX(x), this.toY(y)];
    if (px < this.area.left || px > this.area.right) return;
    element("circle", { cx: px, cy: py, r: 4.5, class: "mark" }, parent);
    if (!text) return;
    const left = px > this.area.width * 0.6;
    const attributes = { x: px + (left ? -9 : 9), y: py + 4, "text-anchor": left ? "end" : "start", class: "mark" };
    element("text", attributes, parent, text);
  }

  moveTo(value) {
    this.at = value;
    if (!this.head || value === null) return;
    const x = this.toX(value);
    this.head.setAttribute("x1", x);
    this.head.setAttribute("x2", x);
  }

  zoom(low, high) {
    const [least, most] = this.spec.x;
    const span = clamp(high - low, Math.min(0.5, most - least), most - least);
    const start = clamp((low + high - span) / 2, least, most - span);
    this.range = [start, start + span];
    this.draw();
    if (this.spec.onZoom) this.spec.onZoom(this.range);
  }

  listen() {
    const { svg, spec } = this;
    let pressed = null;
    const value = (event) => this.fromX(event.clientX - svg.getBoundingClientRect().left);
    svg.addEventListener("pointerdown", (event) => (pressed = value(event)));
    svg.addEventListener("pointermove", (event) => this.hover(value(event)));
    svg.addEventListener("pointerleave", () => this.hover(null));
    svg.addEventListener("pointerup", (event) => {
      const here = value(event);
      const span = this.range[1] - this.range[0];
      const dragged = spec.zoomable && Math.abs(here - pressed) > 0.03 * span;
      if (dragged) this.zoom(Math.min(here, pressed), Math.max(here, pressed));
      else if (spec.onPick) spec.onPick(here);
      pressed = null;
    });
    if (spec.zoomable) svg.addEventListener("dblclick", () => this.zoom(...spec.x));
  }

  hover(value) {
    if (!this.hair) return;
    this.hair.style.display = value === null ? "none" : "block";
    if (value === null) return;
    const x = this.toX(value);
    this.hair.setAttribute("x1", x);
    this.hair.setAttribute("x2", x);
    this.read.textContent = this.spec.text(value);
  }
}
