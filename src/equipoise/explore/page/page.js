// The page: what is fetched first, which controls there are, and the address that keeps what was chosen.

import { coloured, css, ramp } from "./colours.js";
import { Details } from "./details.js";
import { Facet, Models, Slider } from "./filters.js";
import { Grid } from "./grid.js";
import { by, fill, named, part, rounded, whole } from "./parts.js";
import { asked, Rows } from "./rows.js";
import { Scatter } from "./scatter.js";
import { Selection } from "./selection.js";
import { View } from "./view.js";
import { Ways } from "./ways.js";

const AXES = "two columns";
const OPEN = ["label", "predicted", "right", "kind", "group", "saved"]; // filters that are open at first
const filters = new Map();
let rows, view, scatter, grid, models, ways, tileSays = () => ["", false];

function notes(lines) {
  by("notes").append(...lines.map((line) => part("p", { textContent: line })));
  by("notes").hidden = !by("notes").childElementCount;
}

function count() {
  by("count").textContent = `${whole(view.shown.length)} of ${whole(view.count)} rows`;
}

// The columns that a tile speaks of: each model's call, and whether it is wrong.
async function prepareTiles() {
  const predicted = rows.withRole("predicted"), label = rows.withRole("label")[0];
  const chosen = models?.a ? [models.a.value, models.b.value].map((name) => rows.columns.get(name).model) : predicted.slice(0, 1).map((one) => one.model);
  const calls = predicted.filter((one) => chosen.includes(one.model));
  const codes = await Promise.all(calls.map((one) => rows.column(one.name)));
  const truth = label && (await rows.column(label.name));
  tileSays = (row) => {
    const is = truth && truth[row] >= 0 ? label.names[truth[row]] : null;
    const said = calls.map((one, at) => (codes[at][row] < 0 ? "–" : one.names[codes[at][row]]));
    const wrong = is !== null && said.some((one) => one !== is);
    if (!said.length) return [is ?? `row ${row}`, false];
    return [is === null || !wrong ? said.join(" · ") : `${is} → ${said.join(" · ")}`, wrong];
  };
  by("caption").textContent = calls.length && truth
    ? `below: what ${calls.map((one) => one.model).join(" · ")} ${calls.length > 1 ? "say" : "says"}; if wrong, class → that` : "";
  grid?.layout();
}

async function colour() {
  const column = rows.columns.get(by("colour").value);
  if (!column) return;
  const found = coloured(column, await rows.column(column.name));
  scatter.colour(found);
  by("legend").replaceChildren(...(found.legend
    ? found.legend.map(([rgb, text]) => {
      const swatch = part("span", { className: "swatch" });
      swatch.style.background = css(rgb);
      return part("li", {}, swatch, named(text));
    })
    : [rampLegend(column)]));
}

function rampLegend(column) {
  const bar = part("span", { className: "ramp" });
  bar.style.background = `linear-gradient(to right, ${[0, 0.25, 0.5, 0.75, 1].map((share) => css(ramp(share))).join(", ")})`;
  return part("li", {}, rounded(column.low), bar, rounded(column.high));
}

async function map() {
  const name = by("map").value, axes = name === AXES, way = ways.state;
  for (const one of document.querySelectorAll(".axes")) one.hidden = !axes;
  by("ways").hidden = axes || !name;
  if (axes || !name) ways.tell("");
  if (!name) return scatter.place(null, null);
  const found = axes
    ? await Promise.all([by("across"), by("up")].map((one) => rows.column(one.value)))
    : await ways.positions(name).then((both) => [both.subarray(0, view.count), both.subarray(view.count)]);
  if (by("map").value === name && ways.state === way) scatter.place(...found);
}

async function sort() {
  const name = by("sort").value;
  view.sort(name ? await rows.column(name) : null, by("descending").checked);
}

// Sliders: scores and risks at first, any other number when it is asked for.
async function addSliders() {
  const percentile = new Set(rows.withRole("percentile").map((one) => one.name.replace(/_percentile$/, "")));
  const first = rows.withRole("score", "percentile", "risk").filter((one) => !percentile.has(one.name));
  for (const column of first.slice(0, 16)) await addSlider(column);
  const rest = rows.numbers.filter((one) => !filters.has(`range:${one.name}`));
  if (!rest.length) return;
  const more = part("select", { "aria-label": "Another slider" });
  fill(more, [["", "another slider …"], ...rest.map((one) => [one.name, one.title])]);
  more.addEventListener("change", async () => {
    if (more.value && !filters.has(`range:${more.value}`)) await addSlider(rows.columns.get(more.value));
    more.value = "";
  });
  by("sliders").after(more);
}

async function addSlider(column) {
  const ranked = !column.share;
  const values = await (ranked ? rows.ranked(column.name) : rows.column(column.name));
  const slider = new Slider(view, column, values, ranked);
  filters.set(slider.key, slider);
  by("sliders").append(slider.element);
  return slider;
}

