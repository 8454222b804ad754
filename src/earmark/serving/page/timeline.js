// What is heard where: one button for each moment, coloured and patterned by its genre, named in words.

import { fold, h, roving, table } from "./dom.js";
import { percent, span } from "./format.js";
import { t } from "./i18n.js";
import { genreName, tagParts } from "./names.js";

const LABEL_FROM = 0.07; // of the song's length; a shorter stretch has no room for its name

/** Moments as they are drawn: excerpts may overlap, so each ends where the next begins. */
export function stretches(moments, duration) {
  return moments.map((moment, at) => {
    const end = Math.min(moment.end_s, moments[at + 1]?.start_s ?? duration, duration);
    return { ...moment, at, from: moment.start_s / duration, to: Math.max(moment.start_s, end) / duration };
  });
}

/** "0:12–0:16: reel 74%, hornpipe 20%; joyful activation 45%". */
export function momentText(moment) {
  const genres = moment.genres.slice(0, 2).map((one) => `${genreName(one.genre)} ${percent(one.probability)}`);
  const feeling = moment.tags.map((tag) => ({ ...tag, ...tagParts(tag.tag) })).find((tag) => tag.kind === "feeling");
  const told = feeling ? t("moment.feeling", { feeling: feeling.text, share: percent(feeling.share) }) : "";
  return t("moment", { time: span(moment.start_s, moment.end_s), genres: genres.join(t("comma")), feeling: told });
}

/** The row of moments, its legend and its table; `onPlay(moment)`, `onLook(moment | null)`. */
export function timeline(answer, classOf, { onPlay, onLook }) {
  const parts = stretches(answer.moments, answer.duration_s);
  const buttons = parts.map((moment) =>
    h(
      "button",
      {
        type: "button",
        class: `moment ${classOf(moment.genres[0].genre)}`,
        "aria-label": t("moment.play", { text: momentText(moment) }),
        css: {
          left: `${100 * moment.from}%`,
          width: `${100 * (moment.to - moment.from)}%`,
          "--sure": moment.genres[0].probability,
        },
        on: {
          click: () => onPlay(moment),
          pointerenter: () => onLook(moment),
          pointerleave: () => onLook(null),
          focus: () => onLook(moment),
          blur: () => onLook(null),
        },
      },
      h("span", { class: "moment-sure" }),
    ),
  );
  const row = h(
    "div",
    { class: "moments", role: "group", "aria-label": t("moments") },
    buttons,
    runsOf(parts).map(label),
  );
  roving(row, buttons);
  return {
    row,
    buttons,
    parts,
    legend: legend(parts, classOf),
    table: fold(t("as_table"), () =>
      table(
        t("moments"),
        [t("moments.time"), t("genres"), t("tags.feelings")],
        answer.moments.map((moment) => [
          span(moment.start_s, moment.end_s),
          moment.genres
            .slice(0, 3)
            .map((one) => `${genreName(one.genre)} ${percent(one.probability)}`)
            .join(t("comma")),
          feelingsOf(moment),
        ]),
      ),
    ),
  };
}

const feelingsOf = (moment) =>
  moment.tags
    .map((tag) => ({ ...tag, ...tagParts(tag.tag) }))
    .filter((tag) => tag.kind === "feeling")
    .slice(0, 3)
    .map((tag) => `${tag.text} ${percent(tag.share)}`)
    .join(t("comma"));

/** Neighbouring moments of one genre, as one run. */
function runsOf(parts) {
  const runs = [];
  for (const { genres, from, to } of parts) {
    const last = runs.at(-1);
    if (last?.genre === genres[0].genre) last.to = to;
    else runs.push({ genre: genres[0].genre, from, to });
  }
  return runs;
}

function label({ genre, from, to }) {
  if (to - from < LABEL_FROM) return null;
  const size = to - from < 0.2 ? "moment-name short" : "moment-name";
  return h(
    "span",
    { class: size, "aria-hidden": "true", css: { left: `${100 * from}%`, width: `${100 * (to - from)}%` } },
    genreName(genre),
  );
}

function legend(parts, classOf) {
  const genres = [...new Set(parts.map((moment) => moment.genres[0].genre))];
  return h(
    "ul",
    { class: "legend small", "aria-label": t("legend") },
    genres.map((genre) =>
      h("li", {}, h("span", { class: `swatch ${classOf(genre)}`, "aria-hidden": "true" }), genreName(genre)),
    ),
  );
}
