import assert from "node:assert/strict";
import { test } from "node:test";

import { History, LONGEST_STEP_MS, Rates } from "../src/rates.js";

const counters = (values) => new Map(Object.entries(values));

test("a rate is what was counted between two answers", () => {
  const rates = new Rates();
  assert.equal(rates.add(1000, counters({ a: 10, b: 9007199254740993n })), null);
  assert.deepEqual(rates.add(3000, counters({ a: 110, b: 9007199254740997n, late: 7 })), counters({ a: 50, b: 2 }));
  assert.deepEqual(rates.add(3500, counters({ a: 110, late: 8 })), counters({ a: 0, late: 2 }));
});

test("counters that go backwards are those of another start", () => {
  const rates = new Rates();
  rates.add(0, counters({ a: 10, b: 10 }));
  assert.equal(rates.add(1000, counters({ a: 20, b: 9 })), null);
  assert.deepEqual(rates.add(2000, counters({ a: 21, b: 9 })), counters({ a: 1, b: 0 }));
});

test("an answer long ago says nothing of now", () => {
  const rates = new Rates();
  rates.add(0, counters({ a: 0 }));
  assert.equal(rates.add(LONGEST_STEP_MS + 1, counters({ a: 1e6 })), null);
  assert.equal(rates.add(LONGEST_STEP_MS + 1, counters({ a: 1e6 })), null, "no time has passed");
  rates.forget();
  assert.equal(rates.add(LONGEST_STEP_MS + 1001, counters({ a: 1e6 })), null);
});

test("columns are of one length, with gaps where nothing is known", () => {
  const history = new History(3);
  history.add(1, counters({ a: 1 }));
  history.add(2, counters({ a: 2, b: 20 }));
  history.addGap(3);
  assert.deepEqual(
    [history.times, history.column("a"), history.column("b"), history.column("c")],
    [
      [1, 2, 3],
      [1, 2, null],
      [null, 20, null],
      [null, null, null],
    ],
  );
  assert.deepEqual(history.names(), ["b", "a"]);
});

test("what is older than the most goes, and what has only gaps with it", () => {
  const history = new History(3);
  history.add(1, counters({ gone: 1, a: 0 }));
  for (let time = 2; time <= 4; ++time) history.add(time, counters({ a: time }));
  assert.deepEqual(history.times, [2, 3, 4]);
  assert.deepEqual([...history.columns.keys()], ["a"]);
});
