// The nodes as a table: what the map shows, in words.

import {el} from "./dom.js";
import {blocks_text, microseconds, milliseconds, short} from "./numbers.js";

const kColumns = ["Node", "Blocks", "State", "Kind", "A block", "Delay", "Free KV", "Sessions", "Queue"];

export class NodesTable {
  #container;
  #last = "";

  constructor(container) { this.#container = container; }

  show(nodes) {
    const rows = nodes.map((node) => [
      node.public_name || node.name, blocks_text([node.begin, node.end]),
      node.silence ? `silent: ${node.silence}` : node.state, node.kind,
      node.block_step_us > 0 ? microseconds(node.block_step_us) : "–",
      node.delay_ms === null ? "–" : milliseconds(node.delay_ms),
      short(node.free_kv), node.sessions === null ? "–" : String(node.sessions), String(node.queue),
    ]);
    const source = JSON.stringify(rows);
    if (source === this.#last) return;  // who reads it keeps their place
    this.#last = source;
    this.#container.replaceChildren(
        el("table", {}, el("thead", {}, el("tr", {}, ...kColumns.map((name) => el("th", {scope: "col"}, name)))),
           el("tbody", {}, ...rows.map(([name, ...cells]) =>
               el("tr", {}, el("th", {scope: "row"}, name), ...cells.map((cell) => el("td", {}, cell)))))));
  }
}
