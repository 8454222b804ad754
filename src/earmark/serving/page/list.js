// The list of songs: how far each is, what it is, and the buttons to cancel it or take it out.

import { h } from "./dom.js";
import { errorTitle } from "./errors.js";
import { percent } from "./format.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { verdict } from "./genres.js";

/** Where the song stands, in words. */
export function statusText(song) {
  switch (song.status) {
    case "sending":
      return t("status.sending", { share: percent(song.sent) });
    case "waiting":
      return t(`status.waiting`, { why: t(`wait.${song.waitsFor}`), count: song.seconds });
    case "failed":
      return errorTitle(song.error);
    case "done":
      return verdict(song.answer).short;
    default:
      return t(`status.${song.status}`);
  }
}

/** Show `songs` in `place`; `on.choose(song)` and `on.drop(song)` are what the buttons do. */
export class SongList {
  #rows = new Map();

  constructor(place, on) {
    Object.assign(this, { place, on, list: h("ol", { class: "songs" }) });
    this.head = h("h2", { class: "small-head" });
    place.append(this.head, this.list);
  }

  /** Everything anew. */
  show(songs, chosen) {
    this.#rows.clear();
    this.place.hidden = songs.length === 0;
    this.head.textContent = t("songs");
    this.list.replaceChildren(...songs.map((song) => this.#row(song)));
    songs.forEach((song) => this.update(song, song === chosen));
  }

  /** One row, where it stands now. */
  update(song, isChosen) {
    const row = this.#rows.get(song);
    if (!row) return;
    const over = ["done", "failed", "cancelled"].includes(song.status);
    row.item.dataset.status = song.status;
    row.state.textContent = statusText(song);
    if (isChosen) row.open.setAttribute("aria-current", "true");
    else row.open.removeAttribute("aria-current");
    row.bar.hidden = over;
    if (song.status === "sending") row.bar.value = song.sent;
    else row.bar.removeAttribute("value");
    row.drop.setAttribute("aria-label", t(over ? "songs.remove" : "songs.cancel", { title: song.title }));
    row.drop.title = t(over ? "songs.remove.short" : "songs.cancel.short");
  }

  /** Put the focus on a song's button. */
  focus(song) {
    this.#rows.get(song)?.open.focus();
  }

  #row(song) {
    const state = h("span", { class: "small song-state" });
    const open = h(
      "button",
      { type: "button", class: "song-open", on: { click: () => this.on.choose(song) } },
      h("span", { class: "song-name" }, song.title),
      state,
    );
    const bar = h("progress", { max: 1, "aria-label": t("songs.progress", { title: song.title }) });
    const drop = h(
      "button",
      { type: "button", class: "iconic plain", on: { click: () => this.on.drop(song) } },
      icon("close"),
    );
    const item = h("li", { class: "song-row" }, open, drop, bar);
    this.#rows.set(song, { item, state, open, bar, drop });
    return item;
  }
}
