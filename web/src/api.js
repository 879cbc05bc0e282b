// The API as the page asks it. The token is kept for this tab only, goes into a header and nowhere else, and is
// forgotten when it is refused.

import { parseJson } from "./json.js";
import { query } from "./router.js";

const TOKEN = "ringplane-token";
const PATIENCE_MS = 10_000;

export class ApiError extends Error {
  /** `status` 0: there was no answer. */
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

export class Api {
  #storage;
  #fetch;

  /** `onRefused`(sentence): the token is not, or no longer, the right one. */
  constructor({ storage, fetch, onRefused = () => {} }) {
    this.#storage = storage;
    this.#fetch = fetch;
    this.onRefused = onRefused;
  }

  get hasToken() {
    return this.#storage.getItem(TOKEN) !== null;
  }

  setToken(word) {
    if (word) this.#storage.setItem(TOKEN, word);
    else this.#storage.removeItem(TOKEN);
  }

  get(path, params = {}, signal = undefined) {
    return this.#ask(path + query(params), { method: "GET", signal });
  }

  post(path, body = {}) {
    return this.#ask(path, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" },
    });
  }

  async #ask(path, words) {
    const token = this.#storage.getItem(TOKEN);
    const headers = { ...words.headers, ...(token === null ? {} : { Authorization: `Bearer ${token}` }) };
    const patience = AbortSignal.timeout(PATIENCE_MS);
    const signal = words.signal ? AbortSignal.any([words.signal, patience]) : patience;
    let response;
    let text;
    try {
      response = await this.#fetch(path, {
        ...words,
        headers,
        signal,
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
      text = await response.text();
    } catch (error) {
      if (words.signal?.aborted) throw error;
      throw new ApiError(0, "The control process does not answer.");
    }
    if (response.ok) return parseJson(text);
    const sentence = sentenceOf(text) ?? `The answer is ${response.status}.`;
    if (response.status === 401) {
      this.setToken(null);
      this.onRefused(sentence);
    }
    throw new ApiError(response.status, sentence);
  }
}

/** Of {"error": "..."}, as a sentence: sentences of the API begin small and have no full stop. */
function sentenceOf(text) {
  try {
    const { error } = JSON.parse(text);
    return typeof error === "string" && error !== "" ? error[0].toUpperCase() + error.slice(1) : null;
  } catch {
    return null;
  }
}
