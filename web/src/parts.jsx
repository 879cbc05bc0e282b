// Small parts that several pages show.

import { useEffect, useRef, useState } from "preact/hooks";

import { useSettled, useSurroundings } from "./hooks.js";

/** What went wrong, in a sentence; nothing for null. */
export function Problem({ error }) {
  return error ? (
    <p class="problem" role="alert">
      {error.message}
    </p>
  ) : null;
}

/** The search of a page: "/" leads here. What is typed is told when the typing has stopped. */
export function Search({ value, onSearch, label }) {
  const [text, setText] = useState(value ?? "");
  const settled = useSettled(text);
  const told = useRef(text);
  useEffect(() => {
    if (settled === told.current) return;
    told.current = settled;
    onSearch(settled);
  }, [settled]);
  // Somebody has followed a link to another search. What was told from here comes back too, and must not undo what was
  // typed since.
  useEffect(() => {
    if ((value ?? "") === told.current) return;
    told.current = value ?? "";
    setText(told.current);
  }, [value]);
  return (
    <input
      id="search"
      type="search"
      class="search"
      placeholder={`${label} (/)`}
      aria-label={label}
      value={text}
      spellcheck={false}
      autocomplete="off"
      maxLength={200}
      onInput={(event) => setText(event.target.value)}
    />
  );
}

export function Verdict({ value }) {
  const kind = value === "pass" ? "good" : value === "flow" ? "plain" : "bad";
  return <span class={`badge ${kind}`}>{value}</span>;
}

/**
 * A question before something is done: over the page, with the focus in it; Esc is no. `onYes` may take its time and may
 * fail, which is said here. Children get in between.
 */
export function Question({ title, yes, danger = false, onYes, onClose, children }) {
  const dialog = useRef(null);
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => dialog.current.showModal(), []);
  const answer = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await onYes();
      onClose();
    } catch (failed) {
      setError(failed);
      setBusy(false);
    }
  };
  return (
    <dialog ref={dialog} aria-label={title} onClose={onClose}>
      <form onSubmit={answer}>
        <h2>{title}</h2>
        {children}
        <Problem error={error} />
        <div class="buttons">
          <button type="button" onClick={onClose}>
            No
          </button>
          <button type="submit" class={danger ? "danger" : "primary"} disabled={busy}>
            {busy ? "…" : yes}
          </button>
        </div>
      </form>
    </dialog>
  );
}

/** Children only where changes are allowed over this way in. */
export function IfWritable({ children }) {
  const { access } = useSurroundings();
  return access.may_write ? children : null;
}

export function Meter({ part, whole, label }) {
  const share = Number(whole) > 0 ? Math.min(1, Number(part) / Number(whole)) : 0;
  return <meter class={share > 0.9 ? "full" : undefined} min={0} max={1} value={share} aria-label={label} />;
}
