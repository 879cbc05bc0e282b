// Is traffic flowing, how much of it, and what is dropped: what one looks at first, and leaves open.

import { Chart } from "../chart.jsx";
import { bitRate, count, duration, percent, perSecond, short } from "../format.js";
import { useLive } from "../hooks.js";
import { difference, sum } from "../json.js";
import { Meter } from "../parts.jsx";
import { DataTable } from "../table.jsx";

const MOST_PORTS = 4; // in a chart, the busiest
const MOST_REASONS = 6;

export function Overview() {
  const live = useLive();
  const rate = (name) => live.rates?.get(name) ?? null;
  return (
    <>
      <Tiles live={live} rate={rate} />
      <div class="charts">
        <Chart
          title="Packets per second"
          times={live.history.times}
          lines={portLines(live, "packets", 1)}
          format={(value) => `${short(value)}/s`}
          quiet="No packets in the last ten minutes."
        />
        <Chart
          title="Bits per second"
          times={live.history.times}
          lines={portLines(live, "bytes", 8)}
          format={(value) => bitRate(value / 8)}
          quiet="No packets in the last ten minutes."
        />
        <Chart
          title="Flows"
          times={live.history.times}
          lines={[{ name: "live", values: live.history.column("flows"), color: 0 }]}
          format={short}
        />
        <DropChart live={live} />
      </div>
      <section>
        <h2>Ports</h2>
        <DataTable
          label="Ports"
          columns={portColumns(rate)}
          rows={live.ports}
          keyOf={(port) => port.port}
          empty="Not known yet."
        />
      </section>
      <section>
        <h2>Workers</h2>
        <DataTable
          label="Workers"
          columns={workerColumns(rate)}
          rows={live.workers}
          keyOf={(worker) => worker.worker}
          empty="Not known yet."
        />
      </section>
      <Processes live={live} />
    </>
  );
}

/** By reason, over time; the drops page has it too. */
export function DropChart({ live }) {
  const reasons = live.history
    .names()
    .filter((name) => name.startsWith("drop/"))
    .slice(0, MOST_REASONS);
  const lines = reasons.map((name, i) => ({
    name: name.slice("drop/".length),
    values: live.history.column(name),
    color: i,
  }));
  return (
    <Chart
      title="Drops per second"
      times={live.history.times}
      lines={lines}
      format={(value) => `${short(value)}/s`}
      quiet="Nothing was dropped while this page was open."
    />
  );
}

function portLines(live, what, factor) {
  const busiest =
    live.ports.length <= MOST_PORTS
      ? live.ports
      : [...live.ports].sort((a, b) => difference(b.rx_packets, a.rx_packets)).slice(0, MOST_PORTS);
  return busiest.flatMap(({ port }, i) =>
    [
      ["rx", "in"],
      ["tx", "out"],
    ].map(([way, word]) => ({
      name: `${port} ${word}`,
      color: i,
      dashed: way === "tx",
      values: live.history
        .column(`port/${port}/${way}_${what}`)
        .map((value) => (value === null ? null : value * factor)),
    })),
  );
}

function Tiles({ live, rate }) {
  const flows = sum(live.workers.map((each) => each.flows));
  const room = sum(live.workers.map((each) => each.flows_limit));
  const known = live.workers.length > 0;
  const down = live.ports.filter((port) => port.link !== "up");
  return (
    <ul class="tiles">
      <Tile label="Passed" value={perSecond(rate("passed"), "")} more={`${bitRate(rate("passed_bytes"))} of IP`} />
      <Tile
        label="Dropped"
        value={perSecond(rate("drops"))}
        more={known ? `${count(sum(live.drops.map((each) => each.packets)))} packets so far` : ""}
        link="#/drops"
      />
      <Tile
        label="Flows"
        value={known ? count(flows) : "–"}
        more={`${perSecond(rate("flows_total"))} new, room for ${known ? short(room) : "–"}`}
        link="#/flows"
      >
        <Meter part={flows} whole={room} label={`flow table, ${percent(flows, room)} full`} />
      </Tile>
      <Tile
        label="Ports"
        value={known ? `${live.ports.length - down.length} of ${live.ports.length} up` : "–"}
        bad={down.length > 0}
        more={down.length > 0 ? down.map((port) => `${port.port} is ${port.link}`).join(", ") : "all links are up"}
      />
    </ul>
  );
}

