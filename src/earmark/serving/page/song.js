// One song: on its way, failed, or answered with all that the model hears.

import { appealCard } from "./appeal.js";
import { h } from "./dom.js";
import { errorBox } from "./errors.js";
import { factsCard } from "./facts.js";
import { bytes, clock } from "./format.js";
import { genresCard, verdict } from "./genres.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { statusText } from "./list.js";
import { modelCard } from "./model.js";
import { genreClasses } from "./names.js";
import { Player } from "./player.js";
import { similarCard } from "./similar.js";
import { stage } from "./stage.js";
import { tagsCard } from "./tags.js";
import { outlineOf, waveform } from "./waveform.js";
import { thumbs } from "./thumbs.js";
import { whyCard } from "./why.js";

/** Show `song` in `place`; `again(song)` sends it once more. */
export function showSong(place, song, again) {
  // What listens to the player for the last view stops listening.
  song.viewed?.abort();
  song.viewed = new AbortController();
  place.hidden = false;
  const had = place.contains(document.activeElement);
  place.replaceChildren(
    h("article", { class: `song ${song.status}`, "aria-labelledby": "song-title" }, ...parts(song, again)),
  );
  showProgress(place, song);
  if (had) document.getElementById("song-title").focus({ preventScroll: true });
}

/** Only the words on how far it is, of a song that `showSong` shows. */
export function showProgress(place, song) {
  const state = place.querySelector(".song-progress");
  if (!state) return;
  state.querySelector("p").textContent = statusText(song);
  state.dataset.status = song.status;
  const bar = state.querySelector("progress");
  if (song.status === "sending") bar.value = song.sent;
  else bar.removeAttribute("value");
  // The upload goes through the outline like a playhead.
  state.style.setProperty("--at", song.status === "queued" || song.status === "fetching" ? 0 : song.sent);
  const waves = state.querySelector(".waves");
  if (song.file && !waves.hasChildNodes())
    outlineOf(song).then((found) => found && waves.replaceChildren(...waveform(found)));
}

function parts(song, again) {
  if (song.status === "done") return answered(song);
  const head = h(
    "header",
    { class: "song-head" },
    h(
      "div",
      {},
      h("h1", { id: "song-title", tabindex: -1 }, song.title),
      song.file && h("p", { class: "small dim" }, `${song.file.name} · ${bytes(song.file.size)}`),
    ),
  );
  if (song.status === "failed") return [head, errorBox(song.error, { again: () => again(song) })];
  if (song.status === "cancelled") {
    return [
      head,
      h(
        "div",
        { class: "notice" },
        h(
          "div",
          {},
          h("p", {}, t("status.cancelled")),
          h("button", { type: "button", class: "plain", on: { click: () => again(song) } }, icon("again"), t("again")),
        ),
      ),
    ];
  }
  return [
    head,
    h(
      "div",
      { class: "song-progress", "data-status": song.status },
      h("div", { class: "wave-box" }, h("div", { class: "waves" })),
      h("progress", { max: 1, "aria-label": t("songs.progress", { title: song.title }) }),
      h("p", {}, statusText(song)),
    ),
  ];
}

function answered(song) {
  const { answer } = song;
  const { title, text } = verdict(answer);
  const classOf = genreClasses(answer.genres.map((one) => one.genre));
  song.player ??= new Player(song.file);
  const { box, reasons } = stage(song, classOf);
  return [
    notices(answer),
    h(
      "header",
      { class: "song-head" },
      h(
        "div",
        {},
        h("h1", { id: "song-title", tabindex: -1 }, song.title),
        h(
          "p",
          { class: "small dim" },
          [clock(answer.duration_s), t("song.by", { name: answer.model.name, version: answer.model.version })].join(
            " · ",
          ),
          answer.model.role === "canary" && [" ", h("span", { class: "badge", title: t("canary.help") }, t("canary"))],
        ),
        h("p", { class: answer.abstains ? "verdict-title dim" : "verdict-title" }, title),
        h("p", { class: "verdict-text" }, text),
      ),
      thumbs(song),
    ),
    box,
    h(
      "div",
      { class: "cards" },
      h("div", { class: "column" }, genresCard(answer, classOf), appealCard(answer), factsCard(answer.facts)),
      h("div", { class: "column" }, tagsCard(answer) ?? noTags()),
      whyCard(song, reasons),
      similarCard(song),
      modelCard(song),
    ),
  ].filter(Boolean);
}

const noTags = () =>
  h("section", { class: "card" }, h("h2", {}, t("tags.feelings")), h("p", { class: "dim" }, t("tags.none")));

// The service's warnings are English; those that are known are said in the page's language.
const KNOWN = [
  [/^This recording is unlike anything/, "warning.unlike"],
  [/^The model is too unsure/, "warning.unsure"],
];

function notices(answer) {
  const told = answer.warnings.map((warning) => {
    const known = KNOWN.find(([pattern]) => pattern.test(warning));
    return known ? h("p", {}, t(known[1])) : h("p", { lang: "en" }, warning);
  });
  if (answer.abstains && !answer.warnings.some((warning) => KNOWN[1][0].test(warning)))
    told.push(h("p", {}, t("warning.unsure")));
  return told.length > 0 && h("div", { class: "notice", role: "note" }, icon("notice"), h("div", {}, told));
}
