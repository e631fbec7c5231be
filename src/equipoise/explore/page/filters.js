// Filters: a pair of sliders a number, boxes a category, and two models against each other.

import { by, fill, named, part, rounded, whole } from "./parts.js";

const MOST = 200; // values that are listed at once
const STEPS = 1000;

// Low and high of one column; `shares` are percentiles where the column is no share itself.
export class Slider {
  constructor(view, column, values, ranked) {
    this.view = view;
    this.key = `range:${column.name}`;
    this.values = values;
    [this.from, this.to] = ranked || column.share ? [0, 1] : [column.low, column.high];
    const end = (value, label) => part("input", { type: "range", min: 0, max: STEPS, step: 1, value, "aria-label": `${column.title}, ${label}` });
    this.low = end(0, "at least");
    this.high = end(STEPS, "at most");
    this.text = part("span", { className: "number" });
    const title = part("span", { textContent: column.title + (ranked ? " (percentile)" : "") });
    this.element = part("div", { className: "slider", data: { column: column.name } }, part("div", { className: "head" }, title, this.text), this.low, this.high);
    for (const one of [this.low, this.high]) {
      one.addEventListener("input", () => {
        if (+this.low.value > +this.high.value) (one === this.low ? this.high : this.low).value = one.value;
        this.apply();
      });
    }
    this.say();
  }

  value(slider) {
    return this.from + (slider.value / STEPS) * (this.to - this.from);
  }

  say() {
    this.text.textContent = `${rounded(this.value(this.low))} … ${rounded(this.value(this.high))}`;
  }

  apply() {
    this.say();
    const all = +this.low.value === 0 && +this.high.value === STEPS;
    // ends are open: single precision must not hide the outermost rows
    const low = +this.low.value ? this.value(this.low) : -Infinity, high = +this.high.value < STEPS ? this.value(this.high) : Infinity;
    this.view.set(this.key, all ? null : { values: this.values, low, high });
  }

  get state() { return [+this.low.value, +this.high.value]; }
  restore([low, high]) { this.low.value = low; this.high.value = high; this.apply(); }
  reset() { this.restore([0, STEPS]); }
}

// Values of one category, fetched once it is opened. None ticked shows all.
export class Facet {
  constructor(view, rows, column, open) {
    this.view = view;
    this.rows = rows;
    this.column = column;
    this.values = null;
    this.key = `facet:${column.name}`;
    this.allowed = new Uint8Array(column.names.length + 1);
    this.list = part("div", { className: "values" });
    this.search = part("input", { type: "search", placeholder: "find a value", "aria-label": `Find a value of ${column.title}`, hidden: column.names.length <= 12 });
    this.search.addEventListener("input", () => this.draw());
    this.element = part("details", { className: "facet", open, data: { column: column.name } }, part("summary", { textContent: column.title }), this.search, this.list);
    this.element.addEventListener("toggle", () => this.draw());
    view.addEventListener("shown", () => this.draw());
    this.draw();
  }

  async load() {
    this.values ??= await this.rows.column(this.column.name);
  }

  draw() {
    if (!this.element.open) return;
    if (!this.values) { this.load().then(() => this.draw()); return; }
    const { names } = this.column, counts = this.view.counts(this.values, names.length, this.key);
    const wanted = this.search.value.toLowerCase();
    let codes = [...names.keys()].filter((code) => names[code].toLowerCase().includes(wanted));
    if (names.length > 12) codes.sort((a, b) => this.allowed[b + 1] - this.allowed[a + 1] || counts[b + 1] - counts[a + 1] || a - b);
    const left = codes.length - MOST;
    codes = codes.slice(0, MOST);
    if (counts[0] || this.allowed[0]) codes.push(-1);
    this.label(codes, counts, left);
  }

