// Numbers as people read them.

export function short(value) {
  if (value >= 1e6) return `${trim(value / 1e6)} M`;
  if (value >= 1e4) return `${trim(value / 1e3)} k`;
  return String(Math.round(value));
}
function trim(value) { return value >= 100 ? String(Math.round(value)) : value.toFixed(1); }

// Three digits.
export function precise(value) {
  if (!(value > 0)) return "0";
  return value >= 100 ? String(Math.round(value)) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function milliseconds(ms) { return ms >= 1000 ? `${precise(ms / 1000)} s` : `${precise(ms)} ms`; }
export function microseconds(us) { return us >= 1000 ? `${precise(us / 1000)} ms` : `${Math.round(us)} µs`; }

export function plural(count, one, many) { return `${count} ${count === 1 ? one : many}`; }

// "5", "5–7": both ends counted in.
export function blocks_text([begin, end]) { return end - begin <= 1 ? `${begin}` : `${begin}–${end - 1}`; }
export function spans_text(spans) {
  const all = spans.map(blocks_text);
  const text = all.length > 1 ? `${all.slice(0, -1).join(", ")} and ${all.at(-1)}` : all.join("");
  const one = spans.length === 1 && spans[0][1] - spans[0][0] === 1;
  return `${one ? "block" : "blocks"} ${text}`;
}
