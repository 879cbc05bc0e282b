// The frame of the page: who may look, which page is shown, what keys do, and whether anybody answers.

import "uplot/dist/uPlot.min.css";
import "./app.css";

import { render } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Api } from "./api.js";
import { clock } from "./format.js";
import { Surroundings, goTo, useLive, useRoute, useSurroundings } from "./hooks.js";
import { KEYS, actionOf } from "./keys.js";
import { Live } from "./live.js";
import { Drops } from "./pages/drops.jsx";
import { Explain } from "./pages/explain.jsx";
import { Flows } from "./pages/flows.jsx";
import { Logs } from "./pages/logs.jsx";
import { Overview } from "./pages/overview.jsx";
import { Rules } from "./pages/rules.jsx";
import { Tables } from "./pages/tables.jsx";
import { Problem } from "./parts.jsx";
import { PAGES, formatRoute, tokenIn } from "./router.js";
import { Theme } from "./theme.js";

const VIEWS = {
  overview: Overview,
  flows: Flows,
  rules: Rules,
  drops: Drops,
  tables: Tables,
  logs: Logs,
  explain: Explain,
};
const RETRY_MS = 1000;
const titleOf = (page) => page[0].toUpperCase() + page.slice(1);

/** Whether this is the one who may ask: access is null while nobody knows, {known: false} while the token is missing. */
function App({ api, theme }) {
  const route = useRoute();
  const [access, setAccess] = useState(null);
  const [refused, setRefused] = useState(null);
  const [, draw] = useState(0);
  const live = useMemo(() => new Live(api), [api]);
  theme.onChange = () => draw((times) => times + 1);
  api.onRefused = (sentence) => {
    setRefused(sentence);
    setAccess({ known: false });
  };
  const askAccess = async () => {
    try {
      const answer = await api.get("/v1/access");
      setAccess((before) => {
        if (before?.version && answer.version && answer.version !== before.version)
          live.notice(`Version ${answer.version} answers now: reload the page for its dashboard.`);
        return answer;
      });
    } catch (error) {
      if (error.status !== 401) setTimeout(askAccess, RETRY_MS);
    }
  };
  const take = (word) => {
    if (!/^[\x21-\x7e]+$/.test(word)) return setRefused("A token is one word of plain letters, digits and signs.");
    setRefused(null);
    api.setToken(word);
    return askAccess();
  };
  useEffect(() => {
    askAccess();
  }, []);
  useEffect(() => {
    if (!access?.known) return undefined;
    setRefused(null);
    live.start();
    return () => live.stop();
  }, [access?.known]);
  // Whoever answers now may be another version, with another configuration.
  live.onReturn = askAccess;
  useEffect(() => {
    document.title = access?.host ? `${titleOf(route.page)} – ${access.host} – Ringplane` : "Ringplane";
  }, [route.page, access?.host]);

  if (access === null) return <p class="center muted">Asking the control process …</p>;
  if (!access.known) return <Unlock why={refused} onToken={take} />;
  return (
    <Surroundings.Provider value={{ api, live, access, theme, route }}>
      <Frame />
    </Surroundings.Provider>
  );
}

function Unlock({ why, onToken }) {
  const [word, setWord] = useState("");
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  return (
    <main class="unlock card">
      <h1>
        <Mark /> Ringplane
      </h1>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          onToken(word.trim());
          setWord("");
        }}
      >
        <label for="token">
          The token, which is the word in <code>control.token_file</code>
        </label>
        <input
          id="token"
          ref={field}
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={word}
          onInput={(event) => setWord(event.target.value)}
        />
        <button type="submit" class="primary" disabled={!word.trim()}>
          look
        </button>
      </form>
      <Problem error={why ? { message: why } : null} />
      <p class="muted small">It is kept in this tab only, and forgotten with it.</p>
    </main>
  );
}

