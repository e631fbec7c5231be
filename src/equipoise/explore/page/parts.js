// Small pieces of a page. Names of others come in as text, never as markup.

export const by = (id) => document.getElementById(id);

export function part(tag, options = {}, ...children) {
  const { data, ...rest } = options;
  const found = document.createElement(tag);
  for (const [name, value] of Object.entries(rest)) {
    if (name in found && !name.startsWith("aria")) found[name] = value;
    else found.setAttribute(name, value);
  }
  Object.assign(found.dataset, data || {});
  found.append(...children);
  return found;
}

export function fill(select, choices, chosen) {
  select.replaceChildren(...choices.map(([value, text]) => part("option", { value, textContent: text })));
  if (choices.some(([value]) => value === chosen)) select.value = chosen;
}

export const whole = (number) => number.toLocaleString("en");
export const rounded = (number) =>
  number === null || Number.isNaN(number) ? "–" : Math.abs(number) >= 1000 || (number && Math.abs(number) < 1e-3)
    ? number.toExponential(2) : String(+number.toFixed(3));
export const named = (text) => (text === "" ? "(empty)" : text);
