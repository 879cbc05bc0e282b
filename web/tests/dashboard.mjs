// The page in a browser: node dashboard.mjs PART FACTS.json, run by lab/dashboard_test.py inside of the firewall's namespace.
// A part is a row of steps on one page; each says what must be seen.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import process from "node:process";

import {
  api,
  cell,
  eventually,
  expect,
  facts,
  focusedRow,
  get,
  go,
  number,
  page,
  picture,
  rows,
  run,
  text,
  withToken,
} from "./browser.mjs";

const reading = {
  async "the files carry a strict policy, and nobody else's page may ask"() {
    const { headers } = await api("/");
    assert.match(
      headers.get("content-security-policy"),
      /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'/,
    );
    assert.equal(headers.get("x-content-type-options"), "nosniff");
    assert.equal(headers.get("referrer-policy"), "no-referrer");
    assert.equal((await api("/", { headers: { "If-None-Match": headers.get("etag") } })).status, 304);
    assert.equal((await api("/v1/ports", { headers: { Origin: "http://evil.example" } })).status, 403);
  },
  async "a wrong token is refused with a sentence, the right one opens"() {
    await page.goto(facts.url);
    expect(/401/);
    await page.getByLabel("The token").fill("not-the-right-word");
    await page.getByRole("button", { name: "look" }).click();
    assert.match(await text('[role="alert"]'), /That is not the token/);
    await picture("unlock");
    await page.getByLabel("The token").fill(facts.token);
    await page.keyboard.press("Enter");
    await page.getByRole("button", { name: "live", exact: true }).waitFor();
    assert.deepEqual(await page.evaluate(() => [Object.keys(sessionStorage), document.cookie]), [
      ["ringplane-token"],
      "",
    ]);
    assert.ok(!(await page.evaluate(() => JSON.stringify({ ...localStorage }))).includes(facts.token));
  },
  async "a token in the fragment is taken out of the address"() {
    await page.evaluate(() => sessionStorage.clear());
    await page.goto("about:blank");
    await withToken();
    assert.equal(await page.evaluate(() => location.href), `${facts.url}/`);
  },
  async "numbers on the page are the counters"() {
    await eventually(async () => {
      const [ports, workers] = [await get("/v1/ports"), await get("/v1/workers")];
      for (const port of ports) {
        for (const column of ["rx_packets", "tx_packets"])
          assert.equal(number(await cell("Ports", port.port, column)), port[column], `${port.port} ${column}`);
        assert.ok(port.rx_packets > 0);
      }
      assert.equal(number(await cell("Workers", "0", "packets")), workers[0].packets);
      assert.equal(number(await text(".tile:nth-child(3) .value")), workers[0].flows);
      return true;
    }, "the overview's numbers");
    await go("#/drops");
    const { packets } = (await get("/v1/drops")).find(({ reason }) => reason === "rule_block");
    assert.ok(packets >= 6);
    await eventually(async () => number(await cell("Drops", "rule_block", "packets")) === packets, "the drops");
  },
  async "rates are those of the traffic"() {
    await go("#/overview");
    const ping = spawn(facts.ping[0], facts.ping.slice(1)); // ten a second, and as many answers
    try {
      const shown = async (column) => parseFloat(await cell("Ports", "lan", column));
      await eventually(
        async () => (await shown("rx_rate")) > 8 && (await shown("rx_rate")) < 14 && (await shown("tx_rate")) > 8,
        "ten packets a second",
      );
      // 98 bytes each.
      await eventually(async () => /^[789](\.\d+)? kbit\/s$/.test(await cell("Ports", "lan", "rx_bits")), "their bits");
      await eventually(
        async () =>
          /^1\d(\.\d)?\/s$/.test(await text(".tile:nth-child(1) .value")) ||
          /^2\d(\.\d)?\/s$/.test(await text(".tile:nth-child(1) .value")),
        "what passes",
      );
      await go("#/flows");
      await page.getByRole("heading", { name: "Flows" }).waitFor();
      await page.getByRole("button", { name: "Now" }).click();
      const busiest = page.locator('table[aria-label="Flows"] td[data-column="rate"]').first();
      // 84 bytes each, both ways; new flows are told by the mean of their life.
      await eventually(async () => /^1\d(\.\d+)? kbit\/s$/.test(await busiest.innerText()), "the rate of the busiest flow");
      await go("#/overview");
    } finally {
      ping.kill("SIGINT");
    }
    assert.equal(await page.locator(".plot canvas").count(), 3);
  },
  async "a hostile label is text"() {
    await go("#/rules");
    await page.getByText(facts.hostile, { exact: true }).waitFor();
    assert.equal(await page.locator("img").count(), 0);
    assert.notEqual(await page.title(), "1");
  },
  async "rules are searched by the server, and their counters are right"() {
    const { rules } = await get("/v1/rules");
    assert.equal(await rows("Rules").count(), rules.length);
    const hostile = rules.find(({ label }) => label === facts.hostile);
    assert.ok(hostile.packets > 0);
    assert.equal(number(await cell("Rules", facts.hostile, "packets")), hostile.packets);
    await page.keyboard.press("/");
    await page.keyboard.type("ping", { delay: 230 }); // slower than the search begins
    assert.equal(await page.locator("#search").inputValue(), "ping");
    await eventually(
      async () => (await rows("Rules").count()) === rules.filter(({ label }) => label === "ping").length,
      "the search",
    );
    assert.match(await page.evaluate(() => location.hash), /search=ping/);
    await page.keyboard.press("Escape");
    assert.notEqual(await page.evaluate(() => document.activeElement.id), "search");
    await picture("rules");
  },
  async "a column's head sorts, the largest first"() {
    await go("#/rules");
    await page.getByRole("button", { name: "Packets" }).click();
    await eventually(async () => {
      const counts = (await page.locator('table[aria-label="Rules"] td[data-column="packets"]').allInnerTexts()).map(
        number,
      );
      return counts.length > 3 && counts.every((each, i) => i === 0 || counts[i - 1] >= each);
    }, "sorted rules");
    assert.equal(
      await page
        .locator('table[aria-label="Rules"] th[aria-sort="descending"]')
        .innerText()
        .then((shown) => shown.startsWith("Packets")),
      true,
    );
  },
  async "flows are searched, and walked with the keys"() {
    await page.keyboard.press("2");
    await page.getByRole("heading", { name: "Flows" }).waitFor();
    await eventually(async () => (await rows("Flows").count()) === (await get("/v1/flows")).total, "all flows");
    await page.keyboard.press("/");
    await page.keyboard.type(`${facts.server}:7400`);
    await eventually(async () => (await rows("Flows").count()) === 1, "one flow");
    const [flow] = (await get("/v1/flows?search=:7400")).flows;
    assert.equal(await cell("Flows", ":7400", "source"), flow.source);
    assert.equal(await cell("Flows", ":7400", "packets"), `${flow.packets_out}, ${flow.packets_back}`);
    await rows("Flows").first().focus();
    await page.keyboard.press("Enter");
    assert.match(await text(".detail"), /ESTABLISHED:ESTABLISHED/);
    await page.keyboard.press("/");
    await page.keyboard.press("Control+a");
    await page.keyboard.type("no such flow");
    await page.getByText("No flow has “no such flow” in it.").waitFor();
  },
  async "keys lead through tables, to the help and back"() {
    await page.keyboard.press("Escape");
    await page.keyboard.press("3");
    await eventually(async () => (await rows("Rules").count()) > 3, "rules");
    await rows("Rules").first().focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowDown");
    assert.equal(await focusedRow(), 2);
    await page.keyboard.press("Home");
    assert.equal(await focusedRow(), 0);
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), "none");
    await page.keyboard.press("?");
    await page.getByRole("dialog", { name: "Keys" }).waitFor();
    await page.keyboard.press("5"); // nothing, while the help is open
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.match(await page.evaluate(() => location.hash), /rules/);
    await page.keyboard.press("p");
    await page.getByRole("button", { name: "paused" }).waitFor();
    await page.keyboard.press("p");
    await page.getByRole("button", { name: "live", exact: true }).waitFor();
  },
  async "log lines are there, and come as they are written"() {
    await page.keyboard.press("6");
    await page.keyboard.press("/");
    await page.keyboard.type('"dest_port":22,');
    await eventually(async () => (await rows("Log lines").count()) >= 1, "the blocked connection");
    assert.equal(await cell("Log lines", ":22", "source").then((shown) => shown.startsWith(facts.client)), true);
    await rows("Log lines").first().focus();
    await page.keyboard.press("Enter");
    assert.match(await text(".detail .raw"), /"reason": "rule_block"/);
    await picture("logs");
    await page.getByRole("link", { name: "explain this packet" }).click();
    await page.locator(".outcome").waitFor();
    assert.equal(await text(".outcome"), "block");
  },
  async "explain says what the command line says"() {
    await go("#/explain");
    await page.getByLabel("packet").fill(facts.packet);
    await page.getByRole("button", { name: "explain" }).click();
    await page.locator("#explain-text").waitFor({ state: "attached" });
    assert.equal((await page.locator("#explain-text").textContent()).trim(), facts.explained);
    assert.equal(await text(".outcome"), "block");
    await picture("explain");
    expect(/400/);
    await page.getByLabel("packet").fill("nonsense");
    await page.keyboard.press("Enter");
    assert.match(await text('main [role="alert"]'), /A packet begins with/);
  },
  async "nothing can be changed: there are no buttons, and the server refuses"() {
    await go("#/tables?table=bad");
    await page.getByRole("region", { name: "table bad" }).waitFor();
    await eventually(async () => (await rows("Entries of bad").count()) === 2, "entries");
    await page.getByLabel("address to test").fill("192.0.2.7");
    await page.keyboard.press("Enter");
    await page.getByText("no, by !192.0.2.7").waitFor();
    assert.equal(await page.getByText("read-only").count(), 1);
    assert.equal(await page.getByRole("button", { name: /add|delete|replace|empty/ }).count(), 0);
    await go("#/rules");
    await page.getByRole("heading", { name: "Versions" }).waitFor();
    assert.equal(await page.getByRole("button", { name: /apply|go back|confirm/ }).count(), 0);
    const refused = await api("/v1/tables/bad/add", { method: "POST", body: '{"entries": ["203.0.113.1"]}' });
    assert.equal(refused.status, 403);
    assert.match(refused.answer.error, /http_writes/);
  },
  async "light and dark, as the system is or as chosen; at 400 pixels nothing is cut off"() {
    await go("#/overview");
    const back = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await page.emulateMedia({ colorScheme: "light" });
    const light = await back();
    await picture("light");
    await page.emulateMedia({ colorScheme: "dark" });
    await eventually(async () => (await back()) !== light, "dark");
    const dark = await back();
    await picture("dark");
    await page.keyboard.press("t");
    await eventually(async () => (await back()) === light, "light, though the system is dark");
    await page.keyboard.press("t");
    await eventually(async () => (await back()) === dark, "dark, as chosen");
    await page.keyboard.press("t");
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize({ width: 400, height: 800 });
    for (const name of ["overview", "flows", "rules", "drops", "tables", "logs", "explain"]) {
      await go(`#/${name}`);
      await page.getByRole("heading", { level: 1, name, exact: false }).waitFor();
      assert.ok(
        await page.evaluate(
          () =>
            document.querySelector("main").scrollWidth <= innerWidth &&
            document.documentElement.scrollWidth <= innerWidth,
        ),
        `${name} is wider than the screen`,
      );
    }
    await go("#/overview");
    await picture("narrow", { width: 400, height: 860 });
    await page.setViewportSize({ width: 1280, height: 860 });
  },
  async "kill -9 of the data process is told, and survived"() {
    await go("#/overview");
    expect(/503/);
    const pid = (await get("/v1/processes")).find(({ process }) => process === "data").pid;
    process.kill(pid, "SIGKILL");
    await page.getByText(/Another data process \(\d+\) moves the packets now/).waitFor();
    await page.getByRole("button", { name: "live", exact: true }).waitFor();
    await eventually(async () => {
      const [lan] = await get("/v1/ports");
      return number(await cell("Ports", "lan", "rx_packets")) === lan.rx_packets;
    }, "counters of the new data process");
    await picture("takeover");
  },
};

