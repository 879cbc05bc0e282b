// Live flows: searched, sorted and cut to a page by the server, which may have millions.

import { useState } from "preact/hooks";

import { bytes, count, duration } from "../format.js";
import { useParams, usePolled, useSurroundings } from "../hooks.js";
import { sum } from "../json.js";
import { Problem, Search } from "../parts.jsx";
import { formatRoute } from "../router.js";
import { DataTable, Pages } from "../table.jsx";
import { shortPlace } from "./rules.jsx";

const LIMIT = 100;
const EVERY_MS = 2000;

const COLUMNS = [
  { key: "proto", title: "Proto", cell: (flow) => flow.proto },
  { key: "source", title: "From", mono: true, cell: (flow) => flow.source },
  { key: "destination", title: "To", mono: true, cell: (flow) => flow.destination },
  { key: "state", title: "State", wide: true, cell: (flow) => <span class="small">{flow.state}</span> },
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
  const { api } = useSurroundings();
  const [{ search = "", sort = "", offset = "0" }, setParams] = useParams();
  const [open, setOpen] = useState(undefined);
  const first = Number(offset) || 0;
  const { data, error } = usePolled(
    (signal) => api.get("/v1/flows", { search, sort, offset: first, limit: LIMIT }, signal),
    EVERY_MS,
    [search, sort, first],
  );
  return (
    <>
      <div class="toolbar">
        <Search label="Search flows" value={search} onSearch={(text) => setParams({ search: text, offset: "" })} />
        {data && (
          <Pages
            what="flows"
            offset={first}
            limit={LIMIT}
            listed={data.flows.length}
            total={data.total}
            onOffset={(to) => setParams({ offset: to || "" })}
          />
        )}
      </div>
      <Problem error={error} />
      <DataTable
        label="Flows"
        columns={COLUMNS}
        rows={data?.flows ?? []}
        keyOf={keyOf}
        sort={sort}
        onSort={(by) => setParams({ sort: by, offset: "" })}
        onOpen={(flow) => setOpen(open === keyOf(flow) ? undefined : keyOf(flow))}
        openKey={open}
        detail={(flow) => <Details flow={flow} />}
        empty={data === null ? "Asking …" : search ? `No flow has “${search}” in it.` : "No flows."}
      />
    </>
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
