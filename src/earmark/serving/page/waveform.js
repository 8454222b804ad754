// The song's outline: decoded in the browser, where it can; nothing is asked of the service for it.

import { s } from "./dom.js";

const RATE_HZ = 8000; // decoding to so little keeps twenty minutes small
const BARS = 160;

/** How loud each of `BARS` pieces is, in [0, 1]; null where the browser cannot decode the file. */
export async function peaksOf(file) {
  try {
    const decoded = await new OfflineAudioContext(1, 1, RATE_HZ).decodeAudioData(await file.arrayBuffer());
    return peaks(Array.from({ length: decoded.numberOfChannels }, (_, at) => decoded.getChannelData(at)));
  } catch {
    return null;
  }
}

/** The same for a song, worked out once and kept as `song.peaks`. */
export function outlineOf(song) {
  song.outline ??= peaksOf(song.file).then((found) => (song.peaks = found));
  return song.outline;
}

function peaks(channels) {
  const length = channels[0].length;
  const found = Array.from({ length: BARS }, (_, bar) => {
    const [from, to] = [Math.floor((bar * length) / BARS), Math.max(1, Math.floor(((bar + 1) * length) / BARS))];
    let power = 0;
    for (const samples of channels) for (let at = from; at < to; at += 1) power += samples[at] * samples[at];
    // The level as it is heard: single peaks look alike in all of a loud song.
    return Math.sqrt(power / channels.length / Math.max(1, to - from));
  });
  const top = Math.max(...found);
  return top > 0 ? found.map((value) => value / top) : found;
}

/** Drawn twice, one over the other: what was played has its own colour. `null`: a plain line. */
export function waveform(loudness) {
  const path = (loudness ?? Array(BARS).fill(0))
    .map((value, at) => {
      const half = Math.max(0.8, 48 * value ** 0.8);
      return `M${at * 6 + 1} ${(50 - half).toFixed(1)}h4v${(2 * half).toFixed(1)}h-4z`;
    })
    .join("");
  const drawn = (name) =>
    s(
      "svg",
      {
        class: `wave ${name}`,
        viewBox: `0 0 ${BARS * 6} 100`,
        preserveAspectRatio: "none",
        "aria-hidden": "true",
        focusable: "false",
      },
      s("path", { d: path }),
    );
  return [drawn("ahead"), drawn("played")];
}
