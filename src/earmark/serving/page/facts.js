// What is measured, not learnt: tempo, key, loudness; each with how sure it is, in words.

import { fold, h } from "./dom.js";
import { fixed, percent } from "./format.js";
import { has, t } from "./i18n.js";

const SURE = 0.9;
const LIKELY = 0.6;

/** sure, likely or guess. */
const wordFor = (confidence) => (confidence >= SURE ? "sure" : confidence >= LIKELY ? "likely" : "guess");

/** The card of three facts. */
export function factsCard({ tempo, key, loudness }) {
  const facts = [
    ["tempo", tempo, tempo && [fixed(tempo.bpm, 0), t("unit.bpm")]],
    ["key", key, key && [keyName(key), ""]],
    ["loudness", loudness, loudness && [fixed(loudness.lufs, 1).replace("-", "−"), t("unit.lufs")]],
  ];
  return h(
    "section",
    { class: "card", "aria-labelledby": "facts-title" },
    h("h2", { id: "facts-title" }, t("facts")),
    h(
      "dl",
      { class: "facts" },
      facts.map(([name, fact, text]) => tile(name, fact, text)),
    ),
    facts.some(([, fact]) => fact) &&
      fold(t("facts.how_sure"), () =>
        h(
          "ul",
          { class: "plain-list small" },
          facts
            .filter(([, fact]) => fact)
            .map(([name, fact]) => h("li", {}, t(`facts.${name}.right`, { share: percent(fact.confidence) }))),
        ),
      ),
  );
}

function tile(name, fact, text) {
  const word = fact && wordFor(fact.confidence);
  return h(
    "div",
    { class: "fact" },
    h("dt", { class: "small dim" }, t(`facts.${name}`)),
    fact
      ? [
          h(
            "dd",
            { class: "fact-value" },
            h("span", { class: "fact-number" }, withAccidentals(text[0])),
            text[1] && h("span", { class: "small dim" }, ` ${text[1]}`),
          ),
          h(
            "dd",
            { class: `sureness ${word}`, title: t(`facts.${name}.right`, { share: percent(fact.confidence) }) },
            h("span", { class: "pips", "aria-hidden": "true" }),
            t(`sureness.${word}`),
          ),
        ]
      : h("dd", { class: "dim" }, t("facts.none")),
  );
}

/** ♭ and ♯ in a font that has them: in Chinese ones they are as wide as a character. */
const withAccidentals = (text) =>
  text.split(/([♭♯])/).map((part) => (/[♭♯]/.test(part) ? h("span", { class: "accidental" }, part) : part));

/** "D major"; the tonic may have a name of its own in the language. */
export function keyName({ tonic, mode }) {
  const name = has(`tonic.${tonic}`) ? t(`tonic.${tonic}`) : tonic;
  return t(`mode.${mode}`, { tonic: name });
}
