// A bar per node over the blocks of the model, how many nodes serve each block above them, the way
// of the last answer, and where one more GPU would go.

import {by_id, el, set_attribute, set_class, set_text} from "./dom.js";
import {blocks_text, microseconds, milliseconds, plural, short, spans_text} from "./numbers.js";

const kMostColumns = 128;  // of the strip: wider models share them, as the least of theirs
const kManyNodes = 24;     // whose rows are lower
const kStates = {online: "online", joining: "joining", draining: "draining", silent: "silent", offline: "offline"};

export class BlockMap {
  #strip = el("div", {class: "strip", role: "img"});
  #axis = el("div", {class: "axis", "aria-hidden": "true"});
  #rows = el("div", {class: "rows", role: "list", "aria-label": "Nodes, by their blocks"});
  #planned = el("div", {class: "node planned", hidden: true});
  #empty = el("p", {class: "fine", hidden: true}, "No node serves this model.");
  #by_peer = new Map();  // -> NodeRow
  #blocks = 0;
  #hops = new Map();     // peer -> [begin, end], of the route
  #moving = false;
  #tip = new Tip(by_id("tip"));

  constructor(container) {
    container.classList.add("map");
    container.append(
        el("div", {class: "node head"}, el("span", {class: "label"}, "served by"),
           el("div", {}, this.#strip, this.#axis), el("span", {class: "speed"}, "a block"),
           el("span", {class: "kv"}, "free KV")),
        this.#rows, this.#planned, this.#empty);
    this.#rows.addEventListener("keydown", (event) => this.#on_key(event));
    for (const [enter, leave] of [["focusin", "focusout"], ["pointerover", "pointerout"]]) {
      this.#rows.addEventListener(enter, (event) => {
        const row = event.target.closest(".node");
        if (row) this.#tip.show(row, this.#by_peer.get(row.dataset.peer)?.details() ?? []);
      });
      this.#rows.addEventListener(leave, () => this.#tip.hide());
    }
    by_id("legend").append(...["online", "joining", "draining", "silent", "way of the answer"].map((name) =>
        el("li", {}, el("span", {class: `bar ${name.startsWith("way") ? "online used" : name}`, "aria-hidden": "true"}), name)));
  }