function addFacet(column, first = false) {
  const facet = new Facet(view, rows, column, OPEN.includes(column.role));
  const old = filters.get(facet.key);
  filters.set(facet.key, facet);
  if (old) { old.element.replaceWith(facet.element); old.reset(); } else if (first) by("facets").prepend(facet.element);
  else by("facets").append(facet.element);
}

function choices() {
  const all = rows.about.columns.map((one) => [one.name, one.title]), numbers = rows.numbers.map((one) => [one.name, one.title]);
  const right = rows.withRole("right")[0], label = rows.withRole("label")[0];
  fill(by("colour"), all, by("colour").value || (right || label || rows.about.columns[0])?.name);
  fill(by("sort"), [["", "as the run has them"], ...numbers], by("sort").value);
  const maps = rows.about.maps.map((one) => [one.name, one.title]);
  fill(by("map"), numbers.length ? [...maps, [AXES, AXES]] : maps, by("map").value);
  fill(by("across"), numbers, by("across").value || numbers[0]?.[0]);
  fill(by("up"), numbers, by("up").value || (numbers[1] || numbers[0])?.[0]);
}

// What was chosen stands in the address, so that a reload shows it again.
const kept = ["map", "across", "up", "colour", "sort"];

function keep() {
  const chosen = Object.fromEntries([...filters].filter(([key]) => view.conditions.has(key)).map(([key, one]) => [key, one.state]));
  const state = { chosen, controls: kept.map((id) => by(id).value), descending: by("descending").checked, models: models.state, way: ways.state };
  history.replaceState(null, "", `#${encodeURIComponent(JSON.stringify(state))}`);
}

async function restore(state) {
  for (const [key, value] of Object.entries(state.chosen || {})) {
    const name = key.replace(/^range:/, "");
    if (!filters.has(key) && rows.columns.has(name) && !rows.columns.get(name).names) await addSlider(rows.columns.get(name));
    if (filters.has(key)) await filters.get(key).restore(value);
  }
  if (state.models) await models.restore(state.models);
}

function controls(state) {
  (state.controls || []).forEach((value, at) => {
    const select = by(kept[at]);
    if ([...select.options].some((one) => one.value === value)) select.value = value;
  });
  if (state.descending === false) by("descending").checked = false;
}

function remembered() {
  try {
    return JSON.parse(decodeURIComponent(location.hash.slice(1))) || {};
  } catch {
    return {};
  }
}

function listen() {
  const changed = (ids, act) => ids.forEach((id) => by(id).addEventListener("change", async () => { await act().catch(failed); keep(); }));
  changed(["colour"], colour);
  changed(["map", "across", "up"], map);
  changed(["sort", "descending"], sort);
  changed(["models"], prepareTiles);
  by("whole").addEventListener("click", () => scatter.fit());
  by("clear").addEventListener("click", (event) => {
    event.preventDefault();
    for (const one of [...filters.values(), models]) one.reset();
    by("only").ariaPressed = "false";
    view.set("selection", null);
  });
  for (const button of document.querySelectorAll("[data-tool]")) {
    button.addEventListener("click", () => {
      scatter.tool = button.dataset.tool;
      for (const one of document.querySelectorAll("[data-tool]")) one.ariaPressed = String(one === button);
    });
  }
  let waiting;
  view.addEventListener("shown", () => { count(); clearTimeout(waiting); waiting = setTimeout(keep, 300); });
}

async function saved(name) {
  rows.renew(await asked("about"), name);
  choices();
  addFacet(rows.columns.get(name), true);
  by("colour").value = name;
  await colour();
}

async function pictures() {
  for (;;) {
    const status = await asked("status");
    if (status.pictures) { notes(status.notes); grid.renew(); return; }
    await new Promise((done) => setTimeout(done, 300));
  }
}

const failed = (error) => notes([error.message]);

async function start() {
  const about = await asked("about"), state = remembered();
  rows = new Rows(about);
  view = new View(rows.count);
  by("title").textContent = about.title;
  document.title = `${about.title} – equipoise explore`;
  notes(about.notes);
  if (matchMedia("(max-width: 44rem)").matches) by("filters").open = false;
  const details = new Details(view), open = (row) => details.open(row);
  models = new Models(view, rows);
  choices();
  controls(state);
  ways = new Ways(rows, () => map().then(keep), failed);
  ways.restore(state.way);
  scatter = new Scatter(view, open);
  grid = new Grid(view, (row) => tileSays(row), open);
  new Selection(view, saved);
  listen();
  count();
  await Promise.all([prepareTiles(), sort(), map(), colour()]);
  document.body.dataset.shown = "yes";
  pictures().catch(failed);
  const categories = about.columns.filter((one) => one.names);
  const order = [...categories.filter((one) => OPEN.includes(one.role)), ...categories.filter((one) => !OPEN.includes(one.role))];
  await addSliders();
  for (const column of order) addFacet(column);
  await models.ready;
  await restore(state);
  document.body.dataset.ready = "yes";
  if (about.maps.length) ways.begin(about.maps[0].name).catch(failed);
}

start().catch(failed);
