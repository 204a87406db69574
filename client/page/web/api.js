// What the page asks of its server: JSON, and streams of events. Keeps the key of this tab.

const kKey = "shoal.key";

let key = "";
try {
  key = sessionStorage.getItem(kKey) ?? "";
} catch {
  // a browser that keeps nothing
}
export function has_key() { return key !== ""; }
export function set_key(text) {
  key = text.trim();
  try {
    sessionStorage.setItem(kKey, key);
  } catch {
    // likewise: then it lasts as long as the page
  }
}

// What went wrong, for people: `text`, and how to go on, `way_out`.
export class ApiError extends Error {
  constructor(status, code, message, way_out) {
    super(message);
    this.status = status;
    this.code = code;
    this.way_out = way_out;
  }
}

function way_out_of(status, code, retry_after) {
  const soon = retry_after ? `in ${retry_after} s` : "in a moment";
  if (code === "context_length_exceeded")
    return "Start a new chat, shorten the message, or ask for fewer tokens in the settings.";
  if (code === "no_chat_template") return "Start the server with --chat-template FILE.";
  if (status === 401) return "Give a key of this server.";
  if (status === 429) return `The server makes as many answers as it may. Try again ${soon}.`;
  if (status === 503)
    return `The map shows which blocks nobody serves. It goes on when a node serves them: try again ${soon}.`;
  if (status === 400) return "Change the settings or the message, and send it again.";
  return "Try again.";
}

export function error_of(status, body, retry_after) {
  const error = body?.error ?? {};
  return new ApiError(status, error.code ?? null, error.message ?? `The server answered ${status}.`,
                      way_out_of(status, error.code, retry_after));
}

async function request(path, options = {}) {
  const headers = {...options.headers};
  if (key) headers.Authorization = `Bearer ${key}`;
  let response;
  try {
    response = await fetch(path, {...options, headers, cache: "no-store", credentials: "omit"});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The server does not answer.",
                       "Is shoal serve still running? The page goes on by itself when it is back.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw error_of(response.status, body, response.headers.get("Retry-After"));
}

export async function get(path, signal) { return (await request(path, {signal})).json(); }

// Server-sent events out of pieces of text: the data of each.
export class EventReader {
  #rest = "";
  #data = [];

  push(text) {
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop();
    const events = [];
    for (const line of lines) {
      if (line === "") {
        if (this.#data.length > 0) events.push(this.#data.join("\n"));
        this.#data = [];
      } else if (line.startsWith("data:")) {
        this.#data.push(line.slice(line[5] === " " ? 6 : 5));
      }  // else a comment, or a field that we have no use for
    }
    return events;
  }
}

// Chunks of an answer as they come. Ends with [DONE]; throws what the server says went wrong.
export async function* stream(path, body, signal) {
  const response = await request(path, {
    method: "POST", signal, body: JSON.stringify(body), headers: {"Content-Type": "application/json"},
  });
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  const events = new EventReader();
  for (;;) {
    let piece;
    try {
      piece = await reader.read();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      piece = {done: true};
    }
    if (piece.done) {
      throw new ApiError(0, "cut", "The answer broke off: the connection to the server is lost.",
                         "Ask again; what came so far stays.");
    }
    for (const data of events.push(decoder.decode(piece.value, {stream: true}))) {
      if (data === "[DONE]") return;
      const json = JSON.parse(data);
      if (json.error) throw error_of(json.error.code === "queue_full" ? 429 : 503, json, null);
      yield json;
    }
  }
}
