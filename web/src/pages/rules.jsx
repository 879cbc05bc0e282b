// Rules in the order of evaluation with what they have counted, and the versions they came in by.

import { useRef } from "preact/hooks";

import { bytes, count, perSecond } from "../format.js";
import { goTo } from "../hooks.js";
import { Rates } from "../rates.js";
import { ServerList } from "../server_list.jsx";
import { Versions } from "./versions.jsx";

const LIMIT = 200;

const keyOf = (rule) => `${rule.rule} ${rule.text}`;

export function Rules() {
  const rates = useRef(new Rates());
  return (
    <>
      <ServerList
        what="rules"
        one="rule"
        limit={LIMIT}
        label="Rules"
        columns={(answer) => columnsWith(answer?.rates)}
        prepare={(answer) => ({
          ...answer,
          rates: rates.current.add(Date.now(), new Map(answer.rules.map((rule) => [keyOf(rule), rule.packets]))),
        })}
        keyOf={keyOf}
        onOpen={(rule) => goTo("flows", { search: rule.place })}
      />
      <Versions />
    </>
  );
}

const columnsWith = (rates) => [
  { key: "rule", title: "#", align: "right", wide: true, cell: (rule) => <span class="muted">{rule.rule}</span> },
  { key: "text", title: "Rule", grow: true, cell: (rule) => <RuleText rule={rule} /> },
  { key: "packets", title: "Packets", align: "right", sort: "packets", cell: (rule) => count(rule.packets) },
  {
    key: "rate",
    title: "Now",
    align: "right",
    sort: "packet_rate",
    // The server tells it in that order only.
    cell: (rule) => perSecond(rule.packets_per_s ?? rates?.get(keyOf(rule)) ?? null),
  },
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
