import assert from "node:assert/strict";
import { test } from "node:test";

import { difference, parseJson, sum } from "../src/json.js";

test("small numbers are numbers", () => {
  assert.deepEqual(parseJson('{"a": 1, "b": [-2, 0.5, 1e3], "c": "12345678901234567890"}'), {
    a: 1,
    b: [-2, 0.5, 1000],
    c: "12345678901234567890",
  });
});

test("no digit of a counter is lost", () => {
  const text =
    '{"rx_bytes":18446744073709551615,"edge":9007199254740991,"beyond":9007199254740993,"real":0.12345678901234567}';
  const read = parseJson(text);
  assert.equal(read.rx_bytes, 18446744073709551615n);
  assert.equal(read.edge, 9007199254740991);
  assert.equal(read.beyond, 9007199254740993n);
  assert.equal(read.real, 0.12345678901234567);
});

test("digits in strings are text, whatever stands around them", () => {
  for (const text of ["9007199254740993", '\\": 9007199254740993, \\"', "\\\\\\u0022 9007199254740993"]) {
    assert.equal(parseJson(`{"label": "${text}", "n": 9007199254740993}`).label, JSON.parse(`"${text}"`));
  }
});

test("sums and differences are exact", () => {
  assert.equal(sum([1, 2, 3]), 6);
  assert.equal(sum([Number.MAX_SAFE_INTEGER, 2]), 9007199254740993n);
  assert.equal(sum([1n, 2]), 3n);
  assert.equal(difference(9007199254740993n, 9007199254740991), 2);
  assert.equal(difference(5, 7), -2);
});
