// The page: takes songs in, sends them two at a time, keeps the list, and shows the one that was chosen.

import { alarm, announce } from "./announce.js";
import { Refused, ask, form } from "./api.js";
import { swap } from "./dom.js";
import { errorBox, errorTitle } from "./errors.js";
import { verdict } from "./genres.js";
import { onLanguage, t, translate } from "./i18n.js";
import { intake } from "./intake.js";
import { onKey } from "./key.js";
import { SongList, statusText } from "./list.js";
import { modelInService } from "./model.js";
import { Line, patiently } from "./patience.js";
import { settings } from "./settings.js";
import { showProgress, showSong } from "./song.js";

const AT_ONCE = 2;

const songs = [];
let chosen = null;
let trouble = null; // what is wrong with the service as a whole
const line = new Line(AT_ONCE);
const place = document.getElementById("song");
const state = document.getElementById("state");
const list = new SongList(document.getElementById("songs"), { choose: (song) => choose(song, { focus: true }), drop });

/** Take in what was dropped, chosen, picked or recorded: each is a file, or something that loads one. */
function add(coming) {
  const fresh = coming.map(({ file = null, load = null, title }) => ({
    file,
    load,
    title,
    status: "queued",
    sent: 0,
    seconds: 0,
  }));
  if (!fresh.length) return;
  songs.push(...fresh);
  document.body.classList.add("has-songs");
  // What comes one at a time is what one wants to see; in the middle of many, nothing jumps.
  if (!chosen || fresh.length === 1) choose(fresh[0]);
  else list.show(songs, chosen);
  if (fresh.length > 1) announce(t("announce.added", { count: fresh.length }));
  fresh.forEach(send);
}

async function send(song) {
  song.cancelling = new AbortController();
  const { signal } = song.cancelling;
  change(song, { status: "queued", error: null });
  try {
    const answer = await line.run(
      () =>
        patiently(() => answerFor(song, signal), {
          signal,
          onWait: (seconds, refused) => {
            const first = song.status !== "waiting";
            change(song, { status: "waiting", seconds, waitsFor: refused.status === 429 ? "busy" : "overloaded" });
            if (first) announce(`${song.title}: ${statusText(song)}`);
          },
        }),
      signal,
    );
    change(song, { status: "done", answer });
    if (trouble) look();
    announce(t("announce.done", { title: song.title, verdict: verdict(answer).short }));
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error);
    const refused = error instanceof Refused ? error : new Refused("unknown", { message: String(error) });
    if (refused.code === "cancelled") return change(song, { status: "cancelled" });
    change(song, { status: "failed", error: refused });
    alarm(t("announce.failed", { title: song.title, why: errorTitle(refused) }));
  }
}

async function answerFor(song, signal) {
  if (!song.file) {
    change(song, { status: "fetching" });
    song.file = await song.load(signal);
  }
  change(song, { status: "sending", sent: 0 });
  announce(t("announce.sending", { title: song.title }));
  const onUpload = (sent) => change(song, sent < 1 ? { status: "sending", sent } : { status: "thinking" });
  return ask("predict", { body: form({ file: song.file }), signal, onUpload });
}

/** Note what is new of a song, and show it where it is seen. */
function change(song, news) {
  const before = song.status;
  Object.assign(song, news);
  if (!songs.includes(song)) return;
  list.update(song, song === chosen);
  if (song !== chosen) return;
  const over = ["done", "failed", "cancelled"];
  if (over.includes(song.status) || over.includes(before)) view();
  else showProgress(place, song);
}

function choose(song, { focus = false } = {}) {
  if (chosen !== song) chosen?.player?.pause();
  chosen = song;
  list.show(songs, chosen);
  view();
  if (focus) {
    const title = document.getElementById("song-title");
    title?.focus({ preventScroll: true });
    const { top } = place.getBoundingClientRect();
    if (top < 0 || top > innerHeight / 2) place.scrollIntoView({ block: "start" }); // on a phone it lies further down
  }
}

function view() {
  document.title = chosen ? `${chosen.title} · earmark` : "earmark";
  if (!chosen) {
    place.replaceChildren();
    place.hidden = true;
    return;
  }
  showSong(place, chosen, send);
}

/** Cancel a song on its way; take one out that is over. */
function drop(song) {
  if (!["done", "failed", "cancelled"].includes(song.status)) {
    song.cancelling.abort();
    announce(t("announce.cancelled", { title: song.title }));
    return;
  }
  const at = songs.indexOf(song);
  songs.splice(at, 1);
  song.viewed?.abort();
  song.player?.end();
  if (chosen === song) chosen = null;
  const next = songs[Math.min(at, songs.length - 1)] ?? null;
  if (!chosen) choose(next);
  else list.show(songs, chosen);
  document.body.classList.toggle("has-songs", songs.length > 0);
  if (next) list.focus(next);
  else document.getElementById("choose").focus();
  announce(t("announce.removed", { title: song.title }));
}

/** What has to be said before the first song: that no model is there yet, or that the service does not answer. */
async function look() {
  trouble = null;
  try {
    await modelInService({ fresh: true });
  } catch (refused) {
    if (["no_champion", "network"].includes(refused.code)) trouble = refused;
  }
  showTrouble();
}

const showTrouble = () => swap(state, trouble && errorBox(trouble, { again: look }));

settings(document.getElementById("settings"));
intake(document.getElementById("intake"), document.getElementById("examples"), add);
translate();
onLanguage(() => {
  list.show(songs, chosen);
  view();
  showTrouble();
});
onKey(look);
look();
