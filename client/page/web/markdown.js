// Markdown as it comes, block by block, to nodes: paragraphs, headings, lists, code, quotes, tables.
// Nothing of it is ever HTML. What is finished is not touched again: a long answer costs as much as
// it is long.

import {copy_button, el} from "./dom.js";
import {append_inline} from "./inline.js";

const kMostDepth = 8;      // of lists and quotes in each other
const kMostColumns = 32;
const kFence = /^ {0,3}(`{3,}|~{3,})[ \t]*([^\s`]{0,40})[^`]*$/;
const kHeading = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/;
const kQuote = /^ {0,3}> ?/;
const kItem = /^( {0,3})([-*+]|\d{1,9}[.)])(?:[ \t]+|$)/;
const kMostTableLine = 4096;  // beyond, no table: what looks for one would take too long
const kTableRule = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;

const is_blank = (line) => line.trim() === "";
function is_rule(line) {
  const marks = line.replace(/[ \t]/g, "");
  return marks.length >= 3 && "-*_".includes(marks[0]) && marks === marks[0].repeat(marks.length);
}
const indent_of = (line) => line.length - line.trimStart().length;
const is_table = (lines, i) => lines[i].includes("|") && i + 1 < lines.length &&
    lines[i].length <= kMostTableLine && lines[i + 1].length <= kMostTableLine &&
    lines[i + 1].includes("-") && kTableRule.test(lines[i + 1]) &&
    cells_of(lines[i]).length === cells_of(lines[i + 1]).length;
const ends_paragraph = (lines, i) => is_blank(lines[i]) || kFence.test(lines[i]) ||
    kHeading.test(lines[i]) || kQuote.test(lines[i]) || is_rule(lines[i]) ||
    /^ {0,3}(?:[-*+]|1[.)])[ \t]+\S/.test(lines[i]) || is_table(lines, i);

// [{type, begin, end (lines), ...}]
function blocks_of(lines) {
  const blocks = [];
  let i = 0;
  while (i < lines.length) {
    const begin = i, line = lines[i];
    const fence = kFence.exec(line), heading = kHeading.exec(line), item = kItem.exec(line);
    if (is_blank(line)) {
      ++i;
      continue;
    }
    if (fence) {
      const close = new RegExp(`^ {0,3}\\${fence[1][0]}{${fence[1].length},}[ \\t]*$`);
      for (++i; i < lines.length && !close.test(lines[i]);) ++i;
      blocks.push({type: "code", begin, end: i + 1, language: fence[2], indent: indent_of(line),
                   lines: lines.slice(begin + 1, i)});
      ++i;
    } else if (heading) {
      blocks.push({type: "heading", begin, end: ++i, level: heading[1].length,
                   text: heading_text(heading[2] ?? "")});
    } else if (is_rule(line)) {
      blocks.push({type: "rule", begin, end: ++i});
    } else if (kQuote.test(line)) {
      while (i < lines.length && kQuote.test(lines[i])) ++i;
      blocks.push({type: "quote", begin, end: i,
                   lines: lines.slice(begin, i).map((one) => one.replace(kQuote, ""))});
    } else if (item) {
      i = end_of_list(lines, i, kind_of(item));
      blocks.push({type: "list", begin, end: i, lines: lines.slice(begin, i), kind: kind_of(item)});
    } else if (is_table(lines, i)) {
      for (i += 2; i < lines.length && lines[i].includes("|");) ++i;
      blocks.push({type: "table", begin, end: i, lines: lines.slice(begin, i)});
    } else {
      for (++i; i < lines.length && !ends_paragraph(lines, i);) ++i;
      blocks.push({type: "paragraph", begin, end: i, text: lines.slice(begin, i).join("\n")});
    }
  }
  return blocks;
}

// Without the marks at its end.
function heading_text(text) {
  let end = text.trimEnd().length;
  const whole = end;
  while (text[end - 1] === "#") --end;
  return end > 0 && !" \t".includes(text[end - 1]) ? text.slice(0, whole) : text.slice(0, end).trimEnd();
}

const kind_of = (item) => /\d/.test(item[2]) ? item[2].at(-1) : item[2];

function end_of_list(lines, begin, kind) {
  const inside = indent_of(lines[begin]) + 2;  // what is indented so far belongs to an item
  let i = begin + 1;
  for (; i < lines.length; ++i) {
    const item = kItem.exec(lines[i]);
    if (item && indent_of(lines[i]) < inside) {
      if (kind_of(item) !== kind || is_rule(lines[i])) break;
      continue;
    }
    if (indent_of(lines[i]) >= inside && !is_blank(lines[i])) continue;
    if (is_blank(lines[i])) {
      let next = i;
      while (next < lines.length && is_blank(lines[next])) ++next;
      const after = next < lines.length ? kItem.exec(lines[next]) : null;
      const goes_on = next < lines.length &&
          (indent_of(lines[next]) >= inside || (after && kind_of(after) === kind && !is_rule(lines[next])));
      if (!goes_on) break;
      i = next - 1;
      continue;
    }
    if (is_blank(lines[i - 1]) || ends_paragraph(lines, i)) break;  // else a line of its item goes on
  }
  return i;
}

function cells_of(line) {
  const cells = [""];
  const inner = line.trim().replace(/^\|/, "").replace(/(?<!\\)\|$/, "");
  let code = false;
  for (let i = 0; i < inner.length; ++i) {
    if (inner[i] === "`") code = !code;
    if (inner[i] === "\\" && inner[i + 1] === "|") cells[cells.length - 1] += inner[++i];
    else if (inner[i] === "|" && !code && cells.length < kMostColumns) cells.push("");
    else cells[cells.length - 1] += inner[i];
  }
  return cells.map((cell) => cell.trim());
}

