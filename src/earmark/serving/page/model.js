// Which model says so, and how that is known: version, run, code, data; each can be copied.

import { ask } from "./api.js";
import { fold, h, swap, thinking } from "./dom.js";
import { copyable, errorBox } from "./errors.js";
import { day, percent } from "./format.js";
import { has, t } from "./i18n.js";

let described = null;

/** What GET /model says, asked once; null where it does not answer. `fresh`: ask anew. */
export function modelInService({ fresh = false } = {}) {
  if (fresh) described = null;
  described ??= ask("model", { quiet: true }).catch((refused) => {
    described = null;
    throw refused;
  });
  return described;
}

/** The card at the song's end. */
export function modelCard(song) {
  const { model, heard_seconds, duration_s, unlike } = song.answer;
  const about = h("div", {});
  const heard = Math.min(1, heard_seconds / duration_s);
  const card = h(
    "section",
    { class: "card wide model", "aria-labelledby": "model-title" },
    h("h3", { id: "model-title" }, t("model")),
    h(
      "p",
      {},
      t("model.version", { name: model.name, version: model.version, kind: has(`kind.${model.kind}`) ? t(`kind.${model.kind}`) : model.kind }),
      model.role === "canary" && [" ", h("span", { class: "badge", title: t("canary.help") }, t("canary"))],
    ),
    model.role === "canary" && h("p", { class: "small dim" }, t("canary.help")),
    h("p", { class: "small dim" }, t("model.heard", { share: percent(heard) }), unlike !== null && unlike !== undefined ? t("space") + t("model.unlike", { share: percent(unlike) }) : ""),
    about,
    fold(t("lineage"), () => lineage(song), { class: "lineage" }),
  );
  modelInService().then(
    (told) => about.replaceChildren(...training(told, model)),
    () => {}, // the answer's own version stands above; nothing more is known
  );
  return card;
}

/** What it was trained on and which gates it passed; only if it is the version that answered. */
function training(told, model) {
  const own = told.version === model.version ? told : [told.canary].find((one) => one?.version === model.version);
  if (!own) return [];
  const { trained_on: on, gates } = own;
  const parts = [];
  if (on?.collection) {
    const text = t("model.trained", { collection: on.collection, count: on.tracks ?? 0 });
    parts.push(h("p", { class: "small dim" }, text + (on.at ? t("space") + t("model.trained.at", { day: day(on.at) }) : "")));
  }
  if (own.labels?.length) parts.push(h("p", { class: "small dim" }, t("model.knows", { count: own.labels.length })));
  if (gates?.length) {
    parts.push(
      fold(t("gates", { count: gates.filter((gate) => gate.passed).length, of: gates.length }), () =>
        h(
          "ul",
          { class: "plain-list small" },
          gates.map((gate) => h("li", { class: gate.passed ? "gate passed" : "gate" }, h("span", { class: "strong" }, `${gate.passed ? "✓" : "✗"} ${gate.name}`), gate.why ? ` ${gate.why}` : "")),
        ),
      ),
    );
  }
  return parts;
}

// What the way back may call its steps, in the order in which they are shown.
const STEPS = [
  ["prediction_id", "id"],
  ["content_hash"],
  ["model", "name"],
  ["version", "model_version"],
  ["run_id", "run"],
  ["git_commit", "commit"],
  ["data_hash", "data_hashes", "data"],
  ["flow_run", "flow_run_id"],
];

function lineage(song) {
  const body = h("div", {}, thinking(t("lineage.thinking")));
  const look = async () => {
    try {
      song.lineage ??= await ask(`lineage/${encodeURIComponent(song.answer.prediction_id)}`);
      swap(body, h("p", { class: "small dim" }, t("lineage.help")), chain(song.lineage));
    } catch (refused) {
      swap(body, errorBox(refused, { again: look }));
    }
  };
  look();
  return body;
}

/** Step after step; what the service adds later is shown under its own name. */
function chain(told) {
  const flat = flatten(told);
  const used = new Set();
  const steps = STEPS.flatMap((names) => {
    const name = names.find((one) => flat.some(([path]) => path === one || path.startsWith(`${one}.`) || path.endsWith(`.${one}`)));
    if (!name) return [];
    return flat
      .filter(([path]) => !used.has(path) && (path === name || path.startsWith(`${name}.`) || path.endsWith(`.${name}`)))
      .map(([path, value]) => {
        used.add(path);
        return [names[0], path, value];
      });
  });
  const rest = flat.filter(([path]) => !used.has(path)).map(([path, value]) => [null, path, value]);
  return h(
    "ol",
    { class: "chain" },
    [...steps, ...rest].map(([step, path, value]) => h("li", {}, copyable(nameOf(step, path), value))),
  );
}

const nameOf = (step, path) => {
  const name = step && has(`lineage.${step}`) ? t(`lineage.${step}`) : path.replaceAll("_", " ");
  const detail = path.includes(".") && step ? path.split(".").slice(1).join(".").replaceAll("_", " ") : "";
  return detail && detail !== step ? `${name}: ${detail}` : name;
};

/** Pairs of path and text; what is empty is left out. */
function flatten(value, path = "") {
  if (value === null || value === undefined || value === "") return [];
  if (typeof value !== "object") return [[path, String(value)]];
  return Object.entries(value).flatMap(([name, one]) => flatten(one, path ? `${path}.${name}` : name));
}
