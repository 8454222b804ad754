// The page's two languages: `t(KEY, {name: value})` is the text for a key; `onLanguage` tells when it changed.

import en from "./en.js";
import zh from "./zh.js";

/** Code → the tag for `lang` and Intl, its own name, its words. */
export const LANGUAGES = {
  en: { tag: "en", name: "English", words: en },
  zh: { tag: "zh-Hans", name: "中文", words: zh },
};

const listeners = new Set();
let code = document.documentElement.lang.startsWith("zh") ? "zh" : "en";

/** The code of the language in use. */
export const language = () => code;

/** Its tag, for Intl. */
export const tag = () => LANGUAGES[code].tag;

/** Whether there is a text of this name. */
export const has = (key) => key in LANGUAGES[code].words;

/**
 * The text for `key`, with `{name}` filled in. A text that is an object of plural forms is chosen by the value `count`,
 * or by `nth` among the ordinal ones; both are written as the language writes numbers.
 */
export function t(key, values = {}) {
  const found = LANGUAGES[code].words[key];
  const number = values.count ?? values.nth;
  const form = (type) => new Intl.PluralRules(tag(), { type }).select(number);
  const text =
    typeof found === "object" ? (found[form("nth" in values ? "ordinal" : "cardinal")] ?? found.other) : found;
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => {
    const value = values[name];
    return typeof value === "number" ? new Intl.NumberFormat(tag()).format(value) : (value ?? whole);
  });
}

/** Change the language, remember it, and tell everybody. */
export function setLanguage(wanted) {
  code = wanted;
  try {
    localStorage.setItem("earmark.language", wanted);
  } catch {
    // not remembered, then
  }
  translate();
  listeners.forEach((tell) => tell());
}

/** Call `tell` whenever the language changes. */
export function onLanguage(tell) {
  listeners.add(tell);
}

/** Put the texts into what stands in index.html. */
export function translate(root = document) {
  document.documentElement.lang = tag();
  for (const element of root.querySelectorAll("[data-i18n]")) element.textContent = t(element.dataset.i18n);
  for (const element of root.querySelectorAll("[data-i18n-label]")) {
    element.setAttribute("aria-label", t(element.dataset.i18nLabel));
  }
}
