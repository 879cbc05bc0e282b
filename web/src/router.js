// The page and what it shows, in the part of the address behind '#': "#/flows?search=10.0.0.5&sort=bytes". So a view can
// be kept, sent to somebody and gone back to.

export const PAGES = ["overview", "flows", "rules", "drops", "tables", "logs", "explain"];

/** {page, params}; what makes no sense is the overview. */
export function parseRoute(hash) {
  const [, page, query] = /^#\/([a-z]*)(?:\?(.*))?$/.exec(hash) ?? [];
  return { page: PAGES.includes(page) ? page : PAGES[0], params: Object.fromEntries(new URLSearchParams(query ?? "")) };
}

/** Parameters that are empty or undefined are left out. */
export function formatRoute(page, params = {}) {
  const kept = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const query = new URLSearchParams(kept).toString();
  return `#/${page}${query && `?${query}`}`;
}

/** The token of "#token=WORD"; null if there is none. Whoever reads it takes it out of the address. */
export function tokenIn(hash) {
  const word = /^#token=(.+)$/.exec(hash)?.[1];
  try {
    return word === undefined ? null : decodeURIComponent(word);
  } catch {
    return word; // a '%' of its own
  }
}

/** Fields of a query, for the API: "?limit=10&search=x". */
export function query(params) {
  return formatRoute("", params).slice(2);
}
