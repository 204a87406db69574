// Markdown within a line: emphasis, code, links, as nodes. Linear in the text, whatever it holds;
// only http and https become links.

import {el} from "./dom.js";

const kMostOpen = 24;   // marks that may still be closed: bounds the depth
const kMostMarks = 4;   // in one run
const kMostDepth = 8;   // of pictures in links
const kMostUrl = 2048;
const kPlain = /[^\\`*_~[\]!<h\n]+/y;
const kAutoLink = /<(https?:\/\/[^\s<>]{1,2048})>/y;
const kBareLink = /https?:\/\/[^\s<>"]{1,2048}/y;
const kPunctuation = /[!-/:-@[-`{-~]/;
const kSpace = /\s/;
const kLetter = /[\p{L}\p{N}_]/u;

export function safe_url(text) {
  try {
    const url = new URL(text);
    return url.protocol === "http:" || url.protocol === "https:" ? url : null;
  } catch {
    return null;
  }
}

// Appends the text's nodes to `parent`.
export function append_inline(parent, text) { append_items(parent, emphasized(items_of(text))); }

// Items: strings, {mark, count, opens, closes}, {tag, children}, {code}, {url, children, depth}.
function items_of(text) {
  const items = [];
  const brackets = [];  // of "[" that may begin a link: {at (in items), image, in_text}
  const ticks = tick_runs(text);
  let i = 0;
  const say = (string) => {
    if (typeof items.at(-1) === "string") items[items.length - 1] += string;
    else items.push(string);
  };
  while (i < text.length) {
    kPlain.lastIndex = i;
    const plain = kPlain.exec(text);
    if (plain) {
      say(plain[0]);
      i += plain[0].length;
      continue;
    }
    const c = text[i];
    if (c === "\\" && i + 1 < text.length && kPunctuation.test(text[i + 1])) {
      say(text[i + 1]);
      i += 2;
    } else if (c === "\n") {
      items.push({line_break: true});
      ++i;
    } else if (c === "`") {
      const run = run_length(text, i);
      const close = next_ticks(ticks, run, i + run);
      if (close < 0) {
        say(text.slice(i, i + run));
        i += run;
      } else {
        items.push({code: code_text(text.slice(i + run, close))});
        i = close + run;
      }
    } else if (c === "*" || c === "_" || c === "~") {
      const count = run_length(text, i);
      if (c === "~" ? count !== 2 : count > kMostMarks) say(text.slice(i, i + count));
      else items.push(mark_of(text, i, count));
      i += count;
    } else if (c === "[" || (c === "!" && text[i + 1] === "[")) {
      const image = c === "!";
      items.push(image ? "![" : "[");
      brackets.push({at: items.length - 1, image});
      items.push("");  // so that the next text is not joined to the bracket
      i += image ? 2 : 1;
    } else if (c === "]") {
      const bracket = brackets.pop();
      const target = bracket && text[i + 1] === "(" ? target_of(text, i + 2) : null;
      const url = target && safe_url(target.url);
      if (!url) {
        say("]");
        ++i;
        continue;
      }
      const children = emphasized(items.splice(bracket.at).slice(1));
      const depth = 1 + children.reduce((most, child) => Math.max(most, child.depth ?? 0), 0);
      if (depth > kMostDepth) items.push(plain_text(children));
      else items.push({url, children, depth, image: bracket.image});
      if (!bracket.image) brackets.length = 0;  // no link holds a link
      i = target.end;
    } else if (c === "<") {
      kAutoLink.lastIndex = i;
      const found = kAutoLink.exec(text);
      const url = found && safe_url(found[1]);
      if (url) items.push({url, children: [found[1]]});
      else say("<");
      i += url ? found[0].length : 1;
    } else if (c === "h" && brackets.length === 0 && !(i > 0 && kLetter.test(text[i - 1]))) {
      kBareLink.lastIndex = i;
      const found = kBareLink.exec(text);
      const shown = found ? without_end(found[0]) : "";
      const url = found && safe_url(shown);
      if (url) items.push({url, children: [shown]});
      else say("h");
      i += url ? shown.length : 1;
    } else {
      say(c);
      ++i;
    }
  }
  return items;
}

function run_length(text, at) {
  let end = at;
  while (text[end] === text[at]) ++end;
  return end - at;
}

// Where runs of so many backticks begin, in order.
function tick_runs(text) {
  const runs = new Map();
  for (let i = text.indexOf("`"); i >= 0; i = text.indexOf("`", i)) {
    const length = run_length(text, i);
    if (!runs.has(length)) runs.set(length, {starts: [], next: 0});
    runs.get(length).starts.push(i);
    i += length;
  }
  return runs;
}
function next_ticks(runs, length, from) {
  const of = runs.get(length);
  while (of && of.next < of.starts.length && of.starts[of.next] < from) ++of.next;
  return of && of.next < of.starts.length ? of.starts[of.next] : -1;
}
function code_text(text) {
  const padded = text.length > 2 && text.startsWith(" ") && text.endsWith(" ") && text.trim() !== "";
  return (padded ? text.slice(1, -1) : text).replaceAll("\n", " ");
}

function mark_of(text, at, count) {
  const before = at > 0 ? text[at - 1] : " ", after = text[at + count] ?? " ";
  const left = !kSpace.test(after) &&
      (!kPunctuation.test(after) || kSpace.test(before) || kPunctuation.test(before));
  const right = !kSpace.test(before) &&
      (!kPunctuation.test(before) || kSpace.test(after) || kPunctuation.test(after));
  const mark = text[at];
  if (mark !== "_") return {mark, count, opens: left, closes: right};
  return {mark, count, opens: left && (!right || kPunctuation.test(before)),
          closes: right && (!left || kPunctuation.test(after))};
}

// "url)" or "<url> "title")": null where it is none.
function target_of(text, at) {
  let i = at, depth = 0;
  const angled = text[i] === "<";
  if (angled) ++i;
  const begin = i;
  for (; i < text.length && i - begin <= kMostUrl; ++i) {
    const c = text[i];
    if (c === "\n" || (angled ? c === ">" : kSpace.test(c))) break;
    if (!angled && c === "(") ++depth;
    if (!angled && c === ")" && depth-- === 0) break;
  }
  const url = text.slice(begin, i);
  if (angled && text[i++] !== ">") return null;
  const rest = text.slice(i, i + kMostUrl);
  const end = /^(?:\s+(?:"[^"]*"|'[^']*'))?\s*\)/.exec(rest);
  return end ? {url, end: i + end[0].length} : null;
}

// A sentence goes on behind a link.
function without_end(url) {
  let end = url.length;
  for (; end > 0; --end) {
    const c = url[end - 1];
    if (c === ")") {
      const part = url.slice(0, end);
      if (part.split("(").length >= part.split(")").length) break;
    } else if (!".,;:!?'*_~]".includes(c)) {
      break;
    }
  }
  return url.slice(0, end);
}

function plain_text(items) {
  return items.map((item) => typeof item === "string" ? item : item.code ?? "").join("");
}

// Marks that match become elements, the others text.
function emphasized(items) {
  const out = [];
  const openers = [];     // {at (in out), item}
  const bottom = new Map();  // of openers, below which there is none for such a mark
  for (const item of items) {
    if (!item.mark) {
      out.push(item);
      continue;
    }
    let left = item.count;
    while (item.closes && left > 0) {
      let k = openers.length - 1;
      const least = bottom.get(item.mark) ?? 0;
      while (k >= least && openers[k].item.mark !== item.mark) --k;
      if (k < least) {
        bottom.set(item.mark, openers.length);
        break;
      }
      const {at, item: opener} = openers[k];
      const used = Math.min(2, left, opener.count);
      if (item.mark === "~" && used < 2) break;
      const children = out.splice(at + 1);
      openers.length = k + 1;
      for (const [mark, value] of bottom) bottom.set(mark, Math.min(value, openers.length));
      opener.count -= used;
      if (opener.count === 0) {
        out.pop();
        openers.pop();
      }
      out.push({tag: item.mark === "~" ? "del" : used === 2 ? "strong" : "em", children});
      left -= used;
    }
    if (left === 0) continue;
    const rest = {...item, count: left};
    out.push(rest);
    if (!item.opens) continue;
    openers.push({at: out.length - 1, item: rest});
    if (openers.length <= kMostOpen) continue;
    openers.shift();
    for (const [mark, value] of bottom) bottom.set(mark, Math.max(value - 1, 0));
  }
  return out;
}

function append_items(parent, items) {
  for (const item of items) {
    if (typeof item === "string") parent.append(item);
    else if (item.line_break) parent.append(el("br"));
    else if (item.code !== undefined) parent.append(el("code", {}, item.code));
    else if (item.mark) parent.append(item.mark.repeat(item.count));
    else if (item.url) append_link(parent, item);
    else append_items(parent.appendChild(el(item.tag)), item.children);
  }
}

// With the host that it leads to, unless that is what one reads anyway. A picture is not fetched.
function append_link(parent, {url, children, image}) {
  const link = el("a", {href: url.href, rel: "noopener noreferrer", target: "_blank"});
  append_items(link, children);
  if (image && link.textContent === "") link.append("picture");
  parent.append(link);
  const shown = link.textContent.trim();
  if (safe_url(shown)?.href !== url.href) parent.append(el("span", {class: "host"}, ` (${url.host})`));
}
