// Thumb up, thumb down, and taken back: what is stored is the thumb and the song's hash, and it says so.

import { ask } from "./api.js";
import { announce } from "./announce.js";
import { h } from "./dom.js";
import { errorTitle } from "./errors.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { patiently } from "./patience.js";

/** The two buttons of a song, and what became of the last click. */
export function thumbs(song) {
  song.thumb ??= { value: null, note: "thumbs.stored" };
  const text = () =>
    song.thumb.refusal ? t("thumbs.failed", { why: errorTitle(song.thumb.refusal) }) : t(song.thumb.note);
  const note = h("p", { class: "small dim thumb-note" });
  const buttons = [
    [1, "up"],
    [0, "down"],
  ].map(([value, name]) =>
    h(
      "button",
      {
        type: "button",
        class: "plain thumb",
        "aria-label": t(`thumbs.${name}`),
        title: t(`thumbs.${name}`),
        "data-value": value,
        on: { click: () => press(value) },
      },
      icon(name),
    ),
  );

  function show() {
    for (const button of buttons)
      button.setAttribute("aria-pressed", String(Number(button.dataset.value) === song.thumb.value));
    note.textContent = text();
  }

  async function press(pressed) {
    const value = song.thumb.value === pressed ? null : pressed;
    const before = song.thumb;
    // Each change is an event of its own, and the later takes the earlier one's place.
    const event = { event_id: uuid(), kind: "like", prediction_id: song.answer.prediction_id, value };
    song.thumb = { value, note: "thumbs.sending" };
    song.showThumb();
    // One after the other: two clicks must not overtake each other.
    const turn = (song.thumbing ?? Promise.resolve()).then(() =>
      patiently(() => ask("feedback", { body: { events: [event] } })),
    );
    song.thumbing = turn.catch(() => {});
    let refusal = null;
    try {
      const told = await turn;
      if (told.refused?.length) refusal = { code: "feedback_refused" };
    } catch (refused) {
      refusal = refused;
    }
    if (refusal) song.thumb = { value: before.value, note: before.note, refusal };
    else if (song.thumb.value === value)
      song.thumb = { value, note: value === null ? "thumbs.taken_back" : "thumbs.kept" };
    song.showThumb();
    announce(text());
  }

  song.showThumb = show; // of the buttons as they stand now, maybe in another language
  show();
  return h(
    "div",
    { class: "thumbs" },
    h("div", { class: "row", role: "group", "aria-label": t("thumbs") }, buttons),
    note,
  );
}

/** crypto.randomUUID is there only behind https or on this very machine. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const random = crypto.getRandomValues(new Uint8Array(16));
  random[6] = (random[6] & 0x0f) | 0x40;
  random[8] = (random[8] & 0x3f) | 0x80;
  const hex = [...random].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