function Tile({ label, value, more, link, bad, children }) {
  return (
    <li class={`card tile${bad ? " bad" : ""}`}>
      <span class="label">{link ? <a href={link}>{label}</a> : label}</span>
      <span class="value">{value}</span>
      {children}
      <span class="more">{more}</span>
    </li>
  );
}

const portColumns = (rate) => [
  { key: "port", title: "Port", cell: (port) => <b>{port.port}</b> },
  {
    key: "interface",
    title: "Interface",
    wide: true,
    mono: true,
    cell: (port) => <span title={port.description}>{port.interface}</span>,
  },
  {
    key: "link",
    title: "Link",
    cell: (port) => <span class={`badge ${port.link === "up" ? "good" : "bad"}`}>{port.link}</span>,
  },
  {
    key: "rx_rate",
    title: "In, packets",
    align: "right",
    cell: (port) => perSecond(rate(`port/${port.port}/rx_packets`)),
  },
  {
    key: "rx_bits",
    title: "In, bits",
    align: "right",
    wide: true,
    cell: (port) => bitRate(rate(`port/${port.port}/rx_bytes`)),
  },
  {
    key: "tx_rate",
    title: "Out, packets",
    align: "right",
    cell: (port) => perSecond(rate(`port/${port.port}/tx_packets`)),
  },
  {
    key: "tx_bits",
    title: "Out, bits",
    align: "right",
    wide: true,
    cell: (port) => bitRate(rate(`port/${port.port}/tx_bytes`)),
  },
  { key: "rx_packets", title: "In so far", align: "right", wide: true, cell: (port) => count(port.rx_packets) },
  { key: "tx_packets", title: "Out so far", align: "right", wide: true, cell: (port) => count(port.tx_packets) },
  {
    key: "lost",
    title: "Ring full, no frame",
    align: "right",
    wide: true,
    cell: (port) => `${count(port.tx_ring_full)}, ${count(port.rx_no_frame)}`,
  },
];

/** Turns with packets among all turns of the last second. */
function load(rate, { worker }) {
  const turns = rate(`worker/${worker}/turns`);
  return turns === null ? "–" : percent(rate(`worker/${worker}/busy_turns`), turns || 1);
}

const workerColumns = (rate) => [
  { key: "worker", title: "Worker", cell: (each) => <b>{each.worker}</b> },
  {
    key: "rate",
    title: "Packets now",
    align: "right",
    cell: (each) => perSecond(rate(`worker/${each.worker}/packets`)),
  },
  { key: "busy", title: "Busy turns", align: "right", cell: (each) => load(rate, each) },
  { key: "flows", title: "Flows", align: "right", cell: (each) => count(each.flows) },
  { key: "packets", title: "Packets so far", align: "right", wide: true, cell: (each) => count(each.packets) },
  { key: "rejected", title: "Rejected", align: "right", wide: true, cell: (each) => count(each.rejected) },
  { key: "handed_over", title: "Handed over", align: "right", wide: true, cell: (each) => count(each.handed_over) },
  {
    key: "flows_evicted",
    title: "Flows evicted",
    align: "right",
    wide: true,
    cell: (each) => count(each.flows_evicted),
  },
  { key: "log_lost", title: "Log records lost", align: "right", wide: true, cell: (each) => count(each.log_lost) },
];

function Processes({ live }) {
  if (live.processes.length === 0) return null;
  return (
    <p class="muted processes">
      {live.processes.map(({ process, pid }) => `${process} process ${pid}`).join(" · ")}
      {live.history.times.length > 1 && ` · watched for ${duration(live.history.times.at(-1) - live.history.times[0])}`}
    </p>
  );
}
