// One picture: what each model says, which are near, and all its columns.

import { by, named, part, rounded } from "./parts.js";
import { asked, picture } from "./rows.js";

export class Details {
  constructor(view) {
    this.view = view;
    this.dialog = by("details");
    this.row = -1;
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") this.step(-1);
      else if (event.key === "ArrowRight") this.step(1);
      else return;
      event.preventDefault();
    });
    this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
  }

  step(by_) {
    const place = this.view.shown.indexOf(this.row), next = this.view.shown[place + by_];
    if (next !== undefined) this.open(next);
  }

  async open(row) {
    this.row = row;
    const found = await asked(`row/${row}`).catch((error) => ({ error: error.message }));
    if (this.row !== row) return;
    this.dialog.replaceChildren(this.bar(row), found.error ? part("p", { textContent: found.error }) : this.content(row, found));
    if (!this.dialog.open) this.dialog.showModal();
    this.near(row);
  }

  bar(row) {
    const button = (text, act) => {
      const one = part("button", { type: "button", textContent: text });
      one.addEventListener("click", act);
      return one;
    };
    const chosen = button("", () => { this.view.select([row], "toggle"); say(); });
    const say = () => { chosen.textContent = this.view.selected[row] ? "Selected: drop" : "Select"; };
    say();
    return part("div", { className: "bar" }, chosen, button("‹ previous", () => this.step(-1)), button("next ›", () => this.step(1)), button("Close", () => this.dialog.close()));
  }

  content(row, found) {
    const image = part("img", { className: "big", alt: `Picture of row ${row}`, src: picture(row, 384) });
    const lacking = part("p", { className: "number" });
    image.addEventListener("error", async () => {
      lacking.textContent = await asked(picture(row, 384)).then(() => "", (error) => error.message);
    });
    this.nearby = part("div", { className: "near" });
    this.nearTitle = part("h3", { textContent: "Nearest" });
    const left = part("div", {}, image, lacking, this.nearTitle, this.nearby);
    const title = part("h2", { textContent: found.values.path ?? `Row ${row}` });
    const label = part("p", {}, "class: ", part("b", { textContent: found.label === null ? "not known" : named(found.label) }));
    const models = part("table", {}, ...found.models.map((one) => {
      const scores = Object.entries(one.scores).map(([name, score]) => `${name} ${rounded(score)}`).join(", ");
      const word = one.right === null ? "" : one.right ? " right" : " wrong";
      const said = part("td", {}, `${one.predicted ?? "–"}`, part("span", { className: one.right ? "good" : "bad", textContent: word }), scores ? ` (${scores})` : "");
      return part("tr", {}, part("th", { scope: "row", textContent: one.name }), said);
    }));
    const values = part("table", {}, ...Object.entries(found.values).map(([name, value]) =>
      part("tr", {}, part("th", { scope: "row", textContent: name }), part("td", { textContent: value ?? "–" }))));
    return part("div", { className: "detail" }, left, part("div", {}, title, label, models, part("h3", { textContent: "Columns" }), values));
  }

  async near(row) {
    const found = await asked(`near/${row}`).catch(() => null);
    if (this.row !== row || !found || !this.nearby) return;
    this.nearTitle.textContent = found.by ? `Nearest by ${found.by}, with the distance` : "Nothing to measure nearness by";
    this.nearby.replaceChildren(...found.rows.map((other, place) => {
      const image = part("img", { alt: "", src: picture(other, 96) });
      const one = part("button", { type: "button", title: `row ${other}`, "aria-label": `Row ${other}, distance ${rounded(found.distances[place])}` }, image, rounded(found.distances[place]));
      one.addEventListener("click", () => this.open(other));
      return one;
    }));
  }
}
