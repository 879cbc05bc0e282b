// A browser, a page in it, and what steps do with it. Whatever they do, no request may leave for elsewhere, and the
// console has to stay silent but for what a step expects.

import assert from "node:assert/strict";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const [part, path] = process.argv.slice(2);
export const facts = JSON.parse(readFileSync(path, "utf8"));
const { chromium } = createRequire(join(facts.modules, "x.js"))("playwright-core");

const PATIENCE_MS = 8000;
export let page;
let requests = [];
let complaints = [];
let expected = [];

export async function api(path, words = {}) {
  const response = await fetch(facts.url + path, {
    ...words,
    headers: { Authorization: `Bearer ${facts.token}`, ...words.headers },
  });
  return { status: response.status, headers: response.headers, answer: await response.json().catch(() => null) };
}
export const get = async (path) => (await api(path)).answer;

/** The console may say this in the present step. */
export function expect(pattern) {
  expected.push(pattern);
}

/** Until `condition` says something true, which is returned; what it threw last, if it never does. */
export async function eventually(condition, what) {
  const end = Date.now() + PATIENCE_MS;
  for (let problem; ;) {
    try {
      const answer = await condition();
      if (answer) return answer;
      problem = undefined;
    } catch (error) {
      problem = error;
    }
    if (Date.now() > end) throw problem ?? new Error(`never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export const text = (selector) => page.locator(selector).innerText();
export const go = (hash) =>
  page.evaluate((to) => {
    location.hash = to;
  }, hash);
export const number = (shown) => Number(shown.replaceAll(",", ""));
export const cell = (table, row, column) =>
  page
    .locator(`table[aria-label="${table}"] tbody tr`)
    .filter({ hasText: row })
    .first()
    .locator(`td[data-column="${column}"]`)
    .innerText();
export const rows = (table) => page.locator(`table[aria-label="${table}"] tbody tr:not(.detail)`);
export const focusedRow = () =>
  page.evaluate(() =>
    [...(document.activeElement.closest("tbody")?.children ?? [])]
      .filter((row) => !row.matches(".detail"))
      .indexOf(document.activeElement),
  );

export async function picture(name, size = { width: 1280, height: 860 }) {
  if (!facts.pictures) return;
  mkdirSync(facts.pictures, { recursive: true });
  const before = page.viewportSize();
  await page.setViewportSize(size);
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(facts.pictures, `${name}.png`) });
  await page.setViewportSize(before);
}

export async function withToken() {
  await page.goto(`${facts.url}/#token=${facts.token}`);
  await page.getByRole("button", { name: "live", exact: true }).waitFor();
}

/** The part that was asked for; ends the process with 1 if a step failed. */
export async function run(parts) {
  const browser = await chromium.launch({
    executablePath: facts.browser,
    args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  });
  let failed = 0;
  try {
    page = await browser.newPage({ viewport: { width: 1280, height: 860 } });
    page.setDefaultTimeout(PATIENCE_MS);
    page.on("request", (request) => requests.push(request.url()));
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
    for (const [name, step] of Object.entries(parts[part])) {
      const began = performance.now();
      try {
        await step();
        const unexpected = complaints.filter((complaint) => !expected.some((pattern) => pattern.test(complaint)));
        assert.deepEqual(unexpected, [], "the console complains");
        const elsewhere = requests.filter(
          (url) => !url.startsWith(`${facts.url}/`) && !url.startsWith("data:image/svg+xml,") && url !== "about:blank",
        );
        assert.deepEqual(elsewhere, [], "requests that leave");
        console.log(`ok   ${name} (${Math.round(performance.now() - began)} ms)`);
      } catch (error) {
        ++failed;
        console.log(`FAIL ${name}: ${error.stack ?? error}`);
        await picture(`failed-${failed}`);
        if (failed > 2) break;
      }
      complaints = [];
      expected = [];
      requests = [];
    }
  } finally {
    await browser.close();
  }
  process.exit(failed === 0 ? 0 : 1);
}
