// The small drawings beside numbers, as SVG: a bar, a dot with its range, a line over time, a strip of the catalogue.
// They are hidden from screen readers: each stands beside a text that says the same.

import { s } from "./dom.js";

const share = (value) => `${(100 * Math.min(1, Math.max(0, value))).toFixed(2)}%`;
const drawing = (name, props, ...parts) =>
  s("svg", { ...props, class: `chart ${name}`, "aria-hidden": "true", focusable: "false" }, parts);
const GRID = [0.25, 0.5, 0.75].map((at) =>
  s("line", { class: "grid", x1: share(at), x2: share(at), y1: 0, y2: "100%" }),
);
const grid = () => GRID.map((line) => line.cloneNode());

/** A probability as a bar, in the genre's colour and pattern. */
export const bar = (value, classes = "") =>
  drawing(
    "bar",
    {},
    s("rect", { class: "ground", width: "100%", height: "100%", rx: 4 }),
    s("rect", { class: `fill ${classes}`, width: share(value), height: "100%", rx: 4 }),
  );

/** A share as a dot, on the range in which it may lie; no range where `low` is null. */
export const range = (value, low, high) =>
  drawing(
    "range",
    {},
    s("line", { class: "axis", x1: 0, x2: "100%", y1: "50%", y2: "50%" }),
    grid(),
    low !== null &&
      high !== null && [
        s("line", { class: "whisker", x1: share(low), x2: share(high), y1: "50%", y2: "50%" }),
        s("line", { class: "whisker-end", x1: share(low), x2: share(low), y1: "25%", y2: "75%" }),
        s("line", { class: "whisker-end", x1: share(high), x2: share(high), y1: "25%", y2: "75%" }),
      ],
    s("circle", { class: "dot", cx: share(value), cy: "50%", r: 5 }),
  );

/** How a share goes through the song; `points` are pairs of time and share, both in [0, 1]. */
export function spark(points) {
  const top = Math.max(0.05, ...points.map(([, value]) => value)) * 1.1;
  const line = points.map(
    ([time, value], at) => `${at ? "L" : "M"}${(100 * time).toFixed(1)} ${(24 - (22 * value) / top).toFixed(1)}`,
  );
  return drawing(
    "spark",
    { viewBox: "0 0 100 26", preserveAspectRatio: "none" },
    s("path", { d: line.join(""), "vector-effect": "non-scaling-stroke" }),
  );
}

const SONGS = 100;

/**
 * A hundred songs of the catalogue, from the least to the best liked; marked are those among which this one may stand,
 * and its likeliest place.
 */
export function strip(low, high, likeliest) {
  const songs = Array.from({ length: SONGS }, (_, at) => {
    const place = (at + 0.5) / SONGS;
    return s("line", {
      class: place >= low && place <= high ? "song within" : "song",
      x1: share(place),
      x2: share(place),
      y1: 12 + 14 * (1 - at / SONGS),
      y2: 40,
    });
  });
  return drawing(
    "strip",
    {},
    songs,
    s("line", { class: "whisker", x1: share(low), x2: share(high), y1: 48, y2: 48 }),
    s("line", { class: "whisker-end", x1: share(low), x2: share(low), y1: 44, y2: 52 }),
    s("line", { class: "whisker-end", x1: share(high), x2: share(high), y1: 44, y2: 52 }),
    likeliest !== null && s("circle", { class: "dot hollow", cx: share(likeliest), cy: 48, r: 5 }),
  );
}
