// What components hang on: the live data, the route, and answers asked for again and again.

import { createContext } from "preact";
import { useCallback, useContext, useEffect, useRef, useState } from "preact/hooks";

import { formatRoute, parseRoute } from "./router.js";

/** {api, live, access, theme, route} */
export const Surroundings = createContext(null);
export const useSurroundings = () => useContext(Surroundings);

/** The live data; the component is drawn again with each answer. */
export function useLive() {
  const { live } = useSurroundings();
  const [, draw] = useState(0);
  useEffect(() => live.subscribe(() => draw((count) => count + 1)), [live]);
  return live;
}

export function useRoute() {
  const [route, setRoute] = useState(() => parseRoute(location.hash));
  useEffect(() => {
    const read = () => setRoute(parseRoute(location.hash));
    addEventListener("hashchange", read);
    return () => removeEventListener("hashchange", read);
  }, []);
  return route;
}

/** At once, not in a later turn of the browser's: a key that comes right behind is meant for the new page. */
export function goTo(page, params) {
  history.pushState(null, "", formatRoute(page, params));
  dispatchEvent(new HashChangeEvent("hashchange"));
}

/** [params of the route, set(changes)]: changes take the place of what the address says, without a new entry to go back to. */
export function useParams() {
  const { route } = useSurroundings();
  const set = useCallback(
    (changes) => {
      history.replaceState(null, "", formatRoute(route.page, { ...parseRoute(location.hash).params, ...changes }));
      dispatchEvent(new HashChangeEvent("hashchange"));
    },
    [route.page],
  );
  return [route.params, set];
}

/**
 * {data, error, again} of load(signal), asked now, after `everyMs` again (0: never) and when one of `inputs` changes;
 * not while the page is paused or hidden. With an error the last data stays. `data` of other inputs is never shown.
 */
export function usePolled(load, everyMs, inputs) {
  const { live } = useSurroundings();
  const [answer, setAnswer] = useState({ data: null, error: null });
  const ask = useRef(() => {});
  const shown = useRef(inputs);
  const changed = inputs.some((each, i) => each !== shown.current[i]);
  useEffect(() => {
    const aborter = new AbortController();
    let timer = null;
    shown.current = inputs;
    setAnswer({ data: null, error: null });
    const turn = async (wanted) => {
      clearTimeout(timer);
      if (wanted || (!live.paused && !document.hidden)) {
        try {
          const data = await load(aborter.signal);
          if (!aborter.signal.aborted) setAnswer({ data, error: null });
        } catch (error) {
          if (!aborter.signal.aborted) setAnswer((before) => ({ data: before.data, error }));
        }
      }
      if (everyMs > 0 && !aborter.signal.aborted) timer = setTimeout(() => turn(false), everyMs);
    };
    ask.current = () => turn(true);
    turn(true);
    return () => {
      clearTimeout(timer);
      aborter.abort();
    };
  }, inputs);
  return { ...(changed ? { data: null, error: null } : answer), again: () => ask.current() };
}

/** `value`, but not before it has stayed the same for so long. */
export function useSettled(value, afterMs = 200) {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), afterMs);
    return () => clearTimeout(timer);
  }, [value, afterMs]);
  return settled;
}
