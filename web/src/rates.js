// From counters that only grow to rates, and rates over time.

import { difference } from "./json.js";

/** Longer than that between two answers (a hidden tab, nobody there), and their mean says nothing of now. */
export const LONGEST_STEP_MS = 5000;

/** Answers of one kind, each a Map of names to counters. */
export class Rates {
  #before = null;
  #beforeMs = 0;

  /**
   * Per second since the last call, as a Map of the same names; null if that cannot be said: it is the first call, the
   * last one was too long ago, or a counter has gone backwards, which means that ringplane has started anew. A name
   * that was not there before has no rate yet.
   */
  add(timeMs, counters) {
    const before = this.#before;
    const stepMs = timeMs - this.#beforeMs;
    this.#before = counters;
    this.#beforeMs = timeMs;
    if (before === null || stepMs <= 0 || stepMs > LONGEST_STEP_MS) return null;
    const rates = new Map();
    for (const [name, value] of counters) {
      if (!before.has(name)) continue;
      const grown = difference(value, before.get(name));
      if (grown < 0) return null;
      rates.set(name, (grown * 1000) / stepMs);
    }
    return rates;
  }

  forget() {
    this.#before = null;
  }
}

/** The last `most` samples of named values, in columns as charts take them. */
export class History {
  constructor(most) {
    this.most = most;
    this.times = []; // seconds since 1970
    this.columns = new Map();
  }

  /** `values` maps names to numbers or null; a name that is missing has a gap, also one that comes later. */
  add(timeS, values) {
    for (const name of values.keys()) {
      if (!this.columns.has(name)) this.columns.set(name, new Array(this.times.length).fill(null));
    }
    this.times.push(timeS);
    for (const [name, column] of this.columns) column.push(values.get(name) ?? null);
    if (this.times.length > this.most) {
      this.times.shift();
      for (const [name, column] of this.columns) {
        column.shift();
        if (column.every((value) => value === null)) this.columns.delete(name);
      }
    }
  }

  /** A gap in all of them. */
  addGap(timeS) {
    this.add(timeS, new Map());
  }

  column(name) {
    return this.columns.get(name) ?? new Array(this.times.length).fill(null);
  }

  /** Names that were ever more than zero, the largest at its peak first. */
  names() {
    const peaks = [...this.columns].map(([name, column]) => [
      name,
      column.reduce((most, value) => Math.max(most, value ?? 0), 0),
    ]);
    return peaks
      .filter(([, peak]) => peak > 0)
      .sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1))
      .map(([name]) => name);
  }
}