const writing = {
  async "rules are applied with a way back, and confirmed"() {
    await withToken();
    assert.equal(await page.getByText("read-only").count(), 0);
    await go("#/rules");
    await page.getByRole("button", { name: "apply what is on disk …" }).click();
    const dialog = page.getByRole("dialog");
    await dialog.getByText('label "fresh"').waitFor();
    await picture("apply");
    await dialog.getByRole("button", { name: "apply" }).click();
    await page.getByText(/Version \d+ waits to be confirmed/).waitFor();
    await page.getByRole("button", { name: "confirm" }).click();
    await page.getByText(/waits to be confirmed/).waitFor({ state: "detached" });
    assert.equal((await get("/v1/history")).at(-1).waiting_s, undefined);
    await eventually(
      () =>
        page
          .locator('table[aria-label="Rules"]')
          .innerText()
          .then((shown) => shown.includes("fresh")),
      "the new rule",
    );
  },
  async "an entry is added and another deleted"() {
    await page.keyboard.press("5");
    await rows("Tables").filter({ hasText: "bad" }).focus();
    await page.keyboard.press("Enter");
    await page.getByLabel("entries", { exact: true }).fill(facts.entry);
    await page.getByRole("button", { name: "add", exact: true }).click();
    await page.getByText("It held 2 entries and holds 3 entries.").waitFor();
    await page.getByRole("button", { name: "delete 192.0.2.0/24" }).click();
    await eventually(
      async () =>
        (await rows("Entries of bad").allInnerTexts()).join().includes(facts.entry) &&
        (await rows("Entries of bad").count()) === 2,
      "the entries",
    );
    await picture("tables");
  },
  async "what is wrong in a list is said, and nothing is changed"() {
    expect(/422/);
    await page.getByLabel("entries", { exact: true }).fill("203.0.113.300");
    await page.getByRole("button", { name: "add", exact: true }).click();
    assert.match(await text('.change [role="alert"]'), /203.0.113.300/);
    assert.equal(await rows("Entries of bad").count(), 2);
  },
  async "before a table is emptied one is asked"() {
    await page.getByRole("button", { name: "empty …" }).click();
    await page.getByRole("dialog", { name: "Empty <bad>?" }).waitFor();
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    assert.equal((await get("/v1/tables/bad")).total, 2);
    await go("#/tables?table=fixed");
    await page.getByText("This table is const").waitFor();
  },
};

await run({ reading, writing });
