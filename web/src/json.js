// JSON whose integers keep every digit: those beyond 2^53 come as BigInt, all others as numbers. What JSON.parse alone
// does is to round them without a word, and a byte counter gets there within a year at 2.3 Tbit/s.

const MAY_BE_LARGE = /\d{16}/;
const STRING_OR_INTEGER = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;
const KEY = "\u0000integer"; // no name of the API

export function parseJson(text) {
  if (!MAY_BE_LARGE.test(text)) return JSON.parse(text);
  const marked = text.replace(STRING_OR_INTEGER, (token) =>
    /^-?\d+$/.test(token) && !Number.isSafeInteger(Number(token)) ? JSON.stringify({ [KEY]: token }) : token,
  );
  return JSON.parse(marked, (_, value) =>
    value !== null && typeof value === "object" && typeof value[KEY] === "string" ? BigInt(value[KEY]) : value,
  );
}

/** Of counters, whichever they are; exact. */
export function sum(values) {
  let total = 0;
  for (const value of values) {
    if (typeof value === "bigint" || typeof total === "bigint") {
      total = BigInt(total) + BigInt(value);
    } else {
      const next = total + value;
      total = Number.isSafeInteger(next) ? next : BigInt(total) + BigInt(value);
    }
  }
  return total;
}

/** now - before as a number; the difference of two answers is small, whatever they are themselves. */
export function difference(now, before) {
  return typeof now === "bigint" || typeof before === "bigint" ? Number(BigInt(now) - BigInt(before)) : now - before;
}
