// The swarm beside the chat: asks the server every two seconds while somebody looks, and shows what
// it says.

import {get} from "./api.js";
import {BlockMap} from "./block_map.js";
import {by_id, choice, el, set_text} from "./dom.js";
import {Growth} from "./growth.js";
import {NodesTable} from "./nodes_table.js";
import {plural, short, spans_text} from "./numbers.js";
import {Waterfall} from "./waterfall.js";

const kPause = 2000;        // ms; the server looks no more often
const kWhileAnswering = 700;  // for the way of an answer that comes

export class Swarm {
  #map = new BlockMap(by_id("map"));
  #table = new NodesTable(by_id("nodes-table"));
  #waterfall = new Waterfall(by_id("waterfall"));
  #growth = new Growth(by_id("growth"), (planned) => this.#map.plan(planned));
  #facts = new Facts(by_id("facts"));
  #on_refused;
  #timer = 0;
  #asking = null;
  #answer = null;  // {id, running} of this page; else the last one of the server is shown
  #trace = null;   // of that answer
  #state = null;

  constructor({on_refused}) {
    this.#on_refused = on_refused;
    choice([by_id("show-map"), by_id("show-table")], (index) => {
      by_id("map").hidden = by_id("legend").hidden = index !== 0;
      by_id("nodes-table").hidden = index !== 1;
    });
    choice([by_id("of-token"), by_id("of-prompt")], (index) => this.#waterfall.show_of(index === 1));
    document.addEventListener("visibilitychange", () => this.refresh());
  }

  // Now, and from then on again and again.
  refresh() {
    clearTimeout(this.#timer);
    if (document.hidden) return;
    this.#ask();
  }

  follow(id, running) {
    const began = running && this.#answer?.id !== id;
    this.#answer = {id, running};
    this.#ask_answer(id, began);
    if (began || !running) this.refresh();
  }

  async #ask() {
    if (this.#asking) return;
    this.#asking = get("/swarm");
    try {
      this.show(await this.#asking);
    } catch (error) {
      this.#fail(error);
    }
    this.#asking = null;
    clearTimeout(this.#timer);
    if (!document.hidden) this.#timer = setTimeout(() => this.#ask(), kPause);
  }

  async #ask_answer(id, again) {
    try {
      const trace = await get(`/swarm/answers/${encodeURIComponent(id)}`);
      if (this.#answer?.id !== id) return;
      this.#trace = trace;
      this.#draw_way();
    } catch {
      // too long ago, or the server is gone: what is shown stays
    }
    if (!again || this.#answer?.id !== id || !this.#answer.running) return;
    setTimeout(() => this.#ask_answer(id, true), kWhileAnswering);
  }

  // Of the answer of this page, else of those that the server makes, else of its last one.
  #draw_way() {
    const trace = this.#answer ? this.#trace : this.#state?.last_answer ?? null;
    this.#waterfall.show(trace, this.#names());
    const others = (this.#state?.routes ?? []).flatMap((route) => route.hops);
    const own = trace?.token?.hops ?? trace?.prompt?.hops ?? [];
    const running = this.#answer?.running ?? false;
    this.#map.route(running || others.length === 0 ? own : others, running || others.length > 0);
  }

  #names() { return new Map((this.#state?.nodes ?? []).map((node) => [node.peer, node.public_name || node.name])); }

  // What GET /swarm gives.
  show(state) {
    this.#state = state;
    const chip = by_id("model");
    chip.hidden = false;
    set_text(chip, state.model);
    document.title = `${state.model} · Shoal`;
    by_id("swarm").classList.toggle("local", state.local);
    const note = by_id("swarm-note");
    note.hidden = !state.local && !state.error;
    set_text(note, state.local
        ? "This server runs the whole model by itself (--local): there is no swarm to show. Start it with --join HOST:PORT to see one."
        : state.error ?? "");
    this.#health(state);
    this.#draw_way();
    if (state.local) return;
    this.#facts.show(state);
    this.#map.show(state);
    this.#table.show(state.nodes);
    this.#growth.show(state);
  }

  #health(state) {
    const health = by_id("health");
    health.className = "health";
    if (state.local) return set_text(health, "on this machine alone");
    const serving = state.nodes.filter((node) => node.state === "online").length;
    const missing = state.missing.length > 0;
    health.classList.add(missing ? "bad" : state.thin.length > 0 ? "thin" : "good");
    set_text(health, missing ? `nobody serves ${spans_text(state.missing)}`
                             : state.thin.length > 0 ? `${spans_text(state.thin)} by one node alone`
                                                     : `every block is served · ${plural(serving, "node", "nodes")}`);
  }

  #fail(error) {
    if (this.#on_refused(error)) {
      by_id("health").className = "health";
      set_text(by_id("health"), "asks for an API key");
      return;
    }
    by_id("health").className = "health bad";
    set_text(by_id("health"), error.status ? error.message : "the server does not answer");
  }
}

// Four numbers.
class Facts {
  #values = {};

  constructor(container) {
    const facts = {nodes: "nodes online", blocks: "blocks served", least: "nodes at the thinnest block",
                   speed: "tokens/s at the slowest block"};
    for (const [name, label] of Object.entries(facts)) {
      this.#values[name] = el("dd");
      container.append(el("dl", {class: "fact"}, el("dt", {}, label), this.#values[name]));
    }
  }

  show({nodes, blocks, coverage, weakest}) {
    const online = nodes.filter((node) => node.state === "online").length;
    const served = coverage.servers.filter((count) => count > 0).length;
    set_text(this.#values.nodes, online === nodes.length ? `${online}` : `${online} / ${nodes.length}`);
    set_text(this.#values.blocks, `${served} / ${blocks}`);
    set_text(this.#values.least, `${weakest.servers}`);
    set_text(this.#values.speed, weakest.tokens_s > 0 ? short(weakest.tokens_s) : "–");
    this.#values.blocks.parentElement.classList.toggle("bad", served < blocks);
    this.#values.least.parentElement.classList.toggle("warn", weakest.servers === 1);
    this.#values.least.parentElement.classList.toggle("bad", weakest.servers === 0);
  }
}
