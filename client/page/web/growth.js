// What one more GPU of a given size would bring, in each format of the weights.

import {get} from "./api.js";
import {copy_button, el, set_text} from "./dom.js";
import {blocks_text, microseconds, short} from "./numbers.js";

export class Growth {
  #sizes = el("div", {class: "choice sizes", role: "group", "aria-label": "Memory of the GPU"});
  #other = el("input", {type: "number", min: "1", max: "1024", step: "1", placeholder: "other", "aria-label": "Another size, GB"});
  #body = el("tbody");
  #note = el("p", {class: "fine"});
  #command = el("code");
  #on_plan;      // shows it in the map
  #state = null;
  #gib = 24;
  #asked = null;  // of a size that is no usual one: what the server says
  #shown = "";

  constructor(container, on_plan) {
    this.#on_plan = on_plan;
    this.#other.addEventListener("change", () => this.#choose(this.#other.valueAsNumber, true));
    container.append(
        el("div", {class: "row"}, this.#sizes, el("label", {class: "other"}, this.#other, " GB")),
        el("div", {class: "scroll"}, el("table", {}, el("thead", {}, el("tr", {},
            ...["Weights", "It holds", "It would serve", "Thinnest block", "Slowest block"].map((name) =>
                el("th", {scope: "col"}, name)))), this.#body)),
        this.#note,
        el("p", {class: "command"}, this.#command, copy_button(() => this.#command.textContent)));
    set_text(this.#command, "shoal-node run --model MODEL --weights auto --join HOST:PORT");
  }

  show(state) {
    this.#state = state;
    if (this.#sizes.children.length === 0) {
      for (const {gib} of state.growth.cards) {
        const button = el("button", {type: "button", "data-gib": gib}, `${gib} GB`);
        button.addEventListener("click", () => this.#choose(gib, false));
        this.#sizes.append(button);
      }
    }
    if (this.#asked) this.#ask();
    else this.#draw();
  }

  #choose(gib, other) {
    if (!(gib >= 1 && gib <= 1024) || !this.#state) return;
    this.#gib = Math.round(gib);
    const usual = this.#state.growth.cards.some((card) => card.gib === this.#gib);
    if (!other) this.#other.value = "";
    this.#asked = null;
    if (usual) this.#draw();
    else this.#ask();
  }

  async #ask() {
    const gib = this.#gib;
    try {
      const card = await get(`/swarm/growth/${gib}`);
      if (gib === this.#gib) this.#asked = card;
    } catch {
      return;  // the next look says why
    }
    this.#draw();
  }

  #draw() {
    const {growth, blocks, weakest} = this.#state;
    const card = this.#asked ?? growth.cards.find(({gib}) => gib === this.#gib);
    for (const button of this.#sizes.children)
      button.setAttribute("aria-pressed", String(Number(button.dataset.gib) === this.#gib));
    if (!card) return;
    // Shown in the map: the widest weights in which it holds most.
    const fitting = card.formats.filter((format) => format.blocks > 0);
    const most = Math.max(0, ...fitting.map((format) => format.blocks));
    const best = fitting.find((format) => format.blocks === most);
    this.#on_plan(best ? {label: `${card.gib} GB, ${best.weights}`, begin: best.begin, end: best.end} : null);
    const source = JSON.stringify([card, blocks, growth.block_step_us]);
    if (source === this.#shown) return;
    this.#shown = source;
    this.#body.replaceChildren(...card.formats.map((format) => row_of(format, blocks, format === best)));
    set_text(this.#note, `If it computes as fast as the median node here, ${microseconds(growth.block_step_us)} a block.` +
        (weakest.servers === 0 ? " Until every block is served nobody gets an answer." : ""));
  }
}

function row_of(format, blocks, best) {
  const head = el("th", {scope: "row"}, format.weights);
  if (format.blocks === 0) {
    return el("tr", {class: "none"}, head, el("td", {colspan: "4"}, "not one block fits"));
  }
  const all = format.blocks === blocks ? "all " : "";
  return el("tr", {class: best ? "best" : null}, head, el("td", {}, `${all}${format.blocks} ${format.blocks === 1 ? "block" : "blocks"}`),
            el("td", {}, blocks_text([format.begin, format.end])),
            gain_cell(format.before.servers, format.after.servers, String, " nodes"),
            gain_cell(format.before.tokens_s, format.after.tokens_s, short, " tokens/s"));
}

function gain_cell(before, after, text, unit) {
  const more = after > before * 1.005;
  const cell = el("td", {class: more ? "gain" : null}, more ? `${text(before)} → ${text(after)}` : text(before),
                  el("small", {}, unit));
  if (more && before > 0) cell.append(el("small", {class: "percent"}, ` +${Math.round(100 * (after / before - 1))} %`));
  return cell;
}
