// Why: which bands and which moments speak for a genre, and which against it; all of it can be listened to.

import { ask, form } from "./api.js";
import { announce } from "./announce.js";
import { fold, h, roving, swap, table, thinking } from "./dom.js";
import { errorBox } from "./errors.js";
import { capital, fixed, hertz, hertzRange, signed, span } from "./format.js";
import { t } from "./i18n.js";
import { genreName } from "./names.js";
import { patiently } from "./patience.js";

const BANDS = 16; // shown; a model may have more
const MOMENTS = 60;

/** The card. `reasons` is the stage's row, which gets what the moments add. */
export function whyCard(song, reasons) {
  const genres = song.answer.genres.map((one) => one.genre);
  song.why ??= { genre: genres[0], against: "", answer: null, error: null, asked: null };
  const { why } = song;
  const body = h("div", { class: "why-body" });
  const button = h("button", { type: "button", class: "main", on: { click: look } }, t("why.ask"));
  const genre = select("why-genre", genres, why.genre);
  const against = select("why-against", ["", ...genres], why.against);
  const leaveOut = () => {
    for (const option of against.options) option.disabled = option.value === genre.value;
    if (against.value === genre.value) against.value = "";
  };
  for (const one of [genre, against]) {
    one.addEventListener("change", () => {
      leaveOut();
      if (why.answer) look(); // once asked, a new question is answered at once
    });
  }
  leaveOut();

  async function look() {
    const asked = Symbol("asked");
    Object.assign(why, { genre: genre.value, against: against.value, error: null, asked });
    show();
    announce(t("why.thinking"));
    const about = () => form({ file: song.file, genre: why.genre, rather_than: why.against || null });
    let news;
    try {
      news = { answer: await patiently(() => ask("explain", { body: about() })) };
    } catch (error) {
      news = { answer: null, error };
    }
    if (why.asked !== asked) return; // another question was asked meanwhile
    Object.assign(why, news, { asked: null });
    why.show(); // of the card as it stands now, maybe in another language
    announce(why.error ? t("why.failed") : sentence(why.answer));
  }

  function show() {
    reasons.hidden = !why.answer || Boolean(why.asked);
    if (why.asked) return swap(body, thinking(t("why.thinking")));
    if (why.error) {
      const again = why.error.code === "no_network" ? null : look;
      return swap(body, errorBox(why.error, { again }));
    }
    if (!why.answer) return swap(body, h("p", { class: "dim" }, t("why.help")));
    reasons.replaceChildren(...momentsOf(song, why.answer));
    swap(body, told(song, why.answer));
  }

  why.show = show;
  show();
  return h(
    "section",
    { class: "card wide why", "aria-labelledby": "why-title" },
    h("h2", { id: "why-title" }, t("why")),
    h(
      "div",
      { class: "row why-ask" },
      h("label", { for: "why-genre" }, t("why.genre")),
      genre,
      h("label", { for: "why-against" }, t("why.against")),
      against,
      button,
    ),
    body,
  );
}

function select(id, genres, chosen) {
  return h(
    "select",
    { id },
    genres.map((genre) =>
      h("option", { value: genre, selected: genre === chosen }, genre ? genreName(genre) : t("why.all_others")),
    ),
  );
}

function told(song, answer) {
  const bands = grouped(edged(answer.bands), BANDS);
  return [
    h("p", { class: "why-sentence" }, sentence(answer)),
    h("h3", {}, t("why.bands")),
    h("p", { class: "small dim" }, t("why.bands.help")),
    bandChart(song, bands),
    h("p", { class: "small dim" }, t("why.moments.help")),
    fold(t("why.how"), () => [
      h(
        "p",
        { class: "small" },
        t("why.nats", { difference: signed(answer.difference, 2) }),
        t("space"),
        t("why.gap", { gap: signed(answer.gap, 2) }),
      ),
      table(
        t("why.bands"),
        [t("why.band"), t("why.adds")],
        bands.map((band) => [bandName(band), signed(band.nats, 2)]),
      ),
      table(
        t("why.moments"),
        [t("moments.time"), t("why.adds_per_s")],
        answer.moments.map((one) => [
          span(one.start_s, one.end_s),
          one.heard > 0 ? signed(one.nats_per_s, 3) : t("why.unheard"),
        ]),
      ),
    ]),
  ];
}

/** What matters most, said. */
function sentence(answer) {
  const bands = grouped(edged(answer.bands), BANDS);
  const best = bands.reduce((a, b) => (b.nats > a.nats ? b : a));
  const worst = bands.reduce((a, b) => (b.nats < a.nats ? b : a));
  const moment = answer.moments.reduce((a, b) => (b.nats_per_s > a.nats_per_s ? b : a), { nats_per_s: 0 });
  const genre = capital(genreName(answer.genre));
  const parts = [
    t(answer.rather_than ? "why.rather" : "why.alone", {
      genre,
      other: answer.rather_than ? genreName(answer.rather_than) : "",
    }),
    best.nats > 0 ? t("why.for", { band: bandName(best) }) : t("why.for.none"),
    worst.nats < 0 ? t("why.against_it", { band: bandName(worst) }) : "",
    moment.nats_per_s > 0 ? t("why.moment", { time: span(moment.start_s, moment.end_s) }) : "",
  ];
  return parts.filter(Boolean).join(t("space"));
}

