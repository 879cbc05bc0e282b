// What keys do. Single keys do nothing while something is typed, nor with Ctrl, Alt or Meta, which are the browser's.

import { PAGES } from "./router.js";

export const KEYS = [
  ["1 – 7", "the pages"],
  ["/", "search on this page"],
  ["↑ ↓", "row by row; Home and End: the first, the last"],
  ["Enter", "open the row: of a table its entries, of a rule its flows, …"],
  ["p", "stop and go on with what is shown"],
  ["t", "light, dark, as the system is"],
  ["?", "this list"],
  ["Esc", "close, or leave the search"],
];

/**
 * The action of a key event: {page}, {does: "search" | "help" | "pause" | "theme" | "escape"}, or null. `typing`: the focus
 * is where text is written.
 */
export function actionOf({ key, ctrlKey, altKey, metaKey }, typing) {
  if (ctrlKey || altKey || metaKey) return null;
  if (key === "Escape") return { does: "escape" };
  if (typing) return null;
  const page = /^[1-9]$/.test(key) ? PAGES[Number(key) - 1] : undefined;
  if (page) return { page };
  const does = { "/": "search", "?": "help", p: "pause", t: "theme" }[key];
  return does ? { does } : null;
}

/** Where the focus goes among `rows` rows from row `at`; null: the key is not about rows. */
export function rowAfter(key, at, rows) {
  const last = rows - 1;
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 10, PageUp: at - 10, Home: 0, End: last }[key];
  return to === undefined || last < 0 ? null : Math.min(Math.max(to, 0), last);
}
