// Log lines as they come: the last thousand that the data process remembers, and those that come while one looks.

import { useEffect, useRef, useState } from "preact/hooks";

import { clock, count, plural } from "../format.js";
import { useLive, useParams, useSurroundings } from "../hooks.js";
import { LogTail, packetWords } from "../log_tail.js";
import { Problem, Search, Verdict } from "../parts.jsx";
import { formatRoute } from "../router.js";
import { DataTable } from "../table.jsx";
import { shortPlace } from "./rules.jsx";

const EVERY_MS = 1000;
const SHOWN = 300; // the others are found by searching

const endpoint = (address, port) =>
  address === undefined
    ? "–"
    : port === undefined
      ? address
      : address.includes(":")
        ? `[${address}]:${port}`
        : `${address}:${port}`;

const COLUMNS = [
  {
    key: "time",
    title: "Time",
    cell: ({ event }) => (
      <time dateTime={event.timestamp} title={event.timestamp}>
        {clock(new Date(event.timestamp))}
      </time>
    ),
  },
  { key: "verdict", title: "What", cell: ({ event }) => <Verdict value={event.verdict ?? event.event_type} /> },
  { key: "in", title: "In", wide: true, mono: true, cell: ({ event }) => event.in_iface },
  { key: "proto", title: "Proto", wide: true, cell: ({ event }) => event.proto ?? "–" },
  { key: "source", title: "From", mono: true, cell: ({ event }) => endpoint(event.src_ip, event.src_port) },
  { key: "destination", title: "To", mono: true, cell: ({ event }) => endpoint(event.dest_ip, event.dest_port) },
  {
    key: "why",
    title: "Why",
    grow: true,
    cell: ({ event }) => event.drop?.reason ?? (event.flow ? `${event.flow.state}, ${event.flow.reason}` : ""),
  },
  {
    key: "rule",
    title: "Rule",
    wide: true,
    mono: true,
    cell: ({ event }) => event.firewall?.label || shortPlace(event.firewall?.rule ?? ""),
  },
];

export function Logs() {
  const { api } = useSurroundings();
  const live = useLive();
  const [{ search = "" }, setParams] = useParams();
  const [open, setOpen] = useState(undefined);
  const [error, setError] = useState(null);
  const [, draw] = useState(0);
  const tail = useRef(null);
  useEffect(() => {
    const aborter = new AbortController();
    tail.current = new LogTail((after) => api.get("/v1/logs", { after, search }, aborter.signal));
    let timer = null;
    const turn = async () => {
      if (!live.paused && !document.hidden) {
        try {
          await tail.current.ask();
          setError(null);
        } catch (failed) {
          if (!aborter.signal.aborted) setError(failed);
        }
        if (!aborter.signal.aborted) draw((times) => times + 1);
      }
      if (!aborter.signal.aborted) timer = setTimeout(turn, EVERY_MS);
    };
    turn();
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, [search]);
  const lines = tail.current?.lines ?? [];
  return (
    <>
      <div class="toolbar">
        <Search label="Search lines" value={search} onSearch={(text) => setParams({ search: text })} />
        <span class="muted">
          {plural(lines.length, "line")}, the newest{lines.length > SHOWN ? ` ${SHOWN}` : ""} first
          {tail.current?.missed > 0 && `; ${count(tail.current.missed)} were gone before they were seen`}
        </span>
      </div>
      <Problem error={error} />
      <DataTable
        label="Log lines"
        columns={COLUMNS}
        rows={lines.slice(0, SHOWN)}
        keyOf={(line) => line.key}
        openKey={open}
        onOpen={(line) => setOpen(open === line.key ? undefined : line.key)}
        detail={(line) => <Raw line={line} ports={live.ports} />}
        empty={
          !tail.current?.asked
            ? "Asking …"
            : search
              ? `No line has “${search}” in it.`
              : "No line was written yet: dropped packets, and those of rules with “log”, make some."
        }
      />
    </>
  );
}

function Raw({ line, ports }) {
  const words = packetWords(line.event, ports);
  return (
    <>
      <pre class="raw">{line.event.event_type === undefined ? line.text : JSON.stringify(line.event, null, 1)}</pre>
      {words && <a href={formatRoute("explain", { packet: words })}>explain this packet</a>}
    </>
  );
}
