// Numbers, times and lists as the page's language writes them.

import { t, tag } from "./i18n.js";

const number = (value, how) => new Intl.NumberFormat(tag(), how).format(value);

/** 0.42 → 42%; what would round to nothing or to all says so: <1%, >99%. */
export function percent(share) {
  const whole = (value) => number(value, { style: "percent", maximumFractionDigits: 0 });
  if (share > 0 && share < 0.005) return `<${whole(0.01)}`;
  if (share < 1 && share >= 0.995) return `>${whole(0.99)}`;
  return whole(share);
}

/** 21–63%. */
export const percentRange = (low, high) =>
  t("range", { low: number(Math.round(100 * low)), high: percent(Math.round(100 * high) / 100) });

/** A number with so many digits behind the point. */
export const fixed = (value, digits) => number(value, { minimumFractionDigits: digits, maximumFractionDigits: digits });

/** With its sign, also for +; a true minus. */
export const signed = (value, digits) =>
  number(value, { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "exceptZero" }).replace(
    "-",
    "−",
  );

/** Seconds as on a player: 3:34, 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** From one time to another. */
export const span = (start, end) => t("range", { low: clock(start), high: clock(end) });

/** 850 → 850 Hz, 2600 → 2.6 kHz. */
export function hertz(value) {
  return value < 1000
    ? t("unit.hz", { value: number(value, { maximumSignificantDigits: 2 }) })
    : t("unit.khz", { value: number(value / 1000, { maximumSignificantDigits: 2 }) });
}

/** 150–200 Hz, 0.9–1.2 kHz. */
export function hertzRange(low, high) {
  const [unit, by] = high < 1000 ? ["unit.hz", 1] : ["unit.khz", 1000];
  const value = (one) => number(one / by, { maximumSignificantDigits: 2 });
  return t(unit, { value: t("range", { low: value(low), high: value(high) }) });
}

/** A file's size. */
export function bytes(count) {
  const [unit, size] =
    count < 1e3 ? ["byte", count] : count < 1e6 ? ["kilobyte", count / 1e3] : ["megabyte", count / 1e6];
  return number(size, { style: "unit", unit, maximumFractionDigits: size < 10 ? 1 : 0 });
}

/** rock, pop → "rock or pop". */
export const either = (names) => new Intl.ListFormat(tag(), { type: "disjunction" }).format(names);

/** a, b → "a and b". */
export const all = (names) => new Intl.ListFormat(tag(), { type: "conjunction" }).format(names);

/** 31 → 31st. */
export const nth = (value) => t("ordinal", { nth: value });

/** 0.9 → "9 in 10". */
export function oddsOf(coverage) {
  const of =
    [10, 20, 100, 1000].find((whole) => Math.abs(coverage * whole - Math.round(coverage * whole)) < 1e-6) ?? 100;
  return t("odds", { part: Math.round(coverage * of), of });
}

/** A day, as it is written; the text itself where it is no date. */
export function day(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime())
    ? String(text)
    : new Intl.DateTimeFormat(tag(), { dateStyle: "medium" }).format(date);
}

/** A day and a time, in the reader's own zone. */
export function moment(text) {
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return text;
  return new Intl.DateTimeFormat(tag(), { dateStyle: "medium", timeStyle: "medium" }).format(date);
}

/** With a capital at the beginning, where the language has them. */
export const capital = (text) => text.charAt(0).toLocaleUpperCase(tag()) + text.slice(1);
