// The tables of the rules, what they hold, and, where changes are allowed, changes of them.

import { useState } from "preact/hooks";

import { count, plural } from "../format.js";
import { useParams, usePolled, useSurroundings } from "../hooks.js";
import { IfWritable, Problem, Question, Search } from "../parts.jsx";
import { DataTable, Pages } from "../table.jsx";

const LIMIT = 200;
const EVERY_MS = 3000;

const COLUMNS = [
  { key: "table", title: "Table", cell: (table) => <b class="mono">{table.table}</b> },
  { key: "entries", title: "Entries", align: "right", cell: (table) => count(table.entries) },
  { key: "overload", title: "By overload", align: "right", cell: (table) => count(table.overload) },
  { key: "const", title: "Changes", wide: true, cell: (table) => (table.const ? "by a reload only" : "at any time") },
  { key: "changed", title: "Changed", wide: true, cell: (table) => (table.changed ? "yes" : "no") },
  { key: "file", title: "File", wide: true, mono: true, cell: (table) => table.file || "–" },
];

export function Tables() {
  const { api } = useSurroundings();
  const [{ search = "", table: name }, setParams] = useParams();
  const { data, error, again } = usePolled((signal) => api.get("/v1/tables", {}, signal), EVERY_MS, []);
  const rows = (data ?? []).filter((table) => table.table.toLowerCase().includes(search.toLowerCase()));
  const chosen = data?.find((table) => table.table === name);
  return (
    <>
      <div class="toolbar">
        <Search label="Search tables" value={search} onSearch={(text) => setParams({ search: text })} />
      </div>
      <Problem error={error} />
      <DataTable
        label="Tables"
        columns={COLUMNS}
        rows={rows}
        keyOf={(table) => table.table}
        openKey={name}
        onOpen={(table) => setParams({ table: table.table === name ? "" : table.table, offset: "" })}
        empty={data === null ? "Asking …" : data.length === 0 ? "The rules name no tables." : "No table is called so."}
      />
      {chosen && <Contents key={name} table={chosen} onChanged={again} />}
      {data && name && !chosen && <p class="problem">There is no table &lt;{name}&gt; in the rules that run.</p>}
    </>
  );
}

function Contents({ table, onChanged }) {
  const { api } = useSurroundings();
  const [{ offset = "0" }, setParams] = useParams();
  const first = Number(offset) || 0;
  const path = `/v1/tables/${encodeURIComponent(table.table)}`;
  const { data, error, again } = usePolled(
    (signal) => api.get(path, { offset: first, limit: LIMIT }, signal),
    EVERY_MS,
    [path, first],
  );
  const changed = () => {
    again();
    onChanged();
  };
  const columns = [
    { key: "entry", title: "Entry", mono: true, grow: true, cell: (each) => each.entry },
    { key: "overload", title: "", cell: (each) => (each.overload ? <span class="badge plain">overload</span> : null) },
    ...(useSurroundings().access.may_write && !table.const
      ? [
          {
            key: "delete",
            title: "",
            align: "right",
            cell: (each) => (
              <button
                type="button"
                aria-label={`delete ${each.entry}`}
                onClick={() => api.post(`${path}/delete`, { entries: [each.entry.replace(/^!/, "")] }).then(changed)}
              >
                delete
              </button>
            ),
          },
        ]
      : []),
  ];
  return (
    <section class="card contents" aria-label={`table ${table.table}`}>
      <div class="heading">
        <h2>&lt;{table.table}&gt;</h2>
        {data && (
          <Pages
            what="entries"
            offset={first}
            limit={LIMIT}
            listed={data.entries.length}
            total={data.total}
            onOffset={(to) => setParams({ offset: to || "" })}
          />
        )}
      </div>
      <Test path={path} />
      <IfWritable>
        {table.const ? (
          <p class="muted">This table is const: it changes by a reload only.</p>
        ) : (
          <Change table={table} path={path} onChanged={changed} />
        )}
      </IfWritable>
      <Problem error={error} />
      <DataTable
        label={`Entries of ${table.table}`}
        columns={columns}
        rows={data?.entries ?? []}
        keyOf={(each) => `${each.overload} ${each.entry}`}
        empty={data === null ? "Asking …" : "It is empty."}
      />
    </section>
  );
}

