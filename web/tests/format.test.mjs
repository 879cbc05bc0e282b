import assert from "node:assert/strict";
import { test } from "node:test";

import { bitRate, bytes, clock, count, duration, percent, perSecond, plural, short } from "../src/format.js";

test("counters keep all their digits", () => {
  assert.equal(count(0), "0");
  assert.equal(count(999), "999");
  assert.equal(count(1234567), "1,234,567");
  assert.equal(count(18446744073709551615n), "18,446,744,073,709,551,615");
  assert.equal(count(null), "–");
});

test("rates have three digits, at every border", () => {
  for (const [value, text] of [
    [0, "0"],
    [0.001, "<0.01"],
    [0.4, "0.4"],
    [1, "1"],
    [9.994, "9.99"],
    [9.996, "10"],
    [99.94, "99.9"],
    [99.96, "100"],
    [999.4, "999"],
    [999.6, "1 k"],
    [1234, "1.23 k"],
    [999_499, "999 k"],
    [999_600, "1 M"],
    [29_600_000, "29.6 M"],
    [1e12, "1 T"],
    [null, "–"],
  ]) {
    assert.equal(short(value), text, String(value));
  }
});

test("units stand behind their prefix", () => {
  assert.equal(perSecond(1234), "1.23 k/s");
  assert.equal(perSecond(12), "12/s");
  assert.equal(bitRate(125_000), "1 Mbit/s");
  assert.equal(bitRate(1), "8 bit/s");
  assert.equal(bitRate(null), "–");
});

test("bytes, durations, parts", () => {
  assert.equal(bytes(1023), "1023 B");
  assert.equal(bytes(1536), "1.5 KiB");
  assert.equal(bytes(2n ** 62n), "4194304 TiB");
  assert.equal(duration(0), "0 s");
  assert.equal(duration(59.6), "1 min");
  assert.equal(duration(7384), "2 h 3 min");
  assert.equal(duration(86401), "1 d");
  assert.equal(percent(1, 3), "33.3 %");
  assert.equal(percent(0, 0), "–");
  assert.equal(plural(1, "rule"), "1 rule");
  assert.equal(plural(1000, "entry", "entries"), "1,000 entries");
  assert.equal(clock(new Date("nonsense")), "–");
});
