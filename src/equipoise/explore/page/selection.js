// What is selected, and saving it as a group.

import { by, whole } from "./parts.js";
import { asked } from "./rows.js";

export class Selection {
  // `kept` is called with the name of a group once it is saved.
  constructor(view, kept) {
    this.view = view;
    this.kept = kept;
    view.addEventListener("selected", () => { this.say(); this.only(by("only").ariaPressed === "true"); });
    by("choose").addEventListener("click", () => view.select(view.shown));
    by("drop").addEventListener("click", () => view.select([]));
    by("only").addEventListener("click", () => this.only(by("only").ariaPressed !== "true"));
    by("saving").addEventListener("submit", (event) => { event.preventDefault(); this.save(); });
    this.say();
  }

  say() {
    const { chosen } = this.view;
    by("chosen").textContent = chosen ? `${whole(chosen)} selected` : "nothing selected";
  }

  only(wanted) {
    const on = wanted && this.view.chosen > 0;
    if (!on && !this.view.conditions.has("selection")) return;
    by("only").ariaPressed = String(on);
    this.view.set("selection", on ? { values: Int32Array.from(this.view.selected), allowed: Uint8Array.of(0, 0, 1) } : null);
  }

  async save() {
    const out = by("saved"), name = by("name").value.trim();
    if (!this.view.chosen) { out.textContent = "Select some pictures first."; return; }
    out.textContent = "saving …";
    const body = JSON.stringify({ name, value: by("value").value.trim(), rows: this.view.chosenRows(), format: by("format").value });
    try {
      const found = await asked("save", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      out.textContent = `${whole(found.rows)} rows saved in ${found.file}`;
      await this.kept(found.name);
    } catch (error) {
      out.textContent = error.message;
    }
  }
}