function Frame() {
  const { access, live, route, theme } = useSurroundings();
  const [help, setHelp] = useState(false);
  const main = useRef(null);
  useEffect(() => {
    const onKey = (event) => {
      const typing = event.target.matches?.("input, textarea, select");
      const action = actionOf(event, typing);
      if (action === null || document.querySelector("dialog[open]")) return;
      if (action.page) goTo(action.page);
      if (action.does === "search") document.getElementById("search")?.focus();
      if (action.does === "help") setHelp(true);
      if (action.does === "pause") live.setPaused(!live.paused);
      if (action.does === "theme") theme.next();
      if (action.does === "escape" && typing) event.target.blur();
      if (action.does !== "escape") event.preventDefault();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
  useEffect(() => main.current.scrollTo?.(0, 0), [route.page]);
  const View = VIEWS[route.page];
  return (
    <div class="frame">
      <header>
        <a class="brand" href="#/overview">
          <Mark /> <span>Ringplane</span>
        </a>
        <nav aria-label="pages">
          {PAGES.map((page, i) => (
            <a key={page} href={formatRoute(page)} aria-current={page === route.page ? "page" : undefined}>
              <kbd aria-hidden="true">{i + 1}</kbd>
              {titleOf(page)}
            </a>
          ))}
        </nav>
        <div class="foot">
          <button type="button" onClick={() => theme.next()} title="light, dark, as the system is (t)">
            theme: {theme.chosen}
          </button>
          <button type="button" onClick={() => setHelp(true)} title="what keys do (?)">
            keys
          </button>
        </div>
      </header>
      <main ref={main}>
        <div class="top">
          <h1>{titleOf(route.page)}</h1>
          <State />
          <span class="who muted">
            {access.host} · {access.version}
            {!access.may_write && (
              <span class="badge plain" title="control.http_writes is not set">
                read-only
              </span>
            )}
          </span>
        </div>
        <Notices />
        <View key={route.page} />
      </main>
      {help && <Help onClose={() => setHelp(false)} />}
    </div>
  );
}

const WORDS = { connecting: "connecting", live: "live", "no-data": "no data process", unreachable: "no answer" };

function State() {
  const live = useLive();
  const kind = live.paused ? "paused" : live.state;
  return (
    <>
      <button
        type="button"
        class={`state ${kind}`}
        aria-pressed={live.paused}
        title="stop and go on (p)"
        onClick={() => live.setPaused(!live.paused)}
      >
        <span class="dot" aria-hidden="true" />
        {live.paused ? "paused" : WORDS[live.state]}
      </button>
      {live.why && !live.paused && (
        <p class="problem wide" role="alert">
          {live.why} The page goes on by itself.
        </p>
      )}
    </>
  );
}

function Notices() {
  const live = useLive();
  return (
    <div class="notices" role="log" aria-label="what happened">
      {live.notices.map((notice) => (
        <p key={notice.time.getTime() + notice.text} class="notice">
          <span>
            <time>{clock(notice.time)}</time> {notice.text}
          </span>
          <button type="button" aria-label="dismiss" onClick={() => live.dismiss(notice)}>
            ×
          </button>
        </p>
      ))}
    </div>
  );
}

function Help({ onClose }) {
  const dialog = useRef(null);
  useEffect(() => dialog.current.showModal(), []);
  return (
    <dialog ref={dialog} aria-label="Keys" onClose={onClose}>
      <h2>Keys</h2>
      <dl class="keys">
        {KEYS.map(([key, what]) => [
          <dt key={key}>
            <kbd>{key}</kbd>
          </dt>,
          <dd key={what}>{what}</dd>,
        ])}
      </dl>
      <div class="buttons">
        <button type="button" class="primary" onClick={() => dialog.current.close()}>
          close
        </button>
      </div>
    </dialog>
  );
}

const Mark = () => (
  <svg class="mark" viewBox="0 0 24 24" aria-hidden="true">
    <circle cx="12" cy="12" r="9" fill="none" stroke="currentColor" stroke-width="3" stroke-dasharray="11.5 2.64" />
    <circle cx="12" cy="12" r="3" fill="currentColor" />
  </svg>
);

function takeToken(api) {
  const word = tokenIn(location.hash);
  if (word === null) return;
  api.setToken(word);
  history.replaceState(null, "", location.pathname);
}

const api = new Api({ storage: sessionStorage, fetch: (...words) => fetch(...words) });
takeToken(api);
const theme = new Theme({
  storage: localStorage,
  root: document.documentElement,
  prefersDark: matchMedia("(prefers-color-scheme: dark)"),
});
render(<App api={api} theme={theme} />, document.getElementById("app"));
