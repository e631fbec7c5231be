// Columns of the run, fetched once each as typed arrays; and what the server answers.

export class Refused extends Error {}

async function answered(address, options) {
  let found;
  try {
    found = await fetch(address, options);
  } catch {
    throw new Refused("The explorer has ended: start it again and open the address that it prints.");
  }
  if (found.ok) return found;
  const said = await found.json().catch(() => ({}));
  throw new Refused(said.error || `The explorer answered ${found.status}.`);
}

export const asked = async (address, options) => (await answered(address, options)).json();
export const block = async (address) => (await answered(address)).arrayBuffer();
export const picture = (row, size) => `picture/${row}?size=${size}`;

export class Rows {
  constructor(about) {
    this.about = about;
    this.count = about.rows;
    this.kept = new Map();
    this.columns = new Map(about.columns.map((one) => [one.name, one]));
  }

  // Values of a column: Int32Array of codes, or Float32Array.
  column(name) {
    const codes = this.columns.get(name).names;
    return this.fetched(`column?name=${encodeURIComponent(name)}`, codes ? Int32Array : Float32Array);
  }

  // Percentiles of a column of numbers.
  ranked(name) {
    return this.fetched(`column?ranked&name=${encodeURIComponent(name)}`, Float32Array);
  }

  // Positions: all x, then all y.
  map(name, way) {
    return this.fetched(`map?name=${encodeURIComponent(name)}&by=${way}`, Float32Array);
  }

  fetched(address, Kind) {
    if (!this.kept.has(address)) {
      const coming = block(address).then((bytes) => new Kind(bytes));
      coming.catch(() => this.kept.delete(address));
      this.kept.set(address, coming);
    }
    return this.kept.get(address);
  }

  // A saved group came or changed.
  renew(about, name) {
    this.about = about;
    this.columns = new Map(about.columns.map((one) => [one.name, one]));
    this.kept.delete(`column?name=${encodeURIComponent(name)}`);
  }

  withRole(...roles) {
    return this.about.columns.filter((one) => roles.includes(one.role));
  }

  get numbers() {
    return this.about.columns.filter((one) => !one.names);
  }
}
