// Pictures in rows; only those in sight have elements, which are used again as it scrolls.

import { by, named, part } from "./parts.js";
import { picture } from "./rows.js";

const TILE = 108, HIGH = 122, SPARE = 2; // pixels; lines above and below

export class Grid {
  constructor(view, said, opened) {
    this.view = view;
    this.said = said; // row → [text, wrong]
    this.opened = opened;
    this.box = by("grid");
    this.room = by("room");
    this.tiles = new Map(); // place → tile
    this.free = [];
    this.at = 0;
    this.ready = false; // pictures are being looked for
    this.box.addEventListener("scroll", () => this.ask(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.pressed(event));
    this.room.addEventListener("click", (event) => this.clicked(event));
    new ResizeObserver(() => this.layout()).observe(this.box);
    view.addEventListener("shown", () => { this.at = 0; this.box.scrollTop = 0; this.layout(); });
    view.addEventListener("selected", () => this.mark());
  }

  layout() {
    this.columns = Math.max(2, Math.floor(this.box.clientWidth / TILE));
    this.width = this.box.clientWidth / this.columns;
    this.room.style.height = `${Math.ceil(this.view.shown.length / this.columns) * HIGH}px`;
    for (const place of [...this.tiles.keys()]) this.release(place);
    this.ask();
  }

  ask() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => { this.asked = false; this.draw(); });
  }

  draw() {
    const { scrollTop, clientHeight } = this.box;
    const begin = Math.max(0, Math.floor(scrollTop / HIGH) - SPARE) * this.columns;
    const end = Math.min(this.view.shown.length, (Math.ceil((scrollTop + clientHeight) / HIGH) + SPARE) * this.columns);
    for (const place of [...this.tiles.keys()]) if (place < begin || place >= end) this.release(place);
    for (let place = begin; place < end; place++) if (!this.tiles.has(place)) this.show(place);
    this.mark();
  }

  release(place) {
    const tile = this.tiles.get(place);
    this.tiles.delete(place);
    tile.hidden = true;
    tile.image.removeAttribute("src");
    this.free.push(tile);
  }

  show(place) {
    const tile = this.free.pop() || this.made(), row = this.view.shown[place];
    tile.hidden = false;
    Object.assign(tile.style, {
      left: `${(place % this.columns) * this.width}px`, top: `${Math.floor(place / this.columns) * HIGH}px`,
      width: `${this.width}px`, height: `${HIGH}px`,
    });
    tile.dataset.row = row;
    tile.dataset.place = place;
    tile.id = `tile-${place}`;
    tile.blank.textContent = this.ready ? "" : "…";
    tile.image.hidden = !this.ready;
    if (this.ready) tile.image.src = picture(row, 96);
    const [text, wrong] = this.said(row);
    tile.words.textContent = named(text);
    tile.words.classList.toggle("wrong", wrong);
    tile.title = text;
    this.tiles.set(place, tile);
  }

  made() {
    const image = part("img", { alt: "", decoding: "async" });
    const blank = part("span", { className: "missing" });
    const words = part("span", { className: "said" });
    const tile = part("div", { className: "tile", role: "option" }, part("span", { className: "frame-of" }, image, blank), words);
    image.addEventListener("error", () => {
      if (!image.hasAttribute("src")) return;
      image.hidden = true;
      blank.textContent = "not found";
    });
    Object.assign(tile, { image, blank, words });
    this.room.append(tile);
    return tile;
  }

  // Pictures were looked for.
  renew() {
    this.ready = true;
    for (const place of [...this.tiles.keys()]) this.release(place);
    this.ask();
  }

  mark() {
    for (const [place, tile] of this.tiles) {
      tile.setAttribute("aria-selected", this.view.selected[tile.dataset.row] ? "true" : "false");
      tile.classList.toggle("here", place === this.at && document.activeElement === this.box);
    }
    this.box.setAttribute("aria-activedescendant", this.tiles.has(this.at) ? `tile-${this.at}` : "");
  }

  clicked(event) {
    const tile = event.target.closest(".tile");
    if (!tile) return;
    this.at = Number(tile.dataset.place);
    const row = Number(tile.dataset.row);
    if (event.ctrlKey || event.metaKey || event.shiftKey) this.view.select([row], "toggle");
    else this.opened(row);
  }

  pressed(event) {
    const { columns, at } = this, last = this.view.shown.length - 1;
    const page = columns * Math.max(1, Math.floor(this.box.clientHeight / HIGH));
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns,
      PageUp: at - page, PageDown: at + page, Home: 0, End: last,
    }[event.key];
    if (last < 0 || event.altKey || event.metaKey) return;
    if (to !== undefined) this.go(Math.min(Math.max(to, 0), last));
    else if (event.key === "Enter") this.opened(this.view.shown[at]);
    else if (event.key === " ") this.view.select([this.view.shown[at]], "toggle");
    else return;
    event.preventDefault();
  }

  go(place) {
    this.at = place;
    const top = Math.floor(place / this.columns) * HIGH, { scrollTop, clientHeight } = this.box;
    if (top < scrollTop) this.box.scrollTop = top;
    else if (top + HIGH > scrollTop + clientHeight) this.box.scrollTop = top + HIGH - clientHeight;
    this.draw();
  }
}
