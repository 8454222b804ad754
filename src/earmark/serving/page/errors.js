// What went wrong, in words for people; the service's own message and the request's id are one click away.

import { fold, h } from "./dom.js";
import { has, t } from "./i18n.js";
import { icon } from "./icons.js";

/** One sentence. */
export const errorTitle = (refused) => t(has(`error.${refused.code}`) ? `error.${refused.code}` : "error.unknown");

/** What helps, or an empty text. */
const errorHelp = (refused) => (has(`error.${refused.code}.help`) ? t(`error.${refused.code}.help`) : "");

/** What the file itself is to blame for: sent again, it would be refused again. */
const FINAL = new Set([
  "too_large",
  "too_long",
  "not_audio",
  "unsupported",
  "empty",
  "cut_off",
  "too_short",
  "unreadable",
  "no_network",
  "forbidden",
]);

/** A box with all of it; `again` is what the button does, which is there where trying again can help. */
export function errorBox(refused, { again = null } = {}) {
  const help = errorHelp(refused);
  return h(
    "div",
    { class: "notice bad", "data-code": refused.code },
    icon("notice"),
    h(
      "div",
      {},
      h("p", { class: "strong" }, errorTitle(refused)),
      help && h("p", {}, help),
      again &&
        !FINAL.has(refused.code) &&
        h("button", { type: "button", class: "plain", on: { click: again } }, icon("again"), t("again")),
      (refused.detail || refused.requestId) &&
        fold(t("error.details"), () =>
          [
            refused.detail && h("p", { class: "said", lang: "en" }, refused.detail),
            h("p", { class: "said" }, t("error.code", { code: refused.code, status: String(refused.status) })),
            refused.requestId && copyable(t("error.request"), refused.requestId),
          ].filter(Boolean),
        ),
    ),
  );
}

/** A name, a value such as an id, and a button that copies it. */
export function copyable(name, value) {
  const said = h("span", { class: "unseen", role: "status" });
  const button = h(
    "button",
    { type: "button", class: "iconic plain", "aria-label": t("copy", { what: name || value }) },
    icon("copy"),
  );
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(value);
    } catch {
      selectText(code); // no clipboard without https: then it is selected, for Ctrl-C
    }
    said.textContent = t("copied");
    button.classList.add("done");
    setTimeout(() => {
      said.textContent = "";
      button.classList.remove("done");
    }, 2000);
  });
  const code = h("code", {}, value);
  return h("p", { class: "copyable" }, name && h("span", { class: "dim" }, name), code, button, said);
}

function selectText(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
}
