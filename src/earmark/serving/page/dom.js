// Builds elements. Text is always set as text, never as markup: a file's name may hold anything.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `h("button", {class: "quiet", on: {click: play}, css: {"--at": 0}}, "Play")`; null and false: left out. */
export function h(name, props = {}, ...children) {
  return filled(document.createElement(name), props, children);
}

/** The same for a part of a drawing. */
export function s(name, props = {}, ...children) {
  return filled(document.createElementNS(SVG, name), props, children);
}

/** What only a screen reader is told. */
export function unseen(...children) {
  return h("span", { class: "unseen" }, ...children);
}

/** Put `children` in the place of what `container` holds; a focus that was there is not lost. */
export function swap(container, ...children) {
  const had = container.contains(document.activeElement);
  container.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (!had) return;
  container.setAttribute("tabindex", -1);
  container.focus({ preventScroll: true });
}

/** What is shown while something is looked up. */
export const thinking = (text) =>
  h("div", { class: "thinking" }, h("progress", { "aria-label": text }), h("p", {}, text));

/** A part that is folded away until it is asked for; `fill` makes its content at that moment. */
export function fold(title, fill, props = {}) {
  const body = h("div", { class: "fold-body" });
  const details = h("details", { ...props, class: `fold ${props.class ?? ""}`.trim() }, h("summary", {}, title), body);
  const open = () => {
    if (details.open && !body.hasChildNodes()) body.append(...[fill()].flat());
  };
  details.addEventListener("toggle", open);
  return details;
}

/** A table out of rows of texts; the first cell of each row heads it. */
export function table(caption, heads, rows) {
  const cells = (row) => row.map((cell, at) => h(at ? "td" : "th", at ? {} : { scope: "row" }, cell));
  return h(
    "div",
    { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    h(
      "table",
      {},
      h("caption", {}, caption),
      h(
        "thead",
        {},
        h(
          "tr",
          {},
          heads.map((head) => h("th", { scope: "col" }, head)),
        ),
      ),
      h(
        "tbody",
        {},
        rows.map((row) => h("tr", {}, cells(row))),
      ),
    ),
  );
}

/** Arrow keys move within `group`, which then is one stop for the Tab key. */
export function roving(group, buttons) {
  buttons.forEach((button, at) => button.setAttribute("tabindex", at ? -1 : 0));
  group.addEventListener("keydown", (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (at < 0 || to === undefined || !buttons[to]) return;
    event.preventDefault();
    buttons[to].focus();
  });
  group.addEventListener("focusin", (event) => {
    if (buttons.includes(event.target))
      buttons.forEach((one) => one.setAttribute("tabindex", one === event.target ? 0 : -1));
  });
}

function filled(element, props, children) {
  for (const [key, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "on") for (const [event, run] of Object.entries(value)) element.addEventListener(event, run);
    // By the object model: a style attribute is what the Content-Security-Policy forbids.
    else if (key === "css")
      for (const [property, set] of Object.entries(value)) element.style.setProperty(property, set);
    else element.setAttribute(key, value === true ? "" : String(value));
  }
  element.append(
    ...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false),
  );
  return element;
}
