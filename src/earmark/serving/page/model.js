// Which model says so, and how that is known: version, run, code, data; each can be copied.

import { ask } from "./api.js";
import { fold, h, swap, table, thinking } from "./dom.js";
import { copyable, errorBox } from "./errors.js";
import { day, moment, percent, percentRange } from "./format.js";
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
    h("h2", { id: "model-title" }, t("model")),
    h(
      "p",
      {},
      t("model.version", {
        name: model.name,
        version: model.version,
        kind: has(`kind.${model.kind}`) ? t(`kind.${model.kind}`) : model.kind,
      }),
      model.role === "canary" && [" ", h("span", { class: "badge", title: t("canary.help") }, t("canary"))],
    ),
    model.role === "canary" && h("p", { class: "small dim" }, t("canary.help")),
    h(
      "p",
      { class: "small dim" },
      t("model.heard", { share: percent(heard) }),
      unlike !== null && unlike !== undefined ? t("space") + t("model.unlike", { share: percent(unlike) }) : "",
    ),
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
  if (told.version !== model.version) return [];
  const { trained_on: on, accuracy, gates, genres, in_service_since: since } = told;
  const sentences = [
    on?.recordings > 0 &&
      t(on.collection ? "model.trained" : "model.trained.bare", { count: on.recordings, collection: on.collection }),
    accuracy &&
      accuracy.low !== null &&
      t("model.accuracy", { share: percent(accuracy.value), range: percentRange(accuracy.low, accuracy.high) }),
    since && t("model.since", { day: day(since) }),
    genres?.length > 0 && t("model.knows", { count: genres.length }),
  ];
  return [
    h("p", { class: "small dim" }, sentences.filter(Boolean).join(t("space"))),
    gates?.length > 0 &&
      fold(t("gates", { count: gates.filter((gate) => gate.passed).length, of: gates.length }), () => gateTable(gates)),
  ].filter(Boolean);
}

const gateTable = (gates) =>
  table(
    t("gates.title"),
    [t("gates.gate"), t("gates.found"), t("gates.needed")],
    gates.map((gate) => [`${gate.passed ? "✓" : "✗"} ${gate.name}`, gate.found, gate.needed]),
  );

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

/** Step after step, from the answer to the data; a step that is not known says so. */
function chain({ prediction, model, code, data, flow_run: flowRun, again }) {
  return h(
    "ol",
    { class: "chain" },
    step("answer", [
      ["id", prediction.prediction_id],
      ["at", moment(prediction.at)],
      ["hash", prediction.content_hash],
    ]),
    step("model", [
      ["version", `${model.name} ${model.version}`],
      ["because", model.promoted_because],
    ]),
    step("run", [
      ["run_id", model.run_id],
      ["flow_run", flowRun],
    ]),
    step("code", [["commit", code.git_commit && code.git_commit + (code.git_dirty ? t("lineage.dirty") : "")]]),
    step("data", [
      ["collection", data.collection],
      ["collection_md5", data.collection_md5],
      ["catalogue_md5", data.catalogue_md5],
      ["splits_md5", data.splits_md5],
    ]),
    again?.length > 0 &&
      step(
        "again",
        again.map((command) => [null, command]),
      ),
  );
}

function step(name, values) {
  const known = values.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return h(
    "li",
    {},
    h("p", { class: "strong small" }, t(`lineage.${name}`)),
    known.length
      ? known.map(([what, value]) => copyable(what ? t(`lineage.${what}`) : "", String(value)))
      : h("p", { class: "small dim" }, t("lineage.unknown")),
  );
}
