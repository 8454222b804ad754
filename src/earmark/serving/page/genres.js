// What the song is: the honest set in words, and every genre's probability as a bar.

import { bar } from "./charts.js";
import { h } from "./dom.js";
import { capital, either, oddsOf, percent } from "./format.js";
import { t } from "./i18n.js";
import { genreName } from "./names.js";

/**
 * The answer in words: `title` ("Rock or pop"), `text` (what that promises), `short` (for a list).
 * Where the model abstains, that is the title; its best guess is only mentioned.
 */
export function verdict(answer) {
  const [first] = answer.genres;
  const guess = { genre: genreName(first.genre), share: percent(first.probability) };
  if (answer.abstains) {
    return { title: t("verdict.abstains"), text: t("verdict.abstains.text", guess), short: t("verdict.abstains") };
  }
  const set = answer.genre_set.map(genreName);
  if (!set.length) {
    return { title: capital(guess.genre), text: t("verdict.unknown", guess), short: guess.genre };
  }
  const odds = oddsOf(answer.coverage ?? 0.9);
  if (set.length > 3 && set.length === answer.genres.length) {
    return { title: t("verdict.any"), text: t("verdict.any.text", { odds, ...guess }), short: t("verdict.any") };
  }
  const names = either(set);
  return {
    title: capital(names),
    text: t(["verdict.one", "verdict.two"][set.length - 1] ?? "verdict.set", { odds, count: set.length, ...guess }),
    short: names,
  };
}

const FIRST = 8;

/** The bars. Those in the set are marked; more than a few are folded away. */
export function genresCard(answer, classOf) {
  const inSet = new Set(answer.genre_set);
  const row = ({ genre, probability }) =>
    h(
      "li",
      { class: inSet.has(genre) ? "bar-row in-set" : "bar-row" },
      h("span", { class: "bar-name" }, genreName(genre)),
      bar(probability, classOf(genre)),
      h("span", { class: "bar-number" }, percent(probability)),
    );
  const rows = answer.genres.map(row);
  const rest = rows.slice(FIRST);
  return h(
    "section",
    { class: "card", "aria-labelledby": "genres-title" },
    h("h2", { id: "genres-title" }, t("genres")),
    h("ul", { class: "bars" }, rows.slice(0, FIRST)),
    rest.length > 0 &&
      h(
        "details",
        { class: "fold" },
        h("summary", {}, t("more", { count: rest.length })),
        h("ul", { class: "bars" }, rest),
      ),
    h(
      "p",
      { class: "small dim" },
      inSet.size ? t("genres.help", { odds: oddsOf(answer.coverage ?? 0.9) }) : t("genres.help.unknown"),
    ),
  );
}
