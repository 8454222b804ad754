// The two switches in the page's head: language and light or dark.

import { h } from "./dom.js";
import { LANGUAGES, language, onLanguage, setLanguage, t } from "./i18n.js";
import { icon } from "./icons.js";

const THEMES = ["auto", "light", "dark"];

/** Put them into `place`, and keep them in the page's language. */
export function settings(place) {
  const show = () => place.replaceChildren(languages(), themes());
  onLanguage(() => {
    const had = document.activeElement?.dataset?.language;
    show();
    place.querySelector(`[data-language="${had}"]`)?.focus();
  });
  show();
}

function languages() {
  const buttons = Object.entries(LANGUAGES).map(([code, { tag, name }]) =>
    h(
      "button",
      {
        type: "button",
        lang: tag,
        "data-language": code,
        "aria-pressed": String(code === language()),
        on: { click: () => setLanguage(code) },
      },
      name,
    ),
  );
  return h("div", { class: "segments", role: "group", "aria-label": t("language") }, buttons);
}

function themes() {
  const root = document.documentElement;
  const group = h("div", { class: "segments", role: "group", "aria-label": t("theme") });
  const choose = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
    try {
      localStorage.setItem("earmark.theme", theme);
    } catch {
      // not remembered, then
    }
    for (const button of group.children) button.setAttribute("aria-pressed", String(button.dataset.choice === theme));
  };
  group.append(
    ...THEMES.map((theme) =>
      h(
        "button",
        {
          type: "button",
          class: "iconic",
          title: t(`theme.${theme}`),
          "aria-label": t(`theme.${theme}`),
          "data-choice": theme,
          "aria-pressed": String(theme === (root.dataset.theme ?? "auto")),
          on: { click: () => choose(theme) },
        },
        icon(theme),
      ),
    ),
  );
  return group;
}