  // Boxes stay where they are as long as the values do, so that the keyboard's place is not lost.
  label(codes, counts, left) {
    if (codes.join() !== this.codes) {
      this.codes = codes.join();
      this.boxes = codes.map((code) => {
        const box = part("input", { type: "checkbox" }), number = part("span", { className: "number" });
        box.addEventListener("change", () => { this.allowed[code + 1] = box.checked ? 1 : 0; this.apply(); });
        const text = code < 0 ? "(missing)" : named(this.column.names[code]);
        return { code, box, number, element: part("label", {}, box, part("span", { textContent: text }), number) };
      });
      this.list.replaceChildren(...this.boxes.map((one) => one.element));
      if (left > 0) this.list.append(part("p", { className: "number", textContent: `and ${whole(left)} more: find them by name` }));
    }
    for (const { code, box, number } of this.boxes) {
      box.checked = Boolean(this.allowed[code + 1]);
      number.textContent = whole(counts[code + 1]);
    }
  }

  apply() {
    this.view.set(this.key, this.allowed.some(Boolean) ? { values: this.values, allowed: this.allowed } : null);
  }

  get state() { return [...this.allowed.keys()].filter((place) => this.allowed[place]); }
  async restore(places) {
    await this.load();
    this.allowed.fill(0);
    for (const place of places) if (place < this.allowed.length) this.allowed[place] = 1;
    this.element.open ||= places.length > 0;
    this.apply();
  }
  reset() {
    this.allowed.fill(0);
    this.apply();
  }
}

// Two models: four cells, right and wrong in each.
export class Models {
  constructor(view, rows) {
    this.view = view;
    this.rows = rows;
    this.cell = -1;
    const right = rows.withRole("right");
    if (right.length < 2) return;
    const choices = right.map((one) => [one.name, one.model]);
    [this.a, this.b] = ["A", "B"].map((letter, number) => {
      const select = part("select", { "aria-label": `Model ${letter}` });
      fill(select, choices, choices[number][0]);
      select.addEventListener("change", () => this.load());
      return select;
    });
    this.buttons = [3, 1, 2, 0].map((code) => {
      const button = part("button", { type: "button", "aria-pressed": "false", data: { cell: code } });
      button.addEventListener("click", () => { this.cell = this.cell === code ? -1 : code; this.apply(); });
      return button;
    });
    const line = (letter, select) => part("label", {}, `${letter} `, select);
    by("models").replaceChildren(part("h2", { textContent: "Two models" }), line("A", this.a), line("B", this.b), part("div", { className: "cells" }, ...this.buttons));
    by("models").hidden = false;
    view.addEventListener("shown", () => this.say());
    this.ready = this.load();
  }

  // Code of a row: 1 if A is right + 2 if B is right; −1 where that is not known.
  async load() {
    const [a, b] = await Promise.all([this.a, this.b].map((one) => this.rows.column(one.value)));
    this.codes = Int32Array.from(a, (x, row) => (x < 0 || b[row] < 0 ? -1 : x + 2 * b[row]));
    this.apply();
  }

  apply() {
    const allowed = new Uint8Array(5);
    allowed[this.cell + 1] = 1;
    this.view.set("models", this.cell < 0 ? null : { values: this.codes, allowed });
  }

  say() {
    if (!this.codes) return;
    const counts = this.view.counts(this.codes, 4, "models");
    for (const button of this.buttons) {
      const code = +button.dataset.cell, word = (bit) => (code & bit ? "right" : "wrong");
      button.textContent = `A ${word(1)}, B ${word(2)}: ${whole(counts[code + 1])}`;
      button.setAttribute("aria-pressed", String(code === this.cell));
    }
  }

  get state() { return this.a ? [this.a.value, this.b.value, this.cell] : null; }
  restore([a, b, cell]) {
    if (!this.a) return null;
    [this.a.value, this.b.value, this.cell] = [a, b, cell];
    if (!this.a.value || !this.b.value) [this.a.selectedIndex, this.b.selectedIndex, this.cell] = [0, 1, -1];
    return this.load();
  }
  reset() { if (this.a) { this.cell = -1; this.apply(); } }
}
