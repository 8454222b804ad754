// The API key, where the service wants one: asked for when it is missing, kept for this tab only.

import { h } from "./dom.js";
import { t } from "./i18n.js";

const NAME = "earmark.key";
let kept = null;
let asking = null;
const listeners = new Set();

/** The key, or null. */
export function key() {
  try {
    return sessionStorage.getItem(NAME) ?? kept;
  } catch {
    return kept;
  }
}

/** Call `tell` when a key was given. */
export const onKey = (tell) => listeners.add(tell);

/** Ask for it, once for all who wait; whether one was given. `again`: the last one was not accepted. */
export function askForKey({ again }) {
  asking ??= prompt(again).finally(() => (asking = null));
  return asking;
}

function prompt(again) {
  return new Promise((resolve) => {
    const input = h("input", {
      id: "key",
      type: "password",
      autocomplete: "off",
      spellcheck: "false",
      required: true,
      "aria-describedby": "key-help",
    });
    const dialog = h(
      "dialog",
      { class: "dialog", "aria-labelledby": "key-title" },
      h(
        "form",
        { method: "dialog" },
        h("h2", { id: "key-title" }, t("key.title")),
        h("p", { id: "key-help" }, again ? t("key.again") : t("key.help")),
        h("label", { for: "key" }, t("key.label")),
        input,
        h(
          "div",
          { class: "row end" },
          h("button", { type: "button", class: "plain", on: { click: () => dialog.close() } }, t("key.cancel")),
          h("button", { type: "submit", class: "main" }, t("key.use")),
        ),
      ),
    );
    dialog.querySelector("form").addEventListener("submit", (event) => {
      event.preventDefault();
      keep(input.value.trim());
    });
    dialog.addEventListener("close", () => {
      dialog.remove();
      const given = dialog.returnValue === "given";
      resolve(given);
      if (given) listeners.forEach((tell) => tell());
    });
    const keep = (value) => {
      if (!value) return;
      kept = value;
      try {
        sessionStorage.setItem(NAME, value);
      } catch {
        // kept until the page is left, then
      }
      dialog.close("given");
    };
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}
