// Rules in the order of evaluation with what they have counted, and the versions they came in by.

import { useRef } from "preact/hooks";

import { bytes, count, perSecond } from "../format.js";
import { goTo, useParams, usePolled, useSurroundings } from "../hooks.js";
import { Problem, Search } from "../parts.jsx";
import { Rates } from "../rates.js";
import { DataTable, Pages } from "../table.jsx";
import { Versions } from "./versions.jsx";

const LIMIT = 200;
const EVERY_MS = 2000;

const keyOf = (rule) => `${rule.rule} ${rule.text}`;

export function Rules() {
  const { api } = useSurroundings();
  const [{ search = "", sort = "", offset = "0" }, setParams] = useParams();
  const first = Number(offset) || 0;
  const rates = useRef(new Rates());
  const { data, error } = usePolled(
    async (signal) => {
      const answer = await api.get("/v1/rules", { search, sort, offset: first, limit: LIMIT }, signal);
      return {
        ...answer,
        rates: rates.current.add(Date.now(), new Map(answer.rules.map((rule) => [keyOf(rule), rule.packets]))),
      };
    },
    EVERY_MS,
    [search, sort, first],
  );
  return (
    <>
      <div class="toolbar">
        <Search label="Search rules" value={search} onSearch={(text) => setParams({ search: text, offset: "" })} />
        {data && (
          <Pages
            what="rules"
            offset={first}
            limit={LIMIT}
            listed={data.rules.length}
            total={data.total}
            onOffset={(to) => setParams({ offset: to || "" })}
          />
        )}
      </div>
      <Problem error={error} />
      <DataTable
        label="Rules"
        columns={columnsWith(data?.rates)}
        rows={data?.rules ?? []}
        keyOf={keyOf}
        sort={sort}
        onSort={(by) => setParams({ sort: by, offset: "" })}
        onOpen={(rule) => goTo("flows", { search: rule.place })}
        empty={data === null ? "Asking …" : search ? `No rule has “${search}” in it.` : "No rules."}
      />
      <Versions />
    </>
  );
}

const columnsWith = (rates) => [
  { key: "rule", title: "#", align: "right", wide: true, cell: (rule) => <span class="muted">{rule.rule}</span> },
  { key: "text", title: "Rule", grow: true, cell: (rule) => <RuleText rule={rule} /> },
  { key: "packets", title: "Packets", align: "right", sort: "packets", cell: (rule) => count(rule.packets) },
  { key: "rate", title: "Now", align: "right", cell: (rule) => perSecond(rates?.get(keyOf(rule)) ?? null) },
  { key: "bytes", title: "Bytes", align: "right", wide: true, sort: "bytes", cell: (rule) => bytes(rule.bytes) },
  { key: "states", title: "Flows", align: "right", wide: true, sort: "states", cell: (rule) => count(rule.states) },
  {
    key: "states_total",
    title: "Ever made",
    align: "right",
    wide: true,
    sort: "states_total",
    cell: (rule) => count(rule.states_total),
  },
];

/** "/etc/ringplane/pf.conf:7" -> "pf.conf:7" */
export const shortPlace = (place) => place.slice(place.lastIndexOf("/") + 1);

/** A rule as it is after expansion, coloured by what it does, and where it stands. */
export function RuleText({ rule }) {
  const [, action, rest] = /^(\w+)(.*)$/s.exec(rule.text) ?? [null, "", rule.text];
  return (
    <div class="rule">
      <code>
        <b class={`action ${action === "pass" ? "good" : action === "block" ? "bad" : ""}`}>{action}</b>
        {rest}
      </code>
      <span class="muted small">
        <span title={rule.place}>{shortPlace(rule.place)}</span>
        {rule.label && (
          <>
            {" "}
            · <span class="label-of-rule">{rule.label}</span>
          </>
        )}
      </span>
    </div>
  );
}
