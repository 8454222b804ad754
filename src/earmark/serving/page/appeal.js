// How it may be liked: a range within the catalogue, never a bare number.

import { range, strip } from "./charts.js";
import { h } from "./dom.js";
import { nth, oddsOf, percent, percentRange } from "./format.js";
import { t } from "./i18n.js";

const WIDE = 0.4;
const NARROW = 0.15;

/** The card; where the model was not taught liking, it says so. */
export function appealCard(answer) {
  return h(
    "section",
    { class: "card appeal", "aria-labelledby": "appeal-title" },
    h("h2", { id: "appeal-title" }, t("appeal")),
    answer.appeal ? told(answer.appeal, answer.coverage) : h("p", { class: "dim" }, t("appeal.none")),
  );
}

function told({ share, low, high, rank, rank_low, rank_high, of }, coverage) {
  const ranked = rank_low !== null && rank_high !== null;
  const sure = low !== null && high !== null;
  return [
    ranked
      ? [
          h(
            "p",
            { class: "appeal-sentence" },
            t("appeal.between", { low: nth(place(rank_low)), high: nth(place(rank_high)) }),
          ),
          h("p", {}, t(howSure(rank_high - rank_low))),
          h(
            "div",
            { class: "strip-box" },
            strip(rank_low, rank_high, rank),
            h(
              "p",
              { class: "ends small dim", "aria-hidden": "true" },
              h("span", {}, t("appeal.least")),
              h("span", {}, t("appeal.most")),
            ),
          ),
        ]
      : h(
          "p",
          { class: "appeal-sentence" },
          sure ? t("appeal.share", { range: percentRange(low, high) }) : t("appeal.unsure"),
        ),
    !ranked && sure && range(share, low, high),
    h(
      "p",
      { class: "small dim" },
      [
        ranked && sure && t("appeal.share", { range: percentRange(low, high) }),
        ranked && of && t("appeal.of", { count: of }),
        sure && t("appeal.odds", { odds: oddsOf(coverage ?? 0.9), share: percent(share) }),
        !ranked && t("appeal.no_rank"),
      ]
        .filter(Boolean)
        .join(t("space")),
    ),
  ];
}

/** Among 100 songs, from 1, the least liked, to 100. */
const place = (rank) => Math.min(100, Math.max(1, Math.round(100 * rank)));

function howSure(width) {
  if (width > WIDE) return "appeal.wide";
  return width > NARROW ? "appeal.middling" : "appeal.narrow";
}
