// Records by the microphone. Where the browser cannot, there is no button.

import { alarm, announce } from "./announce.js";
import { h } from "./dom.js";
import { clock } from "./format.js";
import { onLanguage, t, tag } from "./i18n.js";
import { icon } from "./icons.js";

const KINDS = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];

/** Whether this browser can, here: without https there is no microphone. */
export const canRecord = () => Boolean(window.MediaRecorder && navigator.mediaDevices?.getUserMedia);

/** The button, and what takes its place while recording; `onFile(file, title)` gets the recording. */
export function recorder(onFile) {
  const place = h("div", { class: "recorder" });
  let taken = null; // what is being recorded with

  const show = (...children) => place.replaceChildren(...children.flat());
  const idle = (problem = null) => {
    show(
      h("button", { type: "button", class: "plain", on: { click: start } }, icon("record"), t("record")),
      problem ? h("p", { class: "small bad-text" }, problem) : [],
    );
  };

  async function start() {
    const cancel = h("button", { type: "button", class: "plain", disabled: true }, icon("record"), t("record.asking"));
    show(cancel);
    let stream;
    try {
      // What makes speech clear spoils music.
      const audio = { echoCancellation: false, noiseSuppression: false, autoGainControl: false };
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      const why = t(error.name === "NotFoundError" ? "record.none" : "record.denied");
      idle(why);
      alarm(why);
      place.querySelector("button").focus();
      return;
    }
    const mimeType = KINDS.find((kind) => MediaRecorder.isTypeSupported(kind));
    const recording = new MediaRecorder(stream, mimeType ? { mimeType, audioBitsPerSecond: 192_000 } : {});
    const parts = [];
    recording.addEventListener("dataavailable", (event) => event.data.size && parts.push(event.data));
    recording.addEventListener("stop", () => finish(parts, recording.mimeType));
    recording.start(1000);
    taken = { stream, recording, keep: true, since: performance.now() };
    running();
  }

  function running() {
    const time = h("span", { class: "time" }, clock(0));
    const level = h("span", { class: "level", "aria-hidden": "true" });
    const stop = h(
      "button",
      { type: "button", class: "main", on: { click: () => end(true) } },
      icon("stop"),
      t("record.stop"),
    );
    show(
      h(
        "div",
        { class: "recording", role: "group", "aria-label": t("record.running") },
        h("span", { class: "lamp", "aria-hidden": "true" }),
        h("span", {}, t("record.running")),
        time,
        level,
        stop,
        h("button", { type: "button", class: "plain", on: { click: () => end(false) } }, t("record.discard")),
      ),
    );
    stop.focus();
    announce(t("record.running"));
    taken.close = meter(taken.stream, (loud) => {
      level.style.setProperty("--level", loud);
      time.textContent = clock((performance.now() - taken.since) / 1000);
    });
  }

  function end(keep) {
    taken.keep = keep;
    taken.recording.stop();
  }

  function finish(parts, mimeType) {
    taken.close?.();
    taken.stream.getTracks().forEach((track) => track.stop());
    const { keep } = taken;
    taken = null;
    idle();
    if (!keep) {
      announce(t("record.discarded"));
      place.querySelector("button").focus();
      return;
    }
    const suffix = /ogg/.test(mimeType) ? "ogg" : /mp4/.test(mimeType) ? "m4a" : "webm";
    const time = new Intl.DateTimeFormat(tag(), { timeStyle: "short" }).format(new Date());
    const title = t("record.title", { time });
    onFile(new File(parts, `recording.${suffix}`, { type: mimeType }), title);
  }

  onLanguage(() => {
    if (!taken) return idle();
    taken.close?.();
    running();
  });
  idle();
  return place;
}

/** Calls `tell` with how loud it is, in [0, 1], at every picture; returns what ends it. */
function meter(stream, tell) {
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  let frame = requestAnimationFrame(function look() {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, value) => sum + value * value, 0) / samples.length;
    tell(Math.min(1, Math.max(0, 1 + Math.log10(power + 1e-9) / 5))); // from -50 dB up
    frame = requestAnimationFrame(look);
  });
  return () => {
    cancelAnimationFrame(frame);
    context.close();
  };
}
