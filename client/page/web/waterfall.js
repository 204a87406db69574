// Where the time of an answer goes, hop by hop: on the way, waiting, computing; then the way back,
// and what is computed here.

import {el, set_text} from "./dom.js";
import {blocks_text, milliseconds, plural} from "./numbers.js";

const kParts = [["network", "on the way"], ["queue", "waits"], ["compute", "computes"], ["client", "here"]];

export class Waterfall {
  #title = el("p", {class: "fine"});
  #rows = el("ol", {class: "falls"});
  #scale = el("div", {class: "scale", "aria-hidden": "true"});
  #legend = el("ul", {class: "legend"}, ...kParts.map(([part, name]) =>
      el("li", {}, el("span", {class: `part ${part}`, "aria-hidden": "true"}), name)));
  #trace = null;
  #names = new Map();
  #shown = "";
  #of_prompt = false;

  constructor(container) {
    container.append(this.#title, this.#rows, this.#scale, this.#legend);
    this.#draw();
  }

  // What GET /swarm/answers/ID gives, or null; names: of nodes, by peer.
  show(trace, names) {
    const source = JSON.stringify([trace, [...names]]);
    if (source === this.#shown) return;
    this.#shown = source;
    this.#trace = trace;
    this.#names = names;
    this.#draw();
  }
  show_of(prompt) {
    this.#of_prompt = prompt;
    this.#draw();
  }

  #draw() {
    const trace = this.#trace, way = this.#of_prompt ? trace?.prompt : trace?.token;
    this.#legend.hidden = this.#scale.hidden = !way;
    if (!way) {
      this.#rows.replaceChildren();
      set_text(this.#title, trace ? "Nothing is measured of that yet." : "Ask something: then it stands here.");
      return;
    }
    const lines = lines_of(way, this.#names);
    const whole = Math.max(way.total_ms + way.client_ms, ...lines.map((line) => line.begin + line.time));
    const facts = this.#of_prompt
        ? [`${plural(trace.prompt_tokens, "token", "tokens")} of prompt in ${milliseconds(whole)}`,
           trace.cached_tokens > 0 ? `${trace.cached_tokens} of them known from before` : null]
        : [`${milliseconds(whole)} a token`, `mean of ${plural(way.steps, "token", "tokens")}`];
    facts.push(plural(way.hops.length, "hop", "hops"));
    if (trace.reroutes > 0) facts.push(`rerouted ${plural(trace.reroutes, "time", "times")}`);
    if (trace.state === "running") facts.push("still going on");
    set_text(this.#title, facts.filter(Boolean).join(" · "));
    this.#rows.replaceChildren(...lines.map((line) => row_of(line, whole)));
    this.#scale.replaceChildren(...[0, 0.25, 0.5, 0.75, 1].map((part) => {
      const tick = el("span", {}, part === 0 ? "0" : milliseconds(part * whole));
      tick.style.left = `${100 * part}%`;
      return tick;
    }));
  }
}

// [{name, span, begin, time, parts: [[part, ms]]}], one behind the other.
function lines_of(way, names) {
  const lines = [];
  let at = 0;
  const add = (name, span, parts) => {
    const time = parts.reduce((sum, [, ms]) => sum + ms, 0);
    lines.push({name, span, begin: at, time, parts});
    at += time;
  };
  // Earlier parts of a long prompt pass while this one does.
  const hops = way.hops.reduce((sum, hop) => sum + hop.network_ms + hop.queue_ms + hop.compute_ms, 0);
  const before = way.total_ms - hops - way.return_ms;
  if (before > 0.1 * way.total_ms) add("before", "earlier rows", [["queue", before]]);
  for (const hop of way.hops) {
    add(hop.peer ? names.get(hop.peer) ?? hop.name : "this process", blocks_text([hop.begin, hop.end]),
        [["network", hop.network_ms], ["queue", hop.queue_ms], ["compute", hop.compute_ms]]);
  }
  if (way.return_ms > 0.005 * way.total_ms) add("back", "", [["network", way.return_ms]]);
  add("here", "head, sampling", [["client", way.client_ms]]);
  return lines;
}

function row_of({name, span, begin, time, parts}, whole) {
  const track = el("div", {class: "track"});
  let at = begin;
  for (const [part, ms] of parts) {
    const bar = track.appendChild(el("span", {class: `part ${part}`}));
    bar.style.left = `${100 * at / whole}%`;
    bar.style.width = `${100 * ms / whole}%`;
    at += ms;
  }
  const words = parts.filter(([, ms]) => ms > 0)
      .map(([part, ms]) => `${kParts.find(([one]) => one === part)[1]} ${milliseconds(ms)}`).join(", ");
  return el("li", {title: words}, el("span", {class: "label"}, name, el("small", {}, span)), track,
            el("span", {class: "time"}, milliseconds(time)), el("span", {class: "hidden"}, words));
}
