// What the running rules do with a packet, and why.

import { useEffect, useRef, useState } from "preact/hooks";

import { plural } from "../format.js";
import { useLive, useParams, useSurroundings } from "../hooks.js";
import { Problem, Verdict } from "../parts.jsx";
import { RuleText } from "./rules.jsx";

const MOST_LISTED = 200;

export function Explain() {
  const { api } = useSurroundings();
  const live = useLive();
  const [{ packet = "" }, setParams] = useParams();
  const [text, setText] = useState(packet);
  const [said, setSaid] = useState(null);
  const latest = useRef(0);
  // The packet of the address is asked about: links lead here, and so does the form.
  useEffect(() => {
    setText(packet);
    const number = ++latest.current;
    setSaid(null);
    if (!packet) return;
    api
      .post("/v1/explain", { packet })
      .then(
        (answer) => ({ answer }),
        (error) => ({ error }),
      )
      .then((outcome) => {
        if (number === latest.current) setSaid(outcome);
      });
  }, [packet]);
  const submit = (event) => {
    event.preventDefault();
    if (text.trim() !== packet) setParams({ packet: text.trim() });
  };
  return (
    <>
      <form class="line explain" onSubmit={submit}>
        <input
          id="search"
          class="mono"
          aria-label="packet"
          placeholder="in on lan proto tcp from 10.0.0.5 port 40000 to 192.0.2.10 port 22 flags S"
          value={text}
          spellcheck={false}
          autocomplete="off"
          maxLength={1000}
          onInput={(event) => setText(event.target.value)}
        />
        <button type="submit" class="primary" disabled={!text.trim()}>
          explain
        </button>
      </form>
      <Examples ports={live.ports} onChoose={(words) => setParams({ packet: words })} />
      <Problem error={said?.error} />
      {packet && said === null && <p class="muted">Asking …</p>}
      {said?.answer && <Explanation answer={said.answer} />}
    </>
  );
}

function Examples({ ports, onChoose }) {
  if (ports.length < 2) return null;
  const [one, other] = [ports[0].port, ports[1].port];
  const examples = [
    `in on ${one} out on ${other} proto tcp from 10.0.0.5 port 40000 to 192.0.2.10 port 443 flags S`,
    `in on ${other} proto tcp from 192.0.2.10 port 40000 to 10.0.0.5 port 22 flags S`,
    `in on ${one} out on ${other} proto icmp from 10.0.0.5 to 192.0.2.10 icmp-type echoreq`,
  ];
  return (
    <p class="examples">
      Such as
      {examples.map((words) => (
        <button key={words} type="button" class="link mono" onClick={() => onChoose(words)}>
          {words}
        </button>
      ))}
    </p>
  );
}

function Explanation({ answer }) {
  return (
    <div role="status">
      <p class="outcome">
        <Verdict value={answer.verdict} />
      </p>
      {answer.steps.map((step) => (
        <Step key={step.way} step={step} />
      ))}
      <details>
        <summary>as the command line says it</summary>
        <pre class="raw" id="explain-text">
          {answer.text}
        </pre>
      </details>
    </div>
  );
}

function Step({ step }) {
  return (
    <section class="card step">
      <h2>
        {step.way}
        {step.port && ` on ${step.port}`} <Verdict value={step.verdict} />
      </h2>
      {step.drop_reason && (
        <p>
          Dropped for <b class="mono">{step.drop_reason}</b>.
        </p>
      )}
      {step.rule ? (
        <>
          <p class="muted">Decided by{step.keeps_state && ", and it makes a flow"}</p>
          <RuleText rule={step.rule} />
        </>
      ) : (
        <p>No rule matches: what no rule blocks passes, without state.</p>
      )}
      <Others title="matched too, but did not decide" rules={step.overridden} />
      <Others title="did not match" rules={step.not_matching} />
      <Others title="not reached" rules={step.not_reached} />
    </section>
  );
}

function Others({ title, rules }) {
  if (rules.length === 0) return null;
  return (
    <details>
      <summary>
        {plural(rules.length, "rule")} {title}
      </summary>
      <ul class="others">
        {rules.slice(0, MOST_LISTED).map((rule) => (
          <li key={rule.number}>
            <RuleText rule={rule} />
            {rule.why && <span class="why">{rule.why}</span>}
          </li>
        ))}
      </ul>
      {rules.length > MOST_LISTED && <p class="muted">and {rules.length - MOST_LISTED} more</p>}
    </details>
  );
}
