// What is shown and what is selected. Conditions are counted a row, so that each filter knows what it alone hides.

export class View extends EventTarget {
  constructor(count) {
    super();
    this.count = count;
    this.conditions = new Map();
    this.failed = new Uint8Array(count); // conditions that a row fails, at most 255
    this.first = new Uint8Array(count); // one of those
    this.selected = new Uint8Array(count);
    this.chosen = 0;
    this.permutation = Uint32Array.from({ length: count }, (_, row) => row);
    this.shown = this.permutation;
    this.keys = [];
  }

  // A condition: {values, low, high} keeps numbers, {values, allowed} keeps codes (allowed[code + 1]).
  set(key, condition) {
    if (condition) this.conditions.set(key, condition);
    else this.conditions.delete(key);
    this.apply();
  }

  apply() {
    const { failed, first, count } = this;
    failed.fill(0);
    this.keys = [...this.conditions.keys()];
    this.keys.forEach((key, number) => {
      const { values, low, high, allowed } = this.conditions.get(key);
      if (allowed) {
        for (let row = 0; row < count; row++) {
          if (!allowed[values[row] + 1]) { failed[row]++; first[row] = number; }
        }
      } else {
        for (let row = 0; row < count; row++) {
          const value = values[row];
          if (!(value >= low && value <= high)) { failed[row]++; first[row] = number; }
        }
      }
    });
    this.list();
  }

  // The rows that are shown, in the order that was asked for.
  list() {
    const { failed, permutation, count } = this;
    const found = new Uint32Array(count);
    let length = 0;
    for (let place = 0; place < count; place++) {
      const row = permutation[place];
      if (!failed[row]) found[length++] = row;
    }
    this.shown = found.subarray(0, length);
    this.dispatchEvent(new Event("shown"));
  }

  // How many rows have each code (index code + 1), were it not for the filter of that name itself.
  counts(values, size, key) {
    const { failed, first, count } = this;
    const own = this.keys.indexOf(key);
    const found = new Uint32Array(size + 1);
    for (let row = 0; row < count; row++) {
      if (!failed[row] || (failed[row] === 1 && first[row] === own)) found[values[row] + 1]++;
    }
    return found;
  }

  // By a column of numbers, rows without one last; or as the run has them.
  sort(values, descending) {
    const order = Uint32Array.from({ length: this.count }, (_, row) => row);
    if (values) {
      const sign = descending ? -1 : 1;
      order.sort((a, b) => {
        const x = values[a], y = values[b];
        if (x !== x || y !== y) return (x !== x) - (y !== y) || a - b;
        return sign * (x - y) || a - b;
      });
    }
    this.permutation = order;
    this.list();
  }

  // Select rows: in place of what was selected, besides it ("add"), or the other way round ("toggle").
  select(rows, mode = "replace") {
    if (mode === "replace") this.selected.fill(0);
    for (const row of rows) this.selected[row] = mode === "toggle" ? 1 - this.selected[row] : 1;
    this.chosen = this.selected.reduce((sum, one) => sum + one, 0);
    this.dispatchEvent(new Event("selected"));
  }

  chosenRows() {
    const rows = [];
    for (let row = 0; row < this.count; row++) if (this.selected[row]) rows.push(row);
    return rows;
  }
}
