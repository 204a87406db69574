// Elements by hand: texts are texts, never markup.

// el("p", {class: "note", title: "..."}, "text", child, ...)
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export const by_id = (id) => document.getElementById(id);

// Leaves alone what reads like that already.
export function set_text(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
export function set_class(element, name, on) {
  if (element.classList.contains(name) !== Boolean(on)) element.classList.toggle(name, Boolean(on));
}
export function set_attribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Of several buttons the one that is pressed; told with its index.
export function choice(buttons, chosen) {
  buttons.forEach((button, index) => {
    button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      chosen(index);
    });
  });
}

// Browsers give the clipboard to pages of this machine and to https alone; others have the old way.
export async function copy(text) {
  if (navigator.clipboard) {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      // not allowed: as below
    }
  }
  const area = el("textarea", {class: "hidden", "aria-hidden": "true"});
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

export function copy_button(text_of, label = "Copy") {
  const button = el("button", {type: "button", class: "quiet"}, label);
  button.addEventListener("click", async () => {
    button.textContent = (await copy(text_of())) ? "Copied" : "Select it and copy";
    setTimeout(() => { button.textContent = label; }, 1500);
  });
  return button;
}
