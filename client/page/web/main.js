// Joins the parts of the page: chat, swarm, the key, and on a small screen the view of either.

import {get, has_key, set_key} from "./api.js";
import {Chat} from "./chat.js";
import {by_id} from "./dom.js";
import {Swarm} from "./swarm.js";

const dialog = by_id("key-dialog");

function ask_for_key() {
  by_id("key-button").hidden = false;
  by_id("key-wrong").hidden = !has_key();
  if (!dialog.open) dialog.showModal();
}
by_id("key-button").addEventListener("click", ask_for_key);
by_id("key-cancel").addEventListener("click", () => dialog.close());
by_id("key-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  set_key(by_id("key").value);
  try {
    await get("/v1/models");
    dialog.close();
    swarm.refresh();
  } catch (error) {
    by_id("key-wrong").hidden = error.status !== 401;
    if (error.status !== 401) dialog.close();
  }
});

// Only the first time by itself; then who wants it has the button.
let asked = false;
function on_refused(error) {
  if (error.status !== 401) return false;
  if (!asked) ask_for_key();
  asked = true;
  return true;
}

export const swarm = new Swarm({on_refused});
export const chat = new Chat({on_refused: (error) => { asked = false; on_refused(error); },
                              on_answer: (id, running) => swarm.follow(id, running)});

const tabs = [by_id("tab-chat"), by_id("tab-swarm")];
function show_view(index, focus) {
  tabs.forEach((tab, i) => {
    tab.setAttribute("aria-selected", String(i === index));
    tab.tabIndex = i === index ? 0 : -1;
  });
  document.body.dataset.view = index === 0 ? "chat" : "swarm";
  if (focus) tabs[index].focus();
  swarm.refresh();
}
tabs.forEach((tab, index) => {
  tab.addEventListener("click", () => show_view(index));
  tab.addEventListener("keydown", (event) => {
    if (event.key === "ArrowRight" || event.key === "ArrowLeft") show_view(1 - index, true);
  });
});
show_view(0);
