// Readable names: of genres, feelings, words and categories; and each genre's colour and pattern.

import { has, t } from "./i18n.js";

/** A text of the language where there is one, else the name itself with spaces for underscores. */
const readable = (kind, name) => (has(`${kind}.${name}`) ? t(`${kind}.${name}`) : name.replaceAll("_", " "));

/** "string quartet". */
export const genreName = (genre) => readable("genre", genre);

/** feeling---joyful_activation → {kind: "feeling", name: "joyful_activation", text: "joyful activation"}. */
export function tagParts(tag) {
  const [kind, ...rest] = tag.split("---");
  const name = rest.join("---");
  return { kind, name, text: kind === "feeling" ? readable("feeling", name) : name.replaceAll("_", " ") };
}

const COLOURS = 8;

/**
 * A class for each genre, the same for every song of one model: colour and pattern go by the genre's place in the
 * alphabet, so that they do not change with what is most probable.
 */
export function genreClasses(genres) {
  const sorted = [...genres].sort();
  return (genre) => {
    const at = Math.max(0, sorted.indexOf(genre));
    return `hue-${at % COLOURS} pattern-${(at + Math.floor(at / COLOURS)) % 6}`;
  };
}
