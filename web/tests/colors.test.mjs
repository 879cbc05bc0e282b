// Text can be read: contrast of at least 4.5 : 1 (WCAG 2.2, 1.4.3) in both themes; lines of charts 3 : 1 (1.4.11).
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const css = readFileSync(new URL("../src/app.css", import.meta.url), "utf8");

function variables(selector) {
  const block = css.slice(css.indexOf(`\n${selector} {`)).split("}")[0];
  return Object.fromEntries(
    [...block.matchAll(/--([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, color]) => [name, color]),
  );
}

function luminance(color) {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const part = parseInt(color.slice(at, at + 2), 16) / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one, other) {
  const [dark, bright] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}

const TEXT = [
  ["text", "page"],
  ["text", "card"],
  ["text", "hover"],
  ["text", "plain-back"],
  ["muted", "page"],
  ["muted", "card"],
  ["muted", "hover"],
  ["accent", "page"],
  ["accent", "card"],
  ["on-accent", "accent"],
  ["good", "good-back"],
  ["good", "card"],
  ["bad", "bad-back"],
  ["bad", "card"],
  ["warn", "warn-back"],
  ["side-text", "side"],
  ["side-text", "side-chosen"],
  ["side-strong", "side-chosen"],
];

for (const [theme, selector] of [
  ["light", ":root"],
  ["dark", ':root[data-theme="dark"]'],
]) {
  test(`what is written can be read, ${theme}`, () => {
    const colors = variables(selector);
    for (const [text, back] of TEXT) {
      const found = contrast(colors[text], colors[back]);
      assert.ok(found >= 4.5, `--${text} on --${back}: ${found.toFixed(2)}`);
    }
    for (let i = 0; i < 8; ++i) assert.ok(contrast(colors[`line-${i}`], colors.card) >= 3, `--line-${i}`);
    assert.ok(contrast(colors.focus, colors.card) >= 3, "--focus");
  });
}