  show({blocks, coverage, missing, thin, nodes}) {
    if (blocks !== this.#blocks) this.#draw_axis(blocks);
    this.#blocks = blocks;
    this.#draw_strip(coverage.servers, missing, thin);
    const seen = new Set();
    let place = this.#rows.firstElementChild;
    for (const node of nodes) {
      seen.add(node.peer);
      let row = this.#by_peer.get(node.peer);
      if (!row) this.#by_peer.set(node.peer, row = new NodeRow(node.peer));
      row.show(node, blocks);
      row.use(this.#hops.get(node.peer), blocks, this.#moving);
      if (row.element === place) place = place.nextElementSibling;
      else this.#rows.insertBefore(row.element, place);
    }
    for (const [peer, row] of this.#by_peer) {
      if (seen.has(peer)) continue;
      row.element.remove();
      this.#by_peer.delete(peer);
    }
    this.#empty.hidden = nodes.length > 0;
    set_class(this.#rows.parentElement, "dense", nodes.length > kManyNodes);
    if (!this.#rows.querySelector(".node[tabindex='0']")) this.#rows.firstElementChild?.setAttribute("tabindex", "0");
  }

  // hops: [{peer, begin, end}]
  route(hops, moving) {
    this.#hops = new Map(hops.map(({peer, begin, end}) => [peer, [begin, end]]));
    this.#moving = moving;
    for (const [peer, row] of this.#by_peer) row.use(this.#hops.get(peer), this.#blocks, moving);
  }

  // {label, begin, end}, or null
  plan(planned) {
    this.#planned.hidden = !planned;
    if (!planned || this.#blocks === 0) return;
    const bar = el("span", {class: "bar"}, blocks_text([planned.begin, planned.end]));
    place_bar(bar, planned.begin, planned.end, this.#blocks);
    this.#planned.replaceChildren(el("span", {class: "label"}, "one more"), el("div", {class: "track"}, bar),
                                  el("span", {class: "what"}, planned.label));
  }

  #draw_axis(blocks) {
    const step = [1, 2, 4, 5, 8, 10, 16, 20, 32, 40, 64, 80, 128].find((one) => blocks / one <= 10) ?? 256;
    this.#axis.replaceChildren();
    for (let block = 0; block < blocks; block += step) {
      const tick = this.#axis.appendChild(el("span", {}, String(block)));
      tick.style.left = `${100 * (block + 0.5) / blocks}%`;
    }
  }

  #draw_strip(servers, missing, thin) {
    const each = Math.ceil(servers.length / kMostColumns), most = Math.max(2, ...servers);
    const columns = [];
    for (let i = 0; i < servers.length; i += each) columns.push(Math.min(...servers.slice(i, i + each)));
    while (this.#strip.children.length > columns.length) this.#strip.lastChild.remove();
    while (this.#strip.children.length < columns.length) this.#strip.append(el("span", {}, el("i")));
    const numbered = columns.length <= 16;
    columns.forEach((count, i) => {
      const column = this.#strip.children[i], bar = column.firstChild;
      set_attribute(column, "class", count === 0 ? "missing" : count === 1 ? "thin" : "");
      const height = count === 0 ? "100%" : `${Math.round(20 + 80 * count / most)}%`;
      if (bar.style.height !== height) bar.style.height = height;
      set_text(bar, count === 0 ? "!" : numbered ? String(count) : "");
    });
    const parts = [];
    if (missing.length > 0) parts.push(`Nobody serves ${spans_text(missing)}.`);
    if (thin.length > 0) parts.push(`One node alone serves ${spans_text(thin)}.`);
    parts.push(`The least served block has ${plural(Math.min(...servers), "node", "nodes")}, the most served ${most}.`);
    set_attribute(this.#strip, "aria-label", parts.join(" "));
    set_attribute(this.#strip, "title", parts.join(" "));
  }

  #on_key(event) {
    const rows = [...this.#rows.children], at = rows.indexOf(event.target);
    if (at < 0) return;
    if (event.key === "Escape") return this.#tip.hide();
    const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: rows.length - 1,
                PageDown: Math.min(at + 10, rows.length - 1), PageUp: Math.max(at - 10, 0)}[event.key];
    if (to === undefined || !rows[to]) return;
    event.preventDefault();
    event.target.setAttribute("tabindex", "-1");
    rows[to].setAttribute("tabindex", "0");
    rows[to].focus();
  }
}

function place_bar(bar, begin, end, blocks) {
  const left = `${100 * begin / blocks}%`, width = `${100 * (end - begin) / blocks}%`;
  if (bar.style.left !== left) bar.style.left = left;
  if (bar.style.width !== width) bar.style.width = width;
}

class NodeRow {
  #node = null;
  #name = el("span", {class: "label"});
  #bar = el("span", {class: "bar"});
  #span = el("span", {class: "span"});
  #fill = el("span", {class: "fill"});
  #used = el("span", {class: "hop", hidden: true});
  #speed = el("span", {class: "speed"});
  #kv = el("span", {class: "kv"});

  constructor(peer) {
    this.#bar.append(this.#span, this.#fill);
    this.element = el("div", {class: "node", role: "listitem", tabindex: "-1"}, this.#name,
                      el("div", {class: "track"}, this.#bar, this.#used), this.#speed, this.#kv);
    this.element.dataset.peer = peer;
  }

  show(node, blocks) {
    this.#node = node;
    set_text(this.#name, node.public_name || node.name);
    set_attribute(this.#bar, "class", `bar ${kStates[node.state] ?? "offline"}`);
    place_bar(this.#bar, node.begin, node.end, blocks);
    set_text(this.#span, blocks_text([node.begin, node.end]));
    const taken = node.total_kv ? 1 - node.free_kv / node.total_kv : 0;
    const width = `${Math.round(100 * Math.max(0, taken))}%`;
    if (this.#fill.style.width !== width) this.#fill.style.width = width;
    set_text(this.#speed, node.block_step_us > 0 ? microseconds(node.block_step_us) : "–");
    set_text(this.#kv, short(node.free_kv));
    set_attribute(this.element, "aria-label", this.details().map(([name, value]) => `${name} ${value}`).join(", "));
  }

  use(span, blocks, moving) {
    this.#used.hidden = !span;
    if (span) place_bar(this.#used, span[0], span[1], blocks);
    set_class(this.#used, "moving", moving);
    set_class(this.element, "in-use", Boolean(span));
  }

  // [[name, value]]
  details() {
    const node = this.#node;
    const lines = [["node", node.public_name ? `${node.public_name} (${node.name})` : node.name],
                   [node.end - node.begin === 1 ? "block" : "blocks", blocks_text([node.begin, node.end])],
                   ["state", node.silence ? `silent: it ${node.silence}` : node.state], ["computes", node.kind]];
    if (node.block_step_us > 0) lines.push(["a row through a block", microseconds(node.block_step_us)]);
    lines.push(["free KV", node.total_kv === null ? `${short(node.free_kv)} positions`
                                                  : `${short(node.free_kv)} of ${short(node.total_kv)} positions`]);
    if (node.sessions !== null) lines.push(["sessions", `${node.sessions} of ${short(node.max_sessions)}`]);
    lines.push(["queue", plural(node.queue, "step", "steps")]);
    if (node.delay_ms !== null) lines.push(["there and back", milliseconds(node.delay_ms)]);
    if (node.record_age_s !== null && node.silence) lines.push(["record", `${node.record_age_s} s old`]);
    return lines;
  }
}

class Tip {
  #element;

  constructor(element) { this.#element = element; }

  show(row, lines) {
    this.#element.replaceChildren(el("dl", {}, ...lines.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])));
    this.#element.hidden = false;
    const at = row.getBoundingClientRect(), size = this.#element.getBoundingClientRect();
    const below = at.bottom + size.height + 12 < innerHeight;
    this.#element.style.top = `${below ? at.bottom + 6 : Math.max(at.top - size.height - 6, 4)}px`;
    this.#element.style.left = `${Math.min(Math.max(at.left + 90, 8), innerWidth - size.width - 8)}px`;
  }
  hide() { this.#element.hidden = true; }
}
