// The song in time: player, waveform, what is heard where; and room for the reasons, on the same time line.

import { h } from "./dom.js";
import { clock, hertzRange } from "./format.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { momentText, timeline } from "./timeline.js";
import { outlineOf, waveform } from "./waveform.js";

/** Builds the stage of a song that was answered; `reasons` is an empty row for why.js. */
export function stage(song, classOf) {
  const { answer, player } = song;
  const duration = answer.duration_s;
  const wave = h("div", { class: "waves" }, song.peaks === undefined ? [] : waveform(song.peaks));
  const seek = h("input", {
    type: "range",
    class: "seek",
    min: 0,
    max: duration.toFixed(2),
    step: 0.1,
    "aria-label": t("player.seek"),
    on: { input: () => player.seek(Number(seek.value)) },
  });
  const button = h("button", { type: "button", class: "play main", on: { click: () => player.toggle() } });
  const now = h("span", { class: "time" }, clock(0));
  const note = h("p", { class: "small dim stage-note" });
  const band = h("div", { class: "band-note", hidden: true });
  const reasons = h("div", { class: "reasons-row", hidden: true });
  const readout = h("p", { class: "readout small", "aria-hidden": "true" }, t("moments.help"));
  const heard = answer.moments.length
    ? timeline(answer, classOf, { onPlay: (moment) => player.play(moment.start_s), onLook: (moment) => look(moment) })
    : null;
  const lanes = h(
    "div",
    { class: "lanes" },
    h("div", { class: "wave-box" }, wave, seek),
    reasons,
    heard?.row,
    h("div", { class: "playhead", "aria-hidden": "true" }),
  );
  const box = h(
    "div",
    { class: "stage" },
    h("div", { class: "stage-row" }, button, lanes),
    h(
      "div",
      { class: "stage-foot" },
      h("p", { class: "times" }, now, h("span", { class: "dim" }, ` / ${clock(duration)}`)),
      heard ? readout : h("p", { class: "small dim readout" }, t("moments.none")),
    ),
    band,
    note,
    heard && h("div", { class: "stage-legend" }, heard.legend, heard.table),
  );

  function look(moment) {
    const shown =
      moment ??
      heard?.parts.find((part) => player.playing && player.at >= part.start_s && player.at < part.to * duration);
    readout.textContent = shown ? momentText(shown) : t("moments.help");
  }

  function showTime() {
    const at = Math.min(player.at, duration);
    box.style.setProperty("--at", at / duration);
    now.textContent = clock(at);
    seek.value = at;
    seek.setAttribute("aria-valuetext", t("player.at", { at: clock(at), of: clock(duration) }));
    if (!heard) return;
    const current = heard.parts.find(
      (part) => at >= part.start_s && at < part.to * duration && (at > 0 || player.playing),
    );
    heard.buttons.forEach((one, index) => one.classList.toggle("now", heard.parts[index] === current));
    if (player.playing && !heard.row.matches(":hover, :focus-within")) look(null);
  }

  function showState() {
    const playing = player.playing;
    button.replaceChildren(icon(playing ? "pause" : "play"));
    button.setAttribute("aria-label", t(playing ? "player.pause" : "player.play"));
    button.disabled = seek.disabled = player.failed;
    const notes = [
      player.failed && t("player.failed"),
      song.peaks === null && !player.failed && t("player.no_wave"),
    ].filter(Boolean);
    note.textContent = notes.join(" ");
    note.hidden = !notes.length;
    band.hidden = !player.band;
    if (player.band) {
      const all = h(
        "button",
        { type: "button", class: "plain small", on: { click: () => player.only(null) } },
        t("player.all_bands"),
      );
      band.replaceChildren(
        h("span", {}, t("player.band", { band: hertzRange(player.band.low, player.band.high) })),
        all,
      );
    }
  }

  const live = { signal: song.viewed.signal };
  player.addEventListener("time", showTime, live);
  player.addEventListener("change", showState, live);
  showTime();
  showState();
  if (song.peaks === undefined) {
    outlineOf(song).then((found) => {
      wave.replaceChildren(...waveform(found));
      showState();
    });
  }
  return { box, reasons };
}
