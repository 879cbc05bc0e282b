// Numbers as people read them. Counters may be BigInt (json.js); rates are plain numbers, and null is "not known yet".

export const UNKNOWN = "–";

/** 1234567 -> "1,234,567": all digits, so that they can be compared with what the command line says. */
export function count(value) {
  if (value === null || value === undefined) return UNKNOWN;
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

/** Three significant digits with an SI prefix: 1234567 -> "1.23 M". */
export function short(value) {
  if (value === null || value === undefined) return UNKNOWN;
  const number = Number(value);
  const size = Math.abs(number);
  if (size === 0) return "0";
  if (size < 0.01) return "<0.01";
  for (const [factor, prefix] of [
    [1, ""],
    [1e3, " k"],
    [1e6, " M"],
    [1e9, " G"],
    [1e12, " T"],
    [1e15, " P"],
  ]) {
    // What would be rounded to four digits is the next prefix's.
    if (size < factor * 999.5 || factor === 1e15) return digits(number / factor) + prefix;
  }
}

function digits(value) {
  const size = Math.abs(value);
  const text = size >= 99.95 ? value.toFixed(0) : size >= 9.995 ? value.toFixed(1) : value.toFixed(2);
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

export const perSecond = (value, what = "") =>
  value === null || value === undefined ? UNKNOWN : `${unit(short(value), what)}/s`;

/** Bytes/s as bit/s: what links are measured in. */
export const bitRate = (bytesPerSecond) =>
  perSecond(bytesPerSecond === null || bytesPerSecond === undefined ? null : bytesPerSecond * 8, "bit");

/** "1.2 k" and "bit" -> "1.2 kbit"; "12" and "bit" -> "12 bit". */
function unit(text, what) {
  return what && !text.includes(" ") ? `${text} ${what}` : text + what;
}

export function bytes(value) {
  if (value === null || value === undefined) return UNKNOWN;
  let number = Number(value);
  for (const name of ["B", "KiB", "MiB", "GiB", "TiB"]) {
    if (Math.abs(number) < 1024 || name === "TiB") return `${name === "B" ? number : digits(number)} ${name}`;
    number /= 1024;
  }
}

/** Of seconds the two largest units: 7384 -> "2 h 3 min". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  const left = Math.round(Number(seconds));
  const parts = [
    [Math.floor(left / 86400), "d"],
    [Math.floor(left / 3600) % 24, "h"],
    [Math.floor(left / 60) % 60, "min"],
    [left % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, name]) => `${amount} ${name}`)
    .join(" ");
}

export const percent = (part, whole) => {
  const all = Number(whole);
  return all > 0 ? `${digits((100 * Number(part)) / all)} %` : UNKNOWN;
};

const two = (number) => String(number).padStart(2, "0");

/** Local time of day. */
export function clock(date) {
  return Number.isNaN(date.getTime())
    ? UNKNOWN
    : `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
}

/** Local date and time. */
export function dateTime(date) {
  return Number.isNaN(date.getTime())
    ? UNKNOWN
    : `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} ${clock(date)}`;
}

/** "1 rule", "2 rules", "1,000 entries" */
export function plural(amount, one, many = `${one}s`) {
  return `${count(amount)} ${Number(amount) === 1 ? one : many}`;
}
