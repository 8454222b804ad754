// Songs of the catalogue that lie nearest, and what listeners did with them.

import { ask, form } from "./api.js";
import { range } from "./charts.js";
import { h, swap, thinking } from "./dom.js";
import { errorBox } from "./errors.js";
import { fixed, percent, percentRange } from "./format.js";
import { t } from "./i18n.js";
import { genreName, tagParts } from "./names.js";
import { patiently } from "./patience.js";

const COUNT = 10;
const FIRST = 5;

/** Nothing the service could say about similar songs, for this model: said as a sentence, not as a failure. */
const WITHOUT = new Set(["no_catalogue", "not_found"]);

/** The card; it asks by itself. */
export function similarCard(song) {
  const body = h("div", {}, thinking(t("similar.thinking")));
  const look = async () => {
    song.similar ??= nearest(song);
    try {
      swap(body, shown(await song.similar));
    } catch (refused) {
      song.similar = null;
      if (refused.code === "cancelled") return;
      swap(
        body,
        WITHOUT.has(refused.code) ? h("p", { class: "dim" }, t("similar.none")) : errorBox(refused, { again: look }),
      );
    }
  };
  look();
  return h(
    "section",
    { class: "card wide similar", "aria-labelledby": "similar-title" },
    h("h2", { id: "similar-title" }, t("similar")),
    body,
  );
}

/** By the answer's id; where another model has taken over meanwhile, or the answer is forgotten, by the song itself. */
async function nearest(song) {
  const count = String(COUNT);
  try {
    return await patiently(() => ask("similar", { body: form({ prediction_id: song.answer.prediction_id, count }) }));
  } catch (refused) {
    if (refused.code !== "outdated" && refused.code !== "unknown_prediction") throw refused;
    return patiently(() => ask("similar", { body: form({ file: song.file, count }) }));
  }
}

function shown({ songs, of }) {
  if (!songs.length) return [h("p", { class: "dim" }, t("similar.none"))];
  const rows = songs.map(row);
  const rest = rows.slice(FIRST);
  return [
    h("p", { class: "small dim" }, t("similar.help", { count: of })),
    h("ol", { class: "similar-songs" }, rows.slice(0, FIRST)),
    rest.length
      ? h(
          "details",
          { class: "fold" },
          h("summary", {}, t("more", { count: rest.length })),
          h("ol", { class: "similar-songs", start: FIRST + 1 }, rest),
        )
      : null,
  ].filter(Boolean);
}

function row(song) {
  const called = song.tags.slice(0, 3).map((tag) => tagParts(tag.tag).text);
  return h(
    "li",
    { class: "similar-song" },
    h(
      "div",
      { class: "similar-what" },
      h("p", { class: "strong" }, song.title ?? song.track_id),
      h(
        "p",
        { class: "small dim" },
        [song.artist, song.genre && genreName(song.genre)].filter(Boolean).join(" · ") || song.track_id,
      ),
      called.length > 0 && h("p", { class: "small dim" }, t("similar.called", { words: called.join(t("comma")) })),
    ),
    h(
      "p",
      { class: "similar-how small" },
      h("span", { class: "dim" }, `${t("similar.similarity")} `),
      h("span", { class: "number" }, fixed(song.similarity, 2)),
    ),
    h("div", { class: "similar-liked small" }, liked(song)),
  );
}

function liked({ liked: share, listeners }) {
  if (!share) return h("p", { class: "dim" }, t("similar.unknown"));
  const known = share.low !== null && share.high !== null;
  const words = {
    share: percent(share.share),
    range: known ? percentRange(share.low, share.high) : "",
    count: listeners ?? 0,
  };
  return [
    range(share.share, share.low, share.high),
    h(
      "p",
      {},
      t(known ? "similar.liked" : "similar.liked.bare", words),
      listeners ? t("space") + t("similar.listeners", words) : "",
    ),
  ];
}
