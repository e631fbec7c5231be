// The map: all rows as points, drawn straight into pixels; lasso, box, moving, zooming, by mouse, finger and keyboard.

import { by } from "./parts.js";

const MARGIN = 14;
const HIT = 12; // pixels around a click

export class Scatter {
  constructor(view, opened) {
    this.view = view;
    this.canvas = by("scatter");
    this.over = by("drawn");
    this.tool = "lasso";
    this.colours = null;
    this.x = this.y = null;
    this.asked = false;
    this.trail = null;
    this.pointers = new Map();
    this.opened = opened;
    view.addEventListener("shown", () => this.draw());
    view.addEventListener("selected", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.listen();
    this.resize();
  }

  place(x, y) {
    this.x = x;
    this.y = y;
    by("nothing").hidden = Boolean(x);
    by("nothing").closest(".mapping").classList.toggle("bare", !x);
    this.fit();
  }

  colour(colours) {
    this.colours = colours;
    this.draw();
  }

  fit() {
    if (!this.x) return this.draw();
    let [left, right, low, high] = [Infinity, -Infinity, Infinity, -Infinity];
    for (let row = 0; row < this.view.count; row++) {
      const x = this.x[row], y = this.y[row];
      if (x < left) left = x;
      if (x > right) right = x;
      if (y < low) low = y;
      if (y > high) high = y;
    }
    if (!(right > left)) [left, right] = [left - 1, left + 1];
    if (!(high > low)) [low, high] = [low - 1, low + 1];
    const { width, height } = this.canvas, edge = MARGIN * this.ratio;
    this.scaleX = Math.max(1, width - 2 * edge) / (right - left);
    this.scaleY = Math.max(1, height - 2 * edge) / (high - low);
    this.left = edge - left * this.scaleX;
    this.top = height - edge + low * this.scaleY;
    this.draw();
  }

  resize() {
    this.ratio = Math.min(devicePixelRatio || 1, 2);
    const { clientWidth, clientHeight } = this.canvas;
    for (const one of [this.canvas, this.over]) {
      one.width = Math.max(1, Math.round(clientWidth * this.ratio));
      one.height = Math.max(1, Math.round(clientHeight * this.ratio));
    }
    this.fit();
  }

  draw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.drawNow(); });
  }

  drawNow() {
    const context = this.canvas.getContext("2d"), { width, height } = this.canvas;
    if (!this.x || !this.colours) return context.clearRect(0, 0, width, height);
    const image = context.createImageData(width, height);
    const pixels = new Uint32Array(image.data.buffer);
    const { failed, selected, chosen, count } = this.view, { index, palette } = this.colours;
    const radius = (count <= 200 ? 5 : count <= 5000 ? 2.6 : 1.2) * this.ratio;
    const faint = this.faint(), strong = disc(radius, width), small = disc(Math.max(0.6, radius * 0.6), width);
    for (let row = 0; row < count; row++) if (failed[row]) this.stamp(pixels, small, row, faint);
    for (let row = 0; row < count; row++) {
      if (!failed[row] && !selected[row]) this.stamp(pixels, strong, row, chosen ? dimmed(palette[index[row]]) : palette[index[row]]);
    }
    if (chosen) {
      const ring = disc(radius + 1.6 * this.ratio, width), ink = this.ink();
      for (let row = 0; row < count; row++) if (selected[row] && !failed[row]) this.stamp(pixels, ring, row, ink);
      for (let row = 0; row < count; row++) if (selected[row] && !failed[row]) this.stamp(pixels, strong, row, palette[index[row]]);
    }
    context.putImageData(image, 0, 0);
  }

  stamp(pixels, offsets, row, colour) {
    const x = Math.round(this.x[row] * this.scaleX + this.left), y = Math.round(this.top - this.y[row] * this.scaleY);
    const { width, height } = this.canvas, edge = offsets.reach;
    if (!(x >= edge && x < width - edge && y >= edge && y < height - edge)) return;
    const middle = y * width + x;
    for (const offset of offsets) pixels[middle + offset] = colour;
  }

  ink() { return this.variable("--ink"); }
  faint() { return this.variable("--faint"); }

  variable(name) {
    const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));
    return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
  }

  // Rows that are shown and lie where `inside(x, y)` says, in pixels of the canvas.
  within(inside) {
    const rows = [];
    for (const row of this.view.shown) {
      if (inside(this.x[row] * this.scaleX + this.left, this.top - this.y[row] * this.scaleY)) rows.push(row);
    }
    return rows;
  }

  nearest(x, y) {
    let best = -1, least = (HIT * this.ratio) ** 2;
    for (const row of this.view.shown) {
      const far = (this.x[row] * this.scaleX + this.left - x) ** 2 + (this.top - this.y[row] * this.scaleY - y) ** 2;
      if (far < least) [best, least] = [row, far];
    }
    return best;
  }

  zoom(factor, x = this.canvas.width / 2, y = this.canvas.height / 2) {
    this.scaleX *= factor;
    this.scaleY *= factor;
    this.left = x - (x - this.left) * factor;
    this.top = y - (y - this.top) * factor;
    this.draw();
  }

  move(x, y) {
    this.left += x;
    this.top += y;
    this.draw();
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect();
    return [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio];
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => {
      if (!this.x || event.button) return;
      canvas.setPointerCapture(event.pointerId);
      this.pointers.set(event.pointerId, this.at(event));
      this.trail = this.pointers.size === 1 ? [this.at(event)] : null;
      this.outline();
    });
    canvas.addEventListener("pointermove", (event) => this.dragged(event));
    canvas.addEventListener("pointerup", (event) => this.released(event));
    canvas.addEventListener("pointercancel", (event) => { this.pointers.delete(event.pointerId); this.trail = null; this.outline(); });
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (this.x) this.zoom(Math.exp(-event.deltaY / 400), ...this.at(event));
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.pressed(event));
  }

  dragged(event) {
    const before = this.pointers.get(event.pointerId), now = this.at(event);
    if (!before) return;
    if (this.pointers.size === 2) {
      const other = [...this.pointers].find(([id]) => id !== event.pointerId)[1];
      const far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
      this.zoom(far(now) / far(before), ...other);
    } else if (this.tool === "move" && this.trail) {
      this.move(now[0] - before[0], now[1] - before[1]);
      this.trail.push(now);
    } else if (this.trail) {
      this.trail.push(now);
      this.outline();
    }
    this.pointers.set(event.pointerId, now);
  }

  released(event) {
    if (!this.pointers.delete(event.pointerId) || !this.trail) return;
    const trail = this.trail, [x, y] = trail[0];
    this.trail = null;
    this.outline();
    if (trail.every((p) => Math.hypot(p[0] - x, p[1] - y) < 4 * this.ratio)) {
      const row = this.nearest(x, y);
      if (row >= 0) this.opened(row);
      return;
    }
    if (this.tool === "move") return;
    const [u, v] = trail[trail.length - 1];
    const inside = this.tool === "box"
      ? (a, b) => a >= Math.min(x, u) && a <= Math.max(x, u) && b >= Math.min(y, v) && b <= Math.max(y, v)
      : (a, b) => enclosed(trail, a, b);
    this.view.select(this.within(inside), event.shiftKey ? "add" : "replace");
  }

  pressed(event) {
    const step = 40 * this.ratio;
    const act = {
      ArrowLeft: () => this.move(step, 0), ArrowRight: () => this.move(-step, 0),
      ArrowUp: () => this.move(0, step), ArrowDown: () => this.move(0, -step),
      "+": () => this.zoom(1.3), "=": () => this.zoom(1.3), "-": () => this.zoom(1 / 1.3), 0: () => this.fit(),
    }[event.key];
    if (!act || !this.x || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    act();
  }

  outline() {
    const context = this.over.getContext("2d");
    context.clearRect(0, 0, this.over.width, this.over.height);
    if (!this.trail || this.tool === "move" || this.trail.length < 2) return;
    const [x, y] = this.trail[0], [u, v] = this.trail[this.trail.length - 1];
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--accent");
    context.lineWidth = 1.5 * this.ratio;
    context.setLineDash([5 * this.ratio, 3 * this.ratio]);
    context.beginPath();
    if (this.tool === "box") context.rect(x, y, u - x, v - y);
    else this.trail.forEach((p, number) => (number ? context.lineTo(...p) : context.moveTo(...p)));
    context.stroke();
  }
}

// Offsets of the pixels of a disc.
function disc(radius, width) {
  const found = [], reach = Math.ceil(radius);
  for (let y = -reach; y <= reach; y++) {
    for (let x = -reach; x <= reach; x++) if (x * x + y * y <= radius * radius + 0.3) found.push(y * width + x);
  }
  found.reach = reach;
  return found;
}

const dimmed = (colour) => ((colour & 0x00ffffff) | (0x60 << 24)) >>> 0;

// Whether a point lies in a polygon: a ray from it crosses the border an odd number of times.
export function enclosed(polygon, x, y) {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i], [xj, yj] = polygon[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
