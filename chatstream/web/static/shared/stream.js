// Following one session: events with the token behind each, and what is being said, from where the reader stands.
//
// A stream ends often and on purpose; a broken one is opened again. Events carry their seq, so what comes twice does no harm.

import { Problem, Unreachable, ask, canSession, getJson, sessionPath } from "./node.js";
import { frames } from "./sse.js";

const FIRST_WAIT_MS = 250;
const MOST_WAIT_MS = 5000;
const SILENCE_MS = 40_000;
/** Heartbeats come every 15 s: after this long without a byte the connection is dead, whatever the system says. */

const wait = (ms, signal) =>
  new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      removeEventListener("online", end);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    addEventListener("online", end);
    signal.addEventListener("abort", end);
  });

/**
 * Follow until signal says stop. token(): where the reader stands now. onFrame: takes {event, token} or {live}.
 * onState: takes `live`, or `broken` with what is wrong. Returns the last Problem when going on makes no sense (410).
 */
export async function follow(session, { token, onFrame, onState, signal }) {
  let waitMs = FIRST_WAIT_MS;
  while (!signal.aborted) {
    try {
      await once(session, token(), signal, (frame) => {
        waitMs = FIRST_WAIT_MS;
        onFrame(frame);
      }, () => onState("live"));
      await wait(50, signal);
      continue;
    } catch (error) {
      if (signal.aborted) return null;
      if (error instanceof Problem && [400, 404, 410].includes(error.status)) return error;
      onState("broken", error);
      await wait(Math.max(waitMs, (error.retryAfterS ?? 0) * 1000) * (0.7 + Math.random() * 0.6), signal);
      waitMs = Math.min(waitMs * 2, MOST_WAIT_MS);
    }
  }
  return null;
}

async function once(session, token, signal, onFrame, onOpen) {
  const ending = new AbortController();
  const end = () => ending.abort();
  signal.addEventListener("abort", end);
  let watchdog = setTimeout(end, SILENCE_MS);
  const heard = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(end, SILENCE_MS);
  };
  try {
    const path = canSession("GET", "/live") ? "/live?" : "/events?live=sse&";
    const response = await ask("GET", sessionPath(session, `${path}offset=${encodeURIComponent(token)}`), { signal: ending.signal });
    onOpen();
    for await (const frame of frames(response, heard)) for (const told of read(frame)) onFrame(told);
  } catch (error) {
    if (error instanceof Problem || signal.aborted) throw error;
    throw new Unreachable();
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", end);
    end();
  }
}

/** What a frame tells, of either stream. */
function read(frame) {
  const data = JSON.parse(frame.data);
  // The older stream: a batch of events, then where it ends.
  if (frame.event === "data") return data.map((event) => ({ event, token: "" }));
  if (frame.event === "control") return [{ token: data.streamNextOffset }];
  return data.seq ? [{ event: data, token: frame.id }] : [{ live: data }];
}

/** All events behind a token that there are now, as frames. */
export async function catchUp(session, token, signal, onFrame) {
  for (;;) {
    const response = await ask("GET", sessionPath(session, `/events?offset=${encodeURIComponent(token)}`), { signal });
    for (const event of await response.json()) onFrame({ event, token: "" });
    token = response.headers.get("Stream-Next-Offset");
    onFrame({ token });
    if (response.headers.get("Stream-Up-To-Date")) return;
  }
}

/** The session as its owner tells it; null when nobody has heard of it yet. */
export async function overviewOf(session, signal) {
  try {
    return await getJson(sessionPath(session), { signal });
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return null;
    throw error;
  }
}