function Test({ path }) {
  const { api } = useSurroundings();
  const [address, setAddress] = useState("");
  const [said, setSaid] = useState(null);
  const test = async (event) => {
    event.preventDefault();
    try {
      setSaid({ answer: await api.get(`${path}/test`, { address: address.trim() }) });
    } catch (error) {
      setSaid({ error });
    }
  };
  return (
    <form class="line" onSubmit={test}>
      <input
        class="mono"
        aria-label="address to test"
        placeholder="does it hold this address?"
        value={address}
        spellcheck={false}
        autocomplete="off"
        maxLength={60}
        onInput={(event) => setAddress(event.target.value)}
      />
      <button type="submit" disabled={!address.trim()}>
        test
      </button>
      <Problem error={said?.error} />
      {said?.answer && (
        <output>
          <Answer answer={said.answer} />
        </output>
      )}
    </form>
  );
}

function Answer({ answer }) {
  const by = answer.entry !== null ? `, by ${answer.entry}` : answer.overload ? ", by overload" : "";
  return (
    <>
      <b class={answer.matches ? "good" : "bad"}>{answer.matches ? "yes" : "no"}</b>
      {by} <span class="muted mono">{answer.address}</span>
    </>
  );
}

function Change({ table, path, onChanged }) {
  const { api } = useSurroundings();
  const [text, setText] = useState("");
  const [save, setSave] = useState(false);
  const [error, setError] = useState(null);
  const [done, setDone] = useState("");
  const [question, setQuestion] = useState(null);
  const entries = text.split(/[\s,]+/).filter(Boolean);
  const change = async (op) => {
    setError(null);
    setDone("");
    const answer = await api.post(`${path}/${op}`, op === "flush" ? { save } : { entries, save });
    setText("");
    setDone(
      `It held ${plural(answer.before, "entry", "entries")} and holds ${plural(answer.entries, "entry", "entries")}${answer.saved ? ", saved to its file" : ""}.`,
    );
    onChanged();
  };
  const at_once = (op) => change(op).catch(setError);
  const ask = (op, title, children) =>
    setQuestion(
      <Question title={title} yes={op} danger onClose={() => setQuestion(null)} onYes={() => change(op)}>
        {children}
      </Question>,
    );
  return (
    <form
      class="change"
      onSubmit={(event) => {
        event.preventDefault();
        at_once("add");
      }}
    >
      <textarea
        class="mono"
        rows={2}
        aria-label="entries"
        placeholder="addresses, prefixes or ranges: 192.0.2.0/24 !192.0.2.1"
        value={text}
        spellcheck={false}
        onInput={(event) => setText(event.target.value)}
      />
      <div class="buttons">
        <button type="submit" class="primary" disabled={entries.length === 0}>
          add
        </button>
        <button type="button" disabled={entries.length === 0} onClick={() => at_once("delete")}>
          delete
        </button>
        <button
          type="button"
          disabled={entries.length === 0}
          onClick={() =>
            ask(
              "replace",
              `Replace all of <${table.table}>?`,
              <p>
                {plural(table.entries, "entry goes", "entries go")}, {plural(entries.length, "comes", "come")}.
              </p>,
            )
          }
        >
          replace all …
        </button>
        <button
          type="button"
          class="danger"
          onClick={() =>
            ask("flush", `Empty <${table.table}>?`, <p>{plural(table.entries, "entry goes", "entries go")}.</p>)
          }
        >
          empty …
        </button>
        {table.file && (
          <label class="check">
            <input type="checkbox" checked={save} onChange={(event) => setSave(event.target.checked)} />
            and save to {table.file}
          </label>
        )}
      </div>
      <Problem error={error} />
      {done && (
        <p role="status" class="done">
          {done}
        </p>
      )}
      {question}
    </form>
  );
}
