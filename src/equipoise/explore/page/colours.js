// Colours of categories (Okabe and Ito's, which most eyes tell apart) and of numbers (viridis).

const CATEGORIES = [
  [0, 114, 178], [230, 159, 0], [0, 158, 115], [213, 94, 0], [204, 121, 167], [86, 180, 233], [176, 164, 0],
  [120, 94, 240], [166, 86, 40], [128, 128, 128],
];
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const RIGHT = [CATEGORIES[3], CATEGORIES[0]]; // wrong, right
const NONE = [150, 150, 150];
const STEPS = 64;

const packed = ([r, g, b]) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
export const css = ([r, g, b]) => `rgb(${r} ${g} ${b})`;

export function ramp(share) {
  const place = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const low = Math.min(Math.floor(place), RAMP.length - 2);
  return RAMP[low].map((value, channel) => Math.round(value + (RAMP[low + 1][channel] - value) * (place - low)));
}

// A palette, its index of each row, and what the legend says.
export function coloured(column, values) {
  const index = new Uint8Array(values.length);
  if (column.names) {
    const counts = new Map();
    for (const code of values) counts.set(code, (counts.get(code) || 0) + 1);
    const order = [...counts.keys()].filter((code) => code >= 0).sort((a, b) => counts.get(b) - counts.get(a));
    const few = order.slice(0, CATEGORIES.length - 1).sort((a, b) => a - b);
    const place = new Uint8Array(column.names.length + 1);
    place.fill(CATEGORIES.length);
    few.forEach((code, number) => { place[code + 1] = number + 1; });
    place[0] = 0;
    for (let row = 0; row < values.length; row++) index[row] = place[values[row] + 1];
    const colours = column.role === "right" ? RIGHT.filter((_, code) => counts.has(code)) : CATEGORIES;
    const legend = few.map((code, number) => [colours[number], column.names[code]]);
    if (order.length > few.length) legend.push([CATEGORIES[CATEGORIES.length - 1], `${order.length - few.length} others`]);
    if (counts.has(-1)) legend.push([NONE, "(missing)"]);
    return { index, palette: Uint32Array.from([NONE, ...colours, ...CATEGORIES.slice(colours.length)].map(packed)), legend };
  }
  const { low, high } = column;
  const scale = high > low ? (STEPS - 1) / (high - low) : 0;
  for (let row = 0; row < values.length; row++) {
    const value = values[row];
    index[row] = value === value ? 1 + Math.round((value - low) * scale) : 0;
  }
  const steps = Array.from({ length: STEPS }, (_, step) => ramp(step / (STEPS - 1)));
  return { index, palette: Uint32Array.from([NONE, ...steps].map(packed)), legend: null };
}
