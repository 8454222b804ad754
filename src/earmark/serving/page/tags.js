// What listeners would feel, call it and file it under: each a share of listeners with the range in which it will lie.

import { range, spark } from "./charts.js";
import { h } from "./dom.js";
import { oddsOf, percent, percentRange } from "./format.js";
import { t } from "./i18n.js";
import { tagParts } from "./names.js";

const KINDS = ["feeling", "word", "category"];
const FIRST = { feeling: 9, word: 6, category: 4 };

/** The card, or null where the model was taught none of it. */
export function tagsCard(answer) {
  const tags = answer.tags.map((tag) => ({ ...tag, ...tagParts(tag.tag) })).filter((tag) => KINDS.includes(tag.kind));
  if (!tags.length) return null;
  const known = tags.some((tag) => tag.low !== null && tag.high !== null);
  const groups = KINDS.map((kind) => [kind, tags.filter((tag) => tag.kind === kind)]).filter(
    ([, found]) => found.length,
  );
  return h(
    "section",
    { class: "card tags", "aria-labelledby": "tags-title" },
    h("h2", { id: "tags-title" }, t(groups[0][0] === "feeling" ? "tags.feelings" : "tags")),
    h(
      "p",
      { class: "small dim" },
      known ? t("tags.help", { odds: oddsOf(answer.coverage ?? 0.9) }) : t("tags.help.unknown"),
    ),
    groups.map(([kind, found], at) => [at > 0 && h("h3", {}, t(`tags.${kind}`)), rowsOf(kind, found, answer)]),
  );
}

function rowsOf(kind, found, answer) {
  const rows = found.map((tag) => row(tag, answer));
  const [first, rest] = [rows.slice(0, FIRST[kind]), rows.slice(FIRST[kind])];
  return [
    h("ul", { class: "ranges" }, first),
    rest.length > 0 &&
      h(
        "details",
        { class: "fold" },
        h("summary", {}, t("more", { count: rest.length })),
        h("ul", { class: "ranges" }, rest),
      ),
  ];
}

function row(tag, answer) {
  const known = tag.low !== null && tag.high !== null;
  const course = courseOf(tag.tag, answer);
  return h(
    "li",
    { class: "range-row" },
    h("span", { class: "range-name" }, tag.text),
    course.length > 2
      ? h("span", { class: "course", title: t("tags.course") }, spark(course))
      : h("span", { class: "course" }),
    range(tag.share, tag.low ?? null, tag.high ?? null),
    h("span", { class: "range-share number" }, percent(tag.share)),
    h("span", { class: "range-between number small dim" }, known && percentRange(tag.low, tag.high)),
  );
}

/** The tag's share at each moment, over the song. */
function courseOf(name, { moments, duration_s: duration }) {
  return moments.flatMap(({ start_s, end_s, tags }) => {
    const found = tags.find((tag) => tag.tag === name);
    return found ? [[Math.min(1, (start_s + end_s) / 2 / duration), found.share]] : [];
  });
}