function code_node(block) {
  const code = el("code", {}, code_text(block));
  return el("figure", {class: "code"},
            el("figcaption", {}, el("span", {}, block.language || "text"),
               copy_button(() => code.textContent)),
            el("pre", {tabindex: "0"}, code));
}
function code_text(block) {
  const cut = new RegExp(`^ {0,${block.indent}}`);
  return block.lines.map((line) => block.indent > 0 ? line.replace(cut, "") : line).join("\n");
}

function list_node(block, depth) {
  const ordered = block.kind === "." || block.kind === ")";
  const items = [];  // [{lines}]
  const outer = indent_of(block.lines[0]);
  let loose = false, blank_before = false;
  for (const indented of block.lines) {
    const line = indented.slice(Math.min(indent_of(indented), outer));
    const item = indent_of(line) < 2 ? kItem.exec(line) : null;
    if (item) {
      loose ||= blank_before && items.length > 0;
      items.push({width: Math.min(Math.max(item[0].length, 2), item[1].length + item[2].length + 4),
                  lines: [line.slice(item[0].length)], number: parseInt(item[2], 10)});
    } else if (items.length > 0) {
      const {width, lines} = items.at(-1);
      loose ||= blank_before && indent_of(line) === width && !kItem.test(line.slice(width));
      lines.push(line.slice(Math.min(indent_of(line), width)));
    }
    blank_before = is_blank(line);
  }
  const list = el(ordered ? "ol" : "ul", ordered && items[0].number !== 1 ? {start: items[0].number} : {});
  for (const {lines} of items) {
    const task = /^\[([ xX])\][ \t]+/.exec(lines[0]);
    if (task) lines[0] = (task[1] === " " ? "☐ " : "☑ ") + lines[0].slice(task[0].length);
    const node = list.appendChild(el("li", task ? {class: "task"} : {}));
    for (const inner of blocks_of(lines)) {
      if (inner.type === "paragraph" && !loose) append_inline(node, inner.text);
      else node.append(node_of(inner, depth + 1));
    }
  }
  return list;
}

