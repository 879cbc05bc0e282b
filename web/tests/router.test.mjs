import assert from "node:assert/strict";
import { test } from "node:test";

import { KEYS, actionOf, rowAfter } from "../src/keys.js";
import { PAGES, formatRoute, parseRoute, query, tokenIn } from "../src/router.js";

test("a route goes there and back", () => {
  for (const page of PAGES) {
    for (const params of [{}, { search: 'a&b=c #%"<ü', sort: "bytes" }])
      assert.deepEqual(parseRoute(formatRoute(page, params)), { page, params });
  }
  assert.equal(formatRoute("flows", { search: "", sort: undefined, offset: 0 }), "#/flows?offset=0");
  assert.equal(query({}), "");
  assert.equal(query({ limit: 5, search: "x y" }), "?limit=5&search=x+y");
});

test("nonsense is the overview", () => {
  for (const hash of ["", "#", "#/", "#/nothing", "#flows", "#/constructor", "#token=x"])
    assert.equal(parseRoute(hash).page, "overview", hash);
});

test("a token comes in the fragment", () => {
  assert.equal(tokenIn("#token=abc%2Fdef"), "abc/def");
  assert.equal(tokenIn("#token=100%"), "100%");
  assert.equal(tokenIn("#/flows?token=x"), null);
  assert.equal(tokenIn("#token="), null);
});

test("keys lead to pages and to the search, but not while one types", () => {
  const press = (key, typing = false, more = {}) =>
    actionOf({ key, ctrlKey: false, altKey: false, metaKey: false, ...more }, typing);
  assert.deepEqual(press("1"), { page: "overview" });
  assert.deepEqual(press("7"), { page: "explain" });
  assert.equal(press("8"), null);
  assert.deepEqual(press("/"), { does: "search" });
  assert.equal(press("/", true), null);
  assert.deepEqual(press("Escape", true), { does: "escape" });
  assert.equal(press("p", false, { ctrlKey: true }), null);
  assert.equal(press("x"), null);
  assert.ok(KEYS.length > 5);
});

test("rows are walked and not left", () => {
  assert.equal(rowAfter("ArrowDown", 0, 3), 1);
  assert.equal(rowAfter("ArrowDown", 2, 3), 2);
  assert.equal(rowAfter("ArrowUp", 0, 3), 0);
  assert.equal(rowAfter("End", 0, 3), 2);
  assert.equal(rowAfter("Home", 2, 3), 0);
  assert.equal(rowAfter("PageDown", 0, 30), 10);
  assert.equal(rowAfter("a", 0, 3), null);
  assert.equal(rowAfter("ArrowDown", 0, 0), null);
});
