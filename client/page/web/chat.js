// The conversation: what was said, how it is asked, and an answer while it comes.

import {stream} from "./api.js";
import {by_id, copy_button, el, set_text} from "./dom.js";
import {MarkdownView} from "./markdown.js";
import {milliseconds, plural, precise} from "./numbers.js";

const kNear = 80;  // pixels from the end: who is there stays there

const kEnds = {length: "cut at the most tokens", content_filter: "filtered"};

export class Chat {
  messages = [];  // {role, content}; what the model is sent, but for the system prompt
  #list = by_id("messages");
  #prompt = by_id("prompt");
  #running = null;  // the AbortController of an answer that comes
  #on_answer;       // (id, running): its trace can be asked for
  #on_refused;      // (ApiError): true when it was dealt with

  constructor({on_answer, on_refused}) {
    this.#on_answer = on_answer;
    this.#on_refused = on_refused;
    by_id("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#send();
    });
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#send();
    });
    this.#prompt.addEventListener("input", () => this.#fit());
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.#running) this.stop();
    });
    by_id("stop").addEventListener("click", () => this.stop());
    by_id("new-chat").addEventListener("click", () => this.#begin_anew());
  }

  stop() { this.#running?.abort(); }

  #fit() {
    this.#prompt.style.height = "auto";
    this.#prompt.style.height = `${Math.min(this.#prompt.scrollHeight + 2, 240)}px`;
  }

  #begin_anew() {
    this.stop();
    this.messages = [];
    this.#list.replaceChildren(this.#welcome ?? "");
    this.#prompt.focus();
  }
  #welcome = by_id("welcome");

  #send() {
    const text = this.#prompt.value;
    if (this.#running || text.trim() === "") return;
    this.#prompt.value = "";
    this.#fit();
    this.#welcome.remove();
    this.#drop_failed();
    this.messages.push({role: "user", content: text});
    this.#list.append(el("article", {class: "message user", "aria-label": "You"}, el("div", {class: "text"}, text)));
    this.#answer();
  }

  // A failed answer is no part of the talk.
  #drop_failed() {
    for (const failed of this.#list.querySelectorAll(".message.failed")) failed.remove();
  }

  // Another answer to the last thing that was said.
  #regenerate() {
    if (this.#running) return;
    if (this.messages.at(-1)?.role === "assistant") this.messages.pop();
    this.#list.querySelector(".message:last-child:not(.user)")?.remove();
    this.#answer();
  }

  #request() {
    const request = {messages: this.messages.map(({role, content}) => ({role, content})), stream: true,
                     stream_options: {include_usage: true}};
    const system = by_id("system").value.trim();
    if (system) request.messages.unshift({role: "system", content: system});
    const temperature = by_id("temperature").valueAsNumber, most = by_id("max-tokens").valueAsNumber;
    if (!Number.isNaN(temperature)) request.temperature = temperature;
    if (!Number.isNaN(most)) request.max_tokens = most;
    return request;
  }

  async #answer() {
    const view = new AnswerView(this.#list);
    const talk = this.messages;  // there may be another one before the answer ends
    this.#to_end();
    this.#running = new AbortController();
    by_id("send").hidden = true;
    by_id("stop").hidden = false;
    const answer = {role: "assistant", content: ""};
    let id = null, end = null, usage = null, failure = null;
    try {
      for await (const chunk of stream("/v1/chat/completions", this.#request(), this.#running.signal)) {
        if (id === null) this.#on_answer(id = chunk.id, true);
        usage = chunk.usage ?? usage;
        const choice = chunk.choices[0];
        const text = choice?.delta?.content;
        if (text) {
          const at_end = this.#at_end();
          answer.content += text;
          view.push(text);
          if (at_end) requestAnimationFrame(() => this.#to_end());
        }
        end = choice?.finish_reason ?? end;
      }
    } catch (error) {
      if (error.name !== "AbortError") failure = error;
      end = "stopped";
    }
    this.#running = null;
    by_id("send").hidden = false;
    by_id("stop").hidden = true;
    const at_end = this.#at_end();
    if (answer.content !== "") talk.push(answer);
    view.end({end, usage, failure, text: () => answer.content, again: () => this.#regenerate()});
    if (id !== null) this.#on_answer(id, false);
    if (failure) this.#on_refused(failure);
    if (at_end) this.#to_end();
  }

  #at_end() { return this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < kNear; }
  #to_end() { this.#list.scrollTop = this.#list.scrollHeight; }
}

// One answer on the page.
class AnswerView {
  #article = el("article", {class: "message assistant", "aria-label": "The model", "aria-busy": "true"});
  #text = el("div", {class: "text"});
  #figures = el("span", {class: "figures"});
  #markdown;
  #asked_at = performance.now();
  #first_at = 0;
  #pieces = 0;
  #shown_at = 0;

  constructor(list) {
    this.#markdown = new MarkdownView(this.#text);
    this.#article.append(this.#text, el("footer", {}, this.#figures));
    set_text(this.#figures, "waiting for the first token …");
    list.append(this.#article);
  }

  push(text) {
    const now = performance.now();
    if (this.#first_at === 0) this.#first_at = now;
    ++this.#pieces;
    this.#markdown.push(text);
    if (now - this.#shown_at < 250) return;
    this.#shown_at = now;
    this.#show(this.#pieces, now);
  }

  #show(tokens, now, end) {
    const parts = [];
    const seconds = (now - this.#first_at) / 1000;
    if (tokens > 1 && seconds > 0) parts.push(`${precise((tokens - 1) / seconds)} tokens/s`);
    if (this.#first_at > 0) parts.push(`first token ${milliseconds(this.#first_at - this.#asked_at)}`);
    if (end !== undefined && tokens > 0) parts.push(plural(tokens, "token", "tokens"));
    if (end) parts.push(end);
    set_text(this.#figures, parts.join(" · "));
  }

  end({end, usage, failure, text, again}) {
    this.#markdown.end();
    this.#show(usage?.completion_tokens ?? this.#pieces, performance.now(),
               end === "stopped" && !failure ? "stopped" : kEnds[end] ?? "");
    if (failure) {
      this.#article.classList.toggle("failed", text() === "");
      this.#text.append(el("div", {class: "failure", role: "alert"}, el("p", {}, failure.message),
                           el("p", {class: "fine"}, failure.way_out ?? "Try again.")));
    } else if (text() === "") {
      this.#text.append(el("p", {class: "fine"}, "The model ended without a word."));
    }
    const footer = this.#article.querySelector("footer");
    const button = el("button", {type: "button", class: "quiet again"}, failure ? "Try again" : "Regenerate");
    button.addEventListener("click", again);
    footer.append(el("span", {class: "buttons"}, text() === "" ? null : copy_button(text), button));
    this.#article.removeAttribute("aria-busy");
  }
}
