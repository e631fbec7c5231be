// How a map is made: PCA at once, UMAP once the server has it.

import { by } from "./parts.js";
import { asked } from "./rows.js";

const EVERY = 1000; // milliseconds between two questions

export class Ways {
  // `changed` draws the map again, `failed` says what went wrong.
  constructor(rows, changed, failed) {
    Object.assign(this, { rows, changed, failed, waiting: new Set(), said: new Map(), state: "pca" });
    this.buttons = [...document.querySelectorAll("[data-way]")];
    for (const button of this.buttons) {
      button.addEventListener("click", () => { this.state = button.dataset.way; this.mark(); changed().catch(failed); });
    }
  }

  restore(way) {
    if (this.buttons.some((one) => one.dataset.way === way)) this.state = way;
    this.mark();
  }

  mark() {
    for (const one of this.buttons) one.ariaPressed = String(one.dataset.way === this.state);
  }

  // Positions by what was chosen; by PCA as long as there is no UMAP, which is said.
  async positions(name) {
    const wanted = this.state === "umap";
    if (wanted && this.said.get(name)?.state !== "ready") await this.begin(name);
    const said = this.said.get(name);
    if (wanted === (this.state === "umap")) this.tell(wanted ? said.text : "");
    return this.rows.map(name, wanted && said.state === "ready" ? "umap" : "pca");
  }

  tell(text) {
    by("meaning").textContent = text;
    by("meaning").hidden = !text;
  }

  // Asks for UMAP of a map, which begins it, and goes on asking until it is there.
  async begin(name) {
    this.said.set(name, await asked(`umap?name=${encodeURIComponent(name)}`));
    if (this.said.get(name).state === "computing" && !this.waiting.has(name)) this.wait(name).catch(this.failed);
  }

  async wait(name) {
    this.waiting.add(name);
    try {
      while (this.said.get(name).state === "computing") {
        await new Promise((done) => setTimeout(done, EVERY));
        this.said.set(name, await asked(`umap?name=${encodeURIComponent(name)}`));
        if (this.state === "umap" && by("map").value === name) this.tell(this.said.get(name).text);
      }
    } finally {
      this.waiting.delete(name);
    }
    if (this.state === "umap" && by("map").value === name) await this.changed();
  }
}
