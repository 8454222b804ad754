// The few pictures on buttons, drawn as lines; always beside a text or a label.

import { s } from "./dom.js";

const PATHS = {
  play: "M8 5.5v13l11-6.5z",
  pause: "M8 5v14M16 5v14",
  up: "M7 11v9H4v-9zM7 11l4-8a2 2 0 0 1 2 2.2L12.5 9H19a2 2 0 0 1 2 2.3l-1.2 7A2 2 0 0 1 17.8 20H7",
  down: "M17 13V4h3v9zM17 13l-4 8a2 2 0 0 1-2-2.200L11.5 15H5a2 2 0 0 1-2-2.300l1.2-7A2 2 0 0 1 6.2 4H17",
  close: "M6 6l12 12M18 6L6 18",
  copy: "M9 9h10v11H9zM5 15V4h10",
  again: "M4 12a8 8 0 1 0 2.5-5.800M4 4v4.500h4.5",
  record: "M12 15a3 3 0 0 0 3-3V6a3 3 0 0 0-6 0v6a3 3 0 0 0 3 3zM6 11.500a6 6 0 0 0 12 0M12 17.500V21",
  stop: "M7 7h10v10H7z",
  file: "M12 16V5M7.5 9.500L12 5l4.5 4.500M5 19h14",
  notice: "M12 8v5M12 16.500v.2M12 3l9.5 17h-19z",
  auto: "M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18",
  light:
    "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8M12 2v2m0 16v2M2 12h2m16 0h2M5 5l1.4 1.4m11.2 11.2L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  dark: "M20 14.500A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.500z",
};

/** One of them, as large as the text beside it. */
export function icon(name) {
  return s(
    "svg",
    { class: `icon icon-${name}`, viewBox: "0 0 24 24", "aria-hidden": "true" },
    s("path", { d: PATHS[name] }),
  );
}
