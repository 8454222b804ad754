// How songs come in: dropped anywhere, chosen by the button, picked among the examples, or recorded.

import { ask } from "./api.js";
import { h } from "./dom.js";
import { clock } from "./format.js";
import { onLanguage, t } from "./i18n.js";
import { icon } from "./icons.js";
import { genreName } from "./names.js";
import { canRecord, recorder } from "./recorder.js";
import { onKey } from "./key.js";
import { alarm } from "./announce.js";
import { errorTitle } from "./errors.js";

/**
 * Fill `place`, and `shelf` with the examples. `onSongs([{file, title}])` gets what comes in, or with `load` in the
 * place of `file` what has to be fetched first.
 */
export function intake(place, shelf, onSongs) {
  let examples = [];
  const microphone = canRecord() && recorder((file, title) => onSongs([{ file, title }]));
  const showWays = () => place.replaceChildren(ways(onSongs, microphone));
  const showShelf = () => {
    shelf.hidden = !examples.length;
    shelf.replaceChildren(h("h2", { class: "small-head" }, t("examples")), ...exampleList(examples, onSongs));
  };
  const look = async () => {
    try {
      examples = await ask("examples", { quiet: true });
    } catch {
      examples = []; // nothing is missing without them
    }
    showShelf(); // and nothing else: who is on a button already must not lose it
  };
  onLanguage(() => {
    showWays();
    showShelf();
  });
  onKey(look);
  showWays();
  look();
  dropping(onSongs);
}

function ways(onSongs, microphone) {
  const input = h("input", {
    id: "files",
    type: "file",
    class: "unseen",
    multiple: true,
    accept: "audio/*,video/mp4,video/webm,.flac,.opus,.wma,.aiff,.caf,.wv,.mka",
    tabindex: -1,
    "aria-hidden": "true",
  });
  input.addEventListener("change", () => {
    onSongs(songsOf(input.files));
    input.value = ""; // the same file may be chosen again
  });
  const choose = h(
    "button",
    { type: "button", class: "main", id: "choose", on: { click: () => input.click() } },
    icon("file"),
    t("choose"),
  );
  return h(
    "div",
    { class: "drop" },
    h("p", { class: "drop-call" }, t("drop")),
    h("div", { class: "row ways" }, choose, microphone),
    h("p", { class: "small dim drop-kinds" }, t("drop.kinds")),
    input,
  );
}

function exampleList(examples, onSongs) {
  const licences = new Set(examples.map((example) => example.licence));
  const shared = licences.size === 1 && examples[0].licence; // then it need not stand in each of them
  const list = h(
    "ul",
    {},
    examples.map((example) => {
      const about = [
        example.artist,
        example.genre && genreName(example.genre),
        example.seconds && clock(example.seconds),
      ];
      const load = async (signal) => {
        const sound = await ask(`examples/${encodeURIComponent(example.name)}`, { as: "blob", signal });
        return new File([sound], `${example.name}.ogg`, { type: sound.type });
      };
      return h(
        "li",
        {},
        h(
          "button",
          {
            type: "button",
            class: "example",
            on: { click: () => onSongs([{ load, title: example.title ?? example.name }]) },
          },
          h("span", { class: "example-title" }, example.title ?? example.name),
          h("span", { class: "small dim" }, about.filter(Boolean).join(" · ")),
          !shared && example.licence && h("span", { class: "small dim" }, example.licence),
        ),
      );
    }),
  );
  return [list, shared && h("p", { class: "small dim" }, shared)].filter(Boolean);
}

/** Their titles are the names without suffix. */
const songsOf = (files) =>
  [...files].map((file) => ({ file, title: file.name.replace(/\.[^.]{1,5}$/, "") || file.name }));

/** The whole page takes what is dropped; a veil says so while it hovers. */
function dropping(onSongs) {
  const veil = document.getElementById("veil");
  let depth = 0;
  const carriesFiles = (event) => event.dataTransfer?.types.includes("Files");
  const over = (now) => (veil.hidden = !now);
  addEventListener("dragenter", (event) => carriesFiles(event) && over((depth += 1) > 0));
  addEventListener("dragleave", (event) => carriesFiles(event) && over((depth = Math.max(0, depth - 1)) > 0));
  addEventListener("dragover", (event) => carriesFiles(event) && event.preventDefault());
  addEventListener("drop", async (event) => {
    if (!carriesFiles(event)) return;
    event.preventDefault();
    over((depth = 0) > 0);
    const files = await dropped(event.dataTransfer);
    if (files.length) onSongs(songsOf(files));
    else alarm(errorTitle({ code: "nothing_dropped" }));
  });
}

/** The files, and those within folders, in the order of their names. */
async function dropped(transfer) {
  // Entries have to be taken before the first await: after it the transfer is empty.
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return [...transfer.files];
  return (await Promise.all(entries.map(within))).flat();
}

async function within(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => entry.file(resolve, () => resolve(null)));
    return file && !file.name.startsWith(".") ? [file] : [];
  }
  const reader = entry.createReader();
  const found = [];
  for (;;) {
    const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!some.length) break;
    found.push(...some);
  }
  found.sort((a, b) => a.name.localeCompare(b.name));
  const files = (await Promise.all(found.map(within))).flat();
  return files.filter((file) => /^(audio|video)\//.test(file.type) || !file.type);
}
