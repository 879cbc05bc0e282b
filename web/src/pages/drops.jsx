// Every dropped packet has one reason; here they are.

import { count, perSecond } from "../format.js";
import { goTo, useLive, useParams } from "../hooks.js";
import { difference, sum } from "../json.js";
import { Search } from "../parts.jsx";
import { DataTable } from "../table.jsx";
import { DropChart } from "./overview.jsx";

export function Drops() {
  const live = useLive();
  const [{ search = "", all = "", sort = "packets" }, setParams] = useParams();
  const text = search.toLowerCase();
  const rows = live.drops.filter(
    (drop) => (all || drop.packets > 0) && `${drop.reason} ${drop.meaning}`.toLowerCase().includes(text),
  );
  if (sort === "packets") rows.sort((a, b) => difference(b.packets, a.packets));
  const columns = [
    { key: "reason", title: "Reason", mono: true, cell: (drop) => <b>{drop.reason}</b> },
    { key: "packets", title: "Packets", align: "right", sort: "packets", cell: (drop) => count(drop.packets) },
    {
      key: "rate",
      title: "Now",
      align: "right",
      cell: (drop) => perSecond(live.rates?.get(`drop/${drop.reason}`) ?? null),
    },
    { key: "meaning", title: "Meaning", grow: true, cell: (drop) => drop.meaning },
  ];
  return (
    <>
      <div class="toolbar">
        <Search label="Search reasons" value={search} onSearch={(to) => setParams({ search: to })} />
        <label class="check">
          <input
            type="checkbox"
            checked={Boolean(all)}
            onChange={(event) => setParams({ all: event.target.checked ? "1" : "" })}
          />
          also those that did not occur
        </label>
        <span class="muted">
          {count(sum(live.drops.map((drop) => drop.packets)))} packets were dropped since the start
        </span>
      </div>
      <DropChart live={live} />
      <DataTable
        label="Drops"
        columns={columns}
        rows={rows}
        keyOf={(drop) => drop.reason}
        sort={sort}
        onSort={(by) => setParams({ sort: by || "reason" })}
        onOpen={(drop) => goTo("logs", { search: `"${drop.reason}"` })}
        empty={
          live.drops.length === 0
            ? "Not known yet."
            : search
              ? `No reason has “${search}” in it.`
              : "Nothing was dropped."
        }
      />
    </>
  );
}
