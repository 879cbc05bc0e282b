// The versions of the rules: which runs, which can be gone back to; and, where changes are allowed, the ways between them.

import { useState } from "preact/hooks";

import { count, dateTime, duration, plural } from "../format.js";
import { usePolled, useSurroundings } from "../hooks.js";
import { IfWritable, Problem, Question } from "../parts.jsx";
import { DataTable } from "../table.jsx";

const EVERY_MS = 5000;
const CONFIRM_S = 60;
const BY = { start: "start", apply: "apply", sighup: "SIGHUP", rollback: "rollback", expiry: "not confirmed in time" };

export function Versions() {
  const { api, access } = useSurroundings();
  const { data, error, again } = usePolled((signal) => api.get("/v1/history", {}, signal), EVERY_MS, []);
  const [question, setQuestion] = useState(null);
  const [problem, setProblem] = useState(null);
  const close = () => {
    setQuestion(null);
    again();
  };
  const waiting = data?.find((version) => version.waiting_s !== undefined);
  const doing = async (what) => {
    setProblem(null);
    try {
      await what();
    } catch (failed) {
      setProblem(failed);
    }
    again();
  };
  const columns = [
    {
      key: "version",
      title: "Version",
      cell: (version) => (
        <>
          {version.version}
          {version.running && <span class="badge good aside">runs</span>}
        </>
      ),
    },
    { key: "time", title: "Since", cell: (version) => dateTime(new Date(version.time * 1000)) },
    {
      key: "by",
      title: "By",
      wide: true,
      cell: (version) => `${BY[version.by] ?? version.by}${version.same_as ? `, to ${version.same_as}` : ""}`,
    },
    { key: "rules", title: "Rules", align: "right", cell: (version) => count(version.rules) },
    { key: "changed", title: "Against the one before", wide: true, cell: changesOf },
    { key: "tests", title: "Tests", align: "right", wide: true, cell: (version) => count(version.tests) },
    ...(access.may_write
      ? [
          {
            key: "back",
            title: "",
            align: "right",
            cell: (version) =>
              !version.running && (
                <button type="button" onClick={() => setQuestion(<Rollback version={version} onClose={close} />)}>
                  go back
                </button>
              ),
          },
        ]
      : []),
  ];
  return (
    <section>
      <div class="heading">
        <h2>Versions</h2>
        <IfWritable>
          <button
            type="button"
            onClick={() =>
              doing(async () => {
                const dry = await api.post("/v1/apply", { dry_run: true });
                setQuestion(<Apply dry={dry} onClose={close} />);
              })
            }
          >
            apply what is on disk …
          </button>
        </IfWritable>
      </div>
      <Problem error={problem ?? error} />
      {waiting && (
        <p class="waiting" role="status">
          Version {waiting.version} waits to be confirmed: without it the rules before come back in{" "}
          {duration(waiting.waiting_s)}.
          <IfWritable>
            <button type="button" class="primary" onClick={() => doing(() => api.post("/v1/confirm"))}>
              confirm
            </button>
            <button type="button" onClick={() => doing(() => api.post("/v1/rollback"))}>
              go back now
            </button>
          </IfWritable>
        </p>
      )}
      <DataTable
        label="Versions"
        columns={columns}
        rows={[...(data ?? [])].reverse()}
        keyOf={(version) => version.version}
        empty={data === null ? "Asking …" : "No version is kept."}
      />
      {question}
    </section>
  );
}

/** "3 added, 1 moved" */
function changesOf(version) {
  const parts = ["added", "removed", "changed", "moved"]
    .filter((change) => version[change] > 0)
    .map((change) => `${count(version[change])} ${change}`);
  return parts.join(", ") || "–";
}

function Apply({ dry, onClose }) {
  const { api } = useSurroundings();
  const [confirm, setConfirm] = useState(true);
  return (
    <Question
      title="Apply the rules on disk?"
      yes="apply"
      onClose={onClose}
      onYes={() => api.post("/v1/apply", { confirm_s: confirm ? CONFIRM_S : 0 })}
    >
      <p>
        {plural(dry.rules, "rule")}
        {dry.tests > 0 && `, and ${plural(dry.tests, "test holds", "tests hold")}`}:
      </p>
      <Difference difference={dry.difference} />
      {dry.warnings.map((warning) => (
        <p key={warning}>{warning}</p>
      ))}
      <label class="check">
        <input type="checkbox" checked={confirm} onChange={(event) => setConfirm(event.target.checked)} />
        come back to the present rules unless this is confirmed within {CONFIRM_S} s
      </label>
    </Question>
  );
}

function Rollback({ version, onClose }) {
  const { api } = useSurroundings();
  return (
    <Question
      title={`Go back to version ${version.version}?`}
      yes="go back"
      danger
      onClose={onClose}
      onYes={() => api.post("/v1/rollback", { to: version.version })}
    >
      <p>Its {plural(version.rules, "rule")} run again. The files on disk stay as they are.</p>
    </Question>
  );
}

const SIGNS = { added: "+", removed: "–", changed: "~", moved: "↕" };

function Difference({ difference }) {
  const same =
    difference.rules.length +
      difference.tables.length +
      difference.options_added.length +
      difference.options_removed.length ===
    0;
  if (same) return <p>Nothing is different from what runs.</p>;
  return (
    <ul class="difference">
      {difference.rules.map((each, i) => (
        <li key={i} class={each.change}>
          <code>
            {SIGNS[each.change]} {each.now ?? each.was}
          </code>
          {each.change === "changed" && <code class="muted">was: {each.was}</code>}
          <span class="muted small">{each.place}</span>
        </li>
      ))}
      {difference.not_listed > 0 && <li>and {count(difference.not_listed)} more</li>}
      {difference.tables.map((each) => (
        <li key={each.table} class={each.change}>
          table &lt;{each.table}&gt; {each.change}: +{count(each.entries_added)}, –{count(each.entries_removed)} entries
        </li>
      ))}
      {difference.options_added.map((each) => (
        <li key={`+${each}`} class="added">
          <code>+ {each}</code>
        </li>
      ))}
      {difference.options_removed.map((each) => (
        <li key={`-${each}`} class="removed">
          <code>– {each}</code>
        </li>
      ))}
    </ul>
  );
}