function table_node(block) {
  const [head, rule, ...rows] = block.lines.map(cells_of);
  const sides = rule.map((cell) => cell.endsWith(":") ? (cell.startsWith(":") ? "center" : "right") : null);
  const row = (tag, cells) => el("tr", {}, ...sides.map((side, i) => {
    const cell = el(tag, {class: side});
    append_inline(cell, cells[i] ?? "");
    return cell;
  }));
  return el("div", {class: "scroll", tabindex: "0"},
            el("table", {}, el("thead", {}, row("th", head)),
               el("tbody", {}, ...rows.map((cells) => row("td", cells)))));
}

function node_of(block, depth = 0) {
  if (depth > kMostDepth) return el("p", {}, (block.lines ?? [block.text ?? ""]).join("\n"));
  switch (block.type) {
    case "code": return code_node(block);
    case "rule": return el("hr");
    case "list": return list_node(block, depth);
    case "table": return table_node(block);
    case "quote": return el("blockquote", {}, ...blocks_of(block.lines).map((one) => node_of(one, depth + 1)));
    default: {
      // The page has headings of its own above those of an answer.
      const node = el(block.type === "heading" ? `h${Math.min(block.level + 2, 6)}` : "p");
      append_inline(node, block.text);
      return node;
    }
  }
}

// A text that grows at its end, shown in `container`.
export class MarkdownView {
  #done;           // finished blocks
  #live;           // the last one, made anew as it grows
  #tail = "";      // the source of that
  #code = null;    // the open code block there, which only gets longer
  #frame = 0;
  #cost = 0;       // of the last time, ms
  #drawn_at = 0;

  constructor(container) {
    this.#done = el("div", {class: "markdown"});
    this.#live = el("div", {class: "markdown"});
    container.append(this.#done, this.#live);
  }

  push(text) {
    this.#tail += text;
    if (this.#frame === 0) this.#frame = requestAnimationFrame(() => this.#draw_soon());
  }
  // All of it is there.
  end() {
    cancelAnimationFrame(this.#frame);
    this.#draw();
    this.#done.append(...this.#live.childNodes);
    this.#tail = "";
    this.#code = null;
  }

  // A block that takes long to draw is drawn seldom: it takes a fifth of the time, at most.
  #draw_soon() {
    if (performance.now() - this.#drawn_at < 4 * this.#cost) {
      this.#frame = requestAnimationFrame(() => this.#draw_soon());
      return;
    }
    this.#draw();
  }

  #draw() {
    const begun = performance.now();
    this.#frame = 0;
    this.#finish_blocks();
    const blocks = blocks_of(this.#tail.split("\n"));
    const only = blocks.length === 1 && blocks[0].type === "code" ? blocks[0] : null;
    if (only && this.#code && this.#code.language === only.language) {
      const text = code_text(only), shown = this.#code.node.data;
      if (text.startsWith(shown)) this.#code.node.appendData(text.slice(shown.length));
      else this.#code.node.data = text;
    } else {
      this.#live.replaceChildren(...blocks.map((block) => node_of(block)));
      const code = only && this.#live.querySelector("code");
      if (code && !code.firstChild) code.append(document.createTextNode(""));
      this.#code = code ? {language: only.language, node: code.firstChild} : null;
    }
    this.#drawn_at = performance.now();
    this.#cost = this.#drawn_at - begun;
  }

  // What is behind the last whole line may still change how the line is read, and the block that it
  // is in; blocks before that cannot change any more.
  #finish_blocks() {
    const whole = this.#tail.lastIndexOf("\n");
    if (whole < 0) return;
    const lines = this.#tail.slice(0, whole).split("\n");
    const blocks = blocks_of(lines);
    if (blocks.length < 2) return;
    const last = blocks.at(-1);
    for (const block of blocks.slice(0, -1)) this.#done.append(node_of(block));
    this.#tail = lines.slice(last.begin).join("\n") + this.#tail.slice(whole);
    this.#code = null;
  }
}

// All at once.
export function show_markdown(container, text) {
  const view = new MarkdownView(container);
  view.push(text);
  view.end();
}
