// Lines of the log, followed: asked for behind the last one that is known, the newest first, and not for ever.

import { parseJson } from "./json.js";

const MOST = 1000;

export class LogTail {
  #ask;
  #after = 0;
  #process = null;

  lines = []; // {key, text, event}, the newest first
  missed = 0; // gone in the data process before they were asked for
  asked = false;

  /** `ask`(after) gives an answer of /v1/logs. */
  constructor(ask) {
    this.#ask = ask;
  }

  async ask() {
    let answer = await this.#ask(this.#after);
    if (this.#process !== null && answer.data_pid !== this.#process) {
      // Another data process counts from one again.
      this.#after = 0;
      answer = await this.#ask(0);
    }
    const isFirst = this.#process === null;
    this.#process = answer.data_pid;
    if (!isFirst) this.missed += Number(answer.overwritten);
    this.#after = answer.last;
    const fresh = answer.lines.map(({ number, line }) => readLine(`${answer.data_pid}.${number}`, line)).reverse();
    this.lines = [...fresh, ...this.lines].slice(0, MOST);
    this.asked = true;
  }
}

/** {key, text, event}: what the line says; an empty event for what is no JSON object. */
function readLine(key, text) {
  let event = null;
  try {
    event = parseJson(text);
  } catch {
    // shown as it is
  }
  return { key, text, event: event !== null && typeof event === "object" ? event : {} };
}

/** A line's packet in the words of `ringplane explain`; null if it has no addresses, or came in by an unknown port. */
export function packetWords(event, ports) {
  const port = ports.find((each) => each.interface === event.in_iface)?.port;
  if (port === undefined || event.src_ip === undefined) return null;
  const others = ports.filter((each) => each.port !== port);
  const way =
    others.length === 1 && event.verdict === "pass" ? `in on ${port} out on ${others[0].port}` : `in on ${port}`;
  const from = `from ${event.src_ip}${event.src_port === undefined ? "" : ` port ${event.src_port}`}`;
  const to = `to ${event.dest_ip}${event.dest_port === undefined ? "" : ` port ${event.dest_port}`}`;
  const proto = event.proto === "ipv6-icmp" ? "icmp6" : event.proto;
  const flags = event.proto === "tcp" ? " flags S" : "";
  const family = event.src_ip.includes(":") ? "inet6 " : "";
  return `${way} ${family}proto ${proto} ${from} ${to}${flags}`;
}
