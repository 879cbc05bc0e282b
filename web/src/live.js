// What every page sees: ports, drops, workers and processes, asked for once a second while the tab is looked at, the
// rates between two answers, and ten minutes of these. Goes on by itself when either process comes back.

import { sum } from "./json.js";
import { History, LONGEST_STEP_MS, Rates } from "./rates.js";

export const STEP_MS = 1000;
const KEPT = 600; // samples: ten minutes

export class Live {
  #api;
  #listeners = new Set();
  #rates = new Rates();
  #timer = null;
  #running = false;
  #asking = false;
  #told = null; // pids of the last answer

  /** state: "connecting", "live", "no-data" (the data process does not live), "unreachable" */
  state = "connecting";
  why = "";
  paused = false;
  ports = [];
  drops = [];
  workers = [];
  processes = [];
  /** Map of "port/lan/rx_packets", "drop/rule_block", "worker/0/busy_turns", ... to numbers per second; null: not known. */
  rates = null;
  history = new History(KEPT);
  /** What has happened while one looked: {time, text}; the newest first. */
  notices = [];
  /** Called when somebody answers again, or another process does. */
  onReturn = () => {};

  constructor(api, { now = () => Date.now() } = {}) {
    this.#api = api;
    this.now = now;
  }

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start() {
    this.#running = true;
    this.#schedule(0);
  }

  stop() {
    this.#running = false;
    clearTimeout(this.#timer);
  }

  /** Also for a tab that is not looked at. */
  setPaused(paused) {
    this.paused = paused;
    this.#tell();
    if (!paused) this.#schedule(0);
  }

  notice(text) {
    this.notices = [{ time: new Date(this.now()), text }, ...this.notices].slice(0, 5);
    this.#tell();
  }

  dismiss(notice) {
    this.notices = this.notices.filter((each) => each !== notice);
    this.#tell();
  }

  #schedule(afterMs) {
    clearTimeout(this.#timer);
    if (this.#running) this.#timer = setTimeout(() => this.#turn(), afterMs);
  }

  async #turn() {
    if (this.#asking) return;
    const began = this.now();
    if (!this.paused && !globalThis.document?.hidden) {
      this.#asking = true;
      try {
        await this.ask();
      } finally {
        this.#asking = false;
      }
    }
    this.#schedule(Math.max(100, STEP_MS - (this.now() - began)));
  }

  /** One round of questions. */
  async ask() {
    try {
      const [ports, drops, workers, processes] = await Promise.all(
        ["/v1/ports", "/v1/drops", "/v1/workers", "/v1/processes"].map((path) => this.#api.get(path)),
      );
      this.#take({ ports, drops, workers, processes });
    } catch (error) {
      this.#fail(error);
    }
    this.#tell();
  }

  #take(answers) {
    const timeMs = this.now();
    const isBack = this.state === "unreachable";
    const isOther = this.#compareProcesses(answers.processes);
    Object.assign(this, answers, { state: "live", why: "" });
    if (isBack || isOther) this.onReturn();
    this.rates = this.#rates.add(timeMs, countersOf(answers));
    const times = this.history.times;
    const last = times.at(-1);
    if (last !== undefined && timeMs / 1000 - last > LONGEST_STEP_MS / 1000) this.history.addGap(timeMs / 1000 - 0.001);
    this.history.add(
      timeMs / 1000,
      new Map([...(this.rates ?? []), ["flows", Number(sum(answers.workers.map((each) => each.flows)))]]),
    );
  }

  /** Tells of those that have changed; true: some have. */
  #compareProcesses(processes) {
    const pids = Object.fromEntries(processes.map(({ process, pid }) => [process, pid]));
    const before = this.#told;
    this.#told = pids;
    if (before === null) return false;
    if (pids.control !== before.control) this.notice(`Another control process (${pids.control}) answers now.`);
    if (pids.data !== undefined && pids.data !== before.data)
      this.notice(
        `Another data process (${pids.data}) moves the packets now${before.data === undefined ? "" : `; ${before.data} has gone`}.`,
      );
    return pids.control !== before.control || pids.data !== before.data;
  }

  #fail(error) {
    if (error.status === 401) return; // the page asks for the token
    const state = error.status === 0 ? "unreachable" : "no-data";
    if (this.state === "live") this.history.addGap(this.now() / 1000);
    this.#rates.forget();
    Object.assign(this, { state, why: error.message, rates: null });
  }

  #tell() {
    for (const listener of this.#listeners) listener();
  }
}

/** All counters of one round by name. */
export function countersOf({ ports, drops, workers }) {
  const counters = new Map();
  for (const port of ports) {
    for (const name of ["rx_packets", "tx_packets", "rx_bytes", "tx_bytes"])
      counters.set(`port/${port.port}/${name}`, port[name]);
  }
  for (const drop of drops) counters.set(`drop/${drop.reason}`, drop.packets);
  for (const worker of workers) {
    for (const name of ["packets", "turns", "busy_turns", "flows_total"])
      counters.set(`worker/${worker.worker}/${name}`, worker[name]);
  }
  counters.set("drops", sum(drops.map((each) => each.packets)));
  for (const name of ["passed", "passed_bytes", "flows_total"])
    counters.set(name, sum(workers.map((each) => each[name])));
  return counters;
}
