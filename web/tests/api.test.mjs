import assert from "node:assert/strict";
import { test } from "node:test";

import { Api } from "../src/api.js";
import { Live } from "../src/live.js";
import { LogTail, packetWords } from "../src/log_tail.js";

class Storage {
  #kept = new Map();
  getItem = (key) => this.#kept.get(key) ?? null;
  setItem = (key, value) => this.#kept.set(key, value);
  removeItem = (key) => this.#kept.delete(key);
}

const answer = (status, body) => ({
  ok: status === 200,
  status,
  text: async () => (typeof body === "string" ? body : JSON.stringify(body)),
});

function apiWith(fetch) {
  const told = [];
  const api = new Api({ storage: new Storage(), fetch, onRefused: (sentence) => told.push(sentence) });
  return { api, told };
}

test("the token goes into a header, and is forgotten when it is refused", async () => {
  const asked = [];
  const { api, told } = apiWith(async (path, words) => {
    asked.push([path, words.headers.Authorization, words.credentials]);
    return words.headers.Authorization === "Bearer good"
      ? answer(200, { x: 1 })
      : answer(401, { error: "that is not the token" });
  });
  api.setToken("good");
  assert.deepEqual(await api.get("/v1/ports", { limit: 5 }), { x: 1 });
  api.setToken("bad");
  await assert.rejects(api.get("/v1/ports"), { status: 401, message: "That is not the token" });
  assert.deepEqual(told, ["That is not the token"]);
  assert.equal(api.hasToken, false);
  await assert.rejects(api.get("/v1/ports"));
  assert.deepEqual(asked, [
    ["/v1/ports?limit=5", "Bearer good", "omit"],
    ["/v1/ports", "Bearer bad", "omit"],
    ["/v1/ports", undefined, "omit"],
  ]);
});

test("whatever goes wrong is a sentence", async () => {
  const broken = apiWith(async () => {
    throw new TypeError("fetch failed");
  }).api;
  await assert.rejects(broken.get("/"), { status: 0, message: "The control process does not answer." });
  const html = apiWith(async () => answer(502, "<html>")).api;
  await assert.rejects(html.get("/"), { status: 502, message: "The answer is 502." });
  const odd = apiWith(async () => answer(500, { error: { toString: 1 } })).api;
  await assert.rejects(odd.get("/"), { message: "The answer is 500." });
});

function liveWith() {
  const world = { down: false, status: 200, data: 20, control: 10, packets: 0, time: 0 };
  const api = {
    get: async (path) => {
      if (world.down) throw Object.assign(new Error("The control process does not answer."), { status: 0 });
      if (world.status !== 200) throw Object.assign(new Error("No data process lives"), { status: world.status });
      return {
        "/v1/ports": [{ port: "lan", link: "up", rx_packets: world.packets, rx_bytes: 0, tx_packets: 0, tx_bytes: 0 }],
        "/v1/drops": [{ reason: "rule_block", packets: world.packets }],
        "/v1/workers": [
          {
            worker: 0,
            packets: world.packets,
            passed: 0,
            passed_bytes: 0,
            flows: 3,
            flows_limit: 10,
            flows_total: 3,
            turns: 1,
            busy_turns: 1,
          },
        ],
        "/v1/processes": [
          { process: "control", pid: world.control },
          { process: "data", pid: world.data },
        ],
      }[path];
    },
  };
  return { world, live: new Live(api, { now: () => world.time }) };
}

test("rates come from successive answers, and begin anew when counters do", async () => {
  const { world, live } = liveWith();
  const step = async (packets) => {
    world.packets = packets;
    world.time += 1000;
    await live.ask();
    return live.rates?.get("port/lan/rx_packets") ?? null;
  };
  assert.equal(await step(100), null);
  assert.equal(await step(150), 50);
  assert.equal(live.rates.get("drops"), 50);
  assert.equal(await step(10), null);
  assert.equal(await step(15), 5);
  assert.deepEqual(live.history.column("port/lan/rx_packets"), [null, 50, null, 5]);
  assert.deepEqual(live.history.column("flows"), [3, 3, 3, 3]);
});

test("deaths are told, and the page goes on by itself", async () => {
  const { world, live } = liveWith();
  let returns = 0;
  live.onReturn = () => ++returns;
  await live.ask();
  world.status = 503;
  await live.ask();
  assert.deepEqual([live.state, live.why, live.rates], ["no-data", "No data process lives", null]);
  Object.assign(world, { status: 200, data: 21 });
  await live.ask();
  assert.equal(live.state, "live");
  assert.match(live.notices[0].text, /Another data process \(21\)/);
  assert.equal(returns, 1);
  world.down = true;
  await live.ask();
  assert.equal(live.state, "unreachable");
  Object.assign(world, { down: false, control: 11 });
  await live.ask();
  assert.match(live.notices[0].text, /Another control process \(11\)/);
  assert.equal(returns, 2);
  live.dismiss(live.notices[0]);
  assert.equal(live.notices.length, 1);
});

test("a tail sees each line once, and begins anew with another data process", async () => {
  let process = 1;
  let all = ["a", "b"];
  const tail = new LogTail(async (after) => ({
    lines: all.map((line, i) => ({ number: i + 1, line })).filter(({ number }) => number > after),
    last: all.length,
    overwritten: 0,
    data_pid: process,
  }));
  const texts = async () => {
    await tail.ask();
    return tail.lines.map((line) => line.text);
  };
  assert.deepEqual(await texts(), ["b", "a"]);
  assert.deepEqual(await texts(), ["b", "a"]);
  all.push("c");
  assert.deepEqual(await texts(), ["c", "b", "a"]);
  [process, all] = [2, ["x", "y", "z", "w"]];
  assert.deepEqual(await texts(), ["w", "z", "y", "x", "c", "b", "a"]);
  assert.equal(new Set(tail.lines.map((line) => line.key)).size, 7);
});

test("a line's packet can be asked about", () => {
  const ports = [
    { port: "lan", interface: "eth1" },
    { port: "wan", interface: "eth2" },
  ];
  const event = {
    in_iface: "eth1",
    src_ip: "10.0.0.5",
    src_port: 4000,
    dest_ip: "192.0.2.1",
    dest_port: 22,
    proto: "tcp",
    verdict: "drop",
  };
  assert.equal(packetWords(event, ports), "in on lan proto tcp from 10.0.0.5 port 4000 to 192.0.2.1 port 22 flags S");
  assert.equal(
    packetWords(
      { in_iface: "eth1", src_ip: "fd00::1", dest_ip: "fd00::2", proto: "ipv6-icmp", verdict: "pass" },
      ports,
    ),
    "in on lan out on wan inet6 proto icmp6 from fd00::1 to fd00::2",
  );
  assert.equal(packetWords({ in_iface: "eth9", src_ip: "10.0.0.5" }, ports), null);
});

test("a line that is no JSON object is shown as it is", async () => {
  const lines = ["no JSON", "null", '{"proto":"udp"}'].map((line, i) => ({ number: i + 1, line }));
  const tail = new LogTail(async () => ({ lines, last: 3, overwritten: 0, data_pid: 1 }));
  await tail.ask();
  assert.deepEqual(
    tail.lines.map(({ text, event }) => [text, event]),
    [
      ['{"proto":"udp"}', { proto: "udp" }],
      ["null", {}],
      ["no JSON", {}],
    ],
  );
});