const bandName = ({ low, high }) => hertzRange(low, high);

/** Bands are told by their centres; each reaches half-way, on a logarithmic scale, to its neighbours. */
function edged(bands) {
  const hz = bands.map((band) => band.hz);
  const middle = (a, b) => Math.sqrt(a * b);
  return bands.map((band, at) => {
    const low = at > 0 ? middle(hz[at - 1], hz[at]) : hz[0] ** 2 / middle(hz[0], hz[1] ?? hz[0] * 1.3);
    const high =
      at < hz.length - 1 ? middle(hz[at], hz[at + 1]) : hz[at] ** 2 / middle(hz[at], hz[at - 1] ?? hz[at] / 1.3);
    return { low, high, nats: band.nats };
  });
}

/** Neighbours together, so that no more than `count` remain; what they add is added up. */
function grouped(bands, count) {
  const groups = Math.min(count, bands.length);
  return Array.from({ length: groups }, (_, group) => {
    const part = bands.slice(
      Math.round((group * bands.length) / groups),
      Math.round(((group + 1) * bands.length) / groups),
    );
    return { low: part[0].low, high: part.at(-1).high, nats: part.reduce((sum, band) => sum + band.nats, 0) };
  });
}

function bandChart(song, bands) {
  const top = Math.max(1e-9, ...bands.map((band) => Math.abs(band.nats)));
  const buttons = bands.map((band) => {
    const text = t(band.nats < 0 ? "why.band.minus" : "why.band.plus", {
      band: bandName(band),
      nats: fixed(Math.abs(band.nats), 2),
    });
    return h(
      "button",
      {
        type: "button",
        class: `band ${band.nats < 0 ? "minus" : "plus"}`,
        "aria-label": t("why.play_band", { text }),
        "aria-pressed": "false",
        title: text,
        css: { "--size": Math.abs(band.nats) / top },
        on: { click: () => playBand(band) },
      },
      h("span", { class: "band-bar" }),
      h("span", { class: "band-sign", "aria-hidden": "true" }, band.nats < 0 ? "−" : "+"),
    );
  });
  const { player } = song;
  const playBand = (band) => {
    const same = player.band?.low === band.low;
    player.only(same ? null : band.low, band.high);
    if (!same && !player.playing) player.play();
  };
  const mark = () =>
    buttons.forEach((button, at) => button.setAttribute("aria-pressed", String(player.band?.low === bands[at].low)));
  player.addEventListener("change", mark, { signal: song.viewed.signal });
  mark();
  const chart = h("div", { class: "bands", role: "group", "aria-label": t("why.bands") }, buttons);
  roving(chart, buttons);
  return h(
    "div",
    {},
    chart,
    h(
      "p",
      { class: "ends small dim", "aria-hidden": "true" },
      h("span", {}, hertz(bands[0].low)),
      h("span", {}, hertz(bands.at(-1).high)),
    ),
  );
}

/** Each moment's share of the reasons, as a row of buttons under the waveform. */
function momentsOf(song, answer) {
  const duration = song.answer.duration_s;
  const moments = joined(answer.moments, MOMENTS);
  const top = Math.max(1e-9, ...moments.map((one) => Math.abs(one.nats_per_s)));
  const buttons = moments.map((one) => {
    const side = one.heard === 0 ? "unheard" : one.nats_per_s < 0 ? "minus" : "plus";
    const time = span(one.start_s, one.end_s);
    const text = t(`why.moment.${side}`, { time, nats: fixed(Math.abs(one.nats_per_s), 3) });
    return h(
      "button",
      {
        type: "button",
        class: `reason ${side}`,
        "aria-label": t("why.play_moment", { text }),
        title: text,
        css: {
          left: `${(100 * one.start_s) / duration}%`,
          width: `${(100 * (Math.min(one.end_s, duration) - one.start_s)) / duration}%`,
          "--size": Math.abs(one.nats_per_s) / top,
        },
        on: { click: () => song.player.play(one.start_s, one.end_s) },
      },
      h("span", { class: "reason-bar" }),
    );
  });
  const row = h("div", { class: "reasons", role: "group", "aria-label": t("why.moments") }, buttons);
  roving(row, buttons);
  return [
    row,
    h("span", { class: "reasons-sign plus", "aria-hidden": "true" }, "+"),
    h("span", { class: "reasons-sign minus", "aria-hidden": "true" }, "−"),
  ];
}

/** Moments side by side taken together, weighted by what was heard, so that each can be clicked. */
function joined(moments, count) {
  if (moments.length <= count) return moments;
  const each = Math.ceil(moments.length / count);
  return Array.from({ length: Math.ceil(moments.length / each) }, (_, group) => {
    const part = moments.slice(group * each, (group + 1) * each);
    const heard = part.reduce((sum, one) => sum + one.heard, 0);
    const added = part.reduce((sum, one) => sum + one.nats_per_s * one.heard, 0);
    return {
      start_s: part[0].start_s,
      end_s: part.at(-1).end_s,
      heard: heard / part.length,
      nats_per_s: heard ? added / heard : 0,
    };
  });
}
