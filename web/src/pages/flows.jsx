// Live flows: searched, sorted and cut to a page by the server, which may have millions.

import { useState } from "preact/hooks";

import { bitRate, bytes, count, duration } from "../format.js";
import { sum } from "../json.js";
import { formatRoute } from "../router.js";
import { ServerList } from "../server_list.jsx";
import { shortPlace } from "./rules.jsx";

const LIMIT = 100;

const COLUMNS = [
  { key: "proto", title: "Proto", cell: (flow) => flow.proto },
  { key: "source", title: "From", mono: true, cell: (flow) => flow.source },
  { key: "destination", title: "To", mono: true, cell: (flow) => flow.destination },
  { key: "state", title: "State", wide: true, cell: (flow) => <span class="small">{flow.state}</span> },
  // Told by the server in that order only: it looks for the busiest then.
  { key: "rate", title: "Now", align: "right", sort: "rate", cell: (flow) => bitRate(flow.bytes_per_s) },
  {
    key: "packets",
    title: "Packets →, ←",
    align: "right",
    sort: "packets",
    cell: (flow) => `${count(flow.packets_out)}, ${count(flow.packets_back)}`,
  },
  {
    key: "bytes",
    title: "Bytes",
    align: "right",
    sort: "bytes",
    cell: (flow) => bytes(sum([flow.bytes_out, flow.bytes_back])),
  },
  { key: "age", title: "Age", align: "right", wide: true, sort: "age", cell: (flow) => duration(flow.age_s) },
  { key: "idle", title: "Idle", align: "right", wide: true, cell: (flow) => duration(flow.idle_s) },
  {
    key: "rule",
    title: "Rule",
    wide: true,
    mono: true,
    cell: (flow) =>
      flow.rule ? <a href={formatRoute("rules", { search: flow.rule })}>{flow.label || shortPlace(flow.rule)}</a> : "–",
  },
];

const keyOf = (flow) => `${flow.proto} ${flow.source} ${flow.destination}`;

export function Flows() {
  const [open, setOpen] = useState(undefined);
  return (
    <ServerList
      what="flows"
      one="flow"
      limit={LIMIT}
      label="Flows"
      columns={() => COLUMNS}
      keyOf={keyOf}
      onOpen={(flow) => setOpen(open === keyOf(flow) ? undefined : keyOf(flow))}
      openKey={open}
      detail={(flow) => <Details flow={flow} />}
    />
  );
}

function Details({ flow }) {
  return (
    <dl class="details">
      <dt>State</dt>
      <dd>{flow.state}</dd>
      <dt>There</dt>
      <dd>
        {count(flow.packets_out)} packets, {count(flow.bytes_out)} bytes
      </dd>
      <dt>Back</dt>
      <dd>
        {count(flow.packets_back)} packets, {count(flow.bytes_back)} bytes
      </dd>
      <dt>Began</dt>
      <dd>
        {duration(flow.age_s)} ago; last packet {duration(flow.idle_s)} ago; ends in {duration(flow.expires_s)} if none
        comes
      </dd>
      <dt>Rule</dt>
      <dd>
        {flow.rule ? (
          <a href={formatRoute("rules", { search: flow.rule })}>
            {flow.rule}
            {flow.label && ` “${flow.label}”`}
          </a>
        ) : (
          "not yet judged by the present rules"
        )}
      </dd>
    </dl>
  );
}
