// A session's events, the newest of them, kept while the page is open: only what is new is asked for.

import { html, useRef, useState } from "../shared/dom.js";
import { ask, can, getJson, sessionPath } from "../shared/node.js";
import { exactly, fully } from "../shared/times.js";
import { Grid, Trouble, useAsked } from "./asking.js";

const EVENTS_MOST = 2000;
const HAS_PLACES = can("GET /v1/console/sessions/{session}");
const HEAD = [["Seq", true], ["Offset", true], ["Epoch", true], ["Time"], ["Type"], ["Turn", true], ["Event", false, "wide"]];

export const tokenOf = (seq) => `0000000000000000_${String(seq).padStart(16, "0")}`;
const insidePath = (session, after) => `/v1/console/sessions/${encodeURIComponent(session)}?after=${after}`;

/** {found: events, problem}: the newest of a session; lastSeq: read on when there are more. */
export function useEvents(session, lastSeq) {
  const kept = useRef([]);
  return useAsked(async () => {
    const events = kept.current.slice();
    let offset = tokenOf(events.at(-1)?.seq ?? Math.max(0, lastSeq - EVENTS_MOST));
    for (;;) {
      const answer = await ask("GET", sessionPath(session, `/events?offset=${offset}`));
      events.push(...(await answer.json()));
      offset = answer.headers.get("Stream-Next-Offset");
      if (answer.headers.get("Stream-Up-To-Date")) break;
    }
    kept.current = events.slice(-EVENTS_MOST);
    return kept.current;
  }, [session, lastSeq]);
}

/** {found: a Map from seq to {offset, epoch}, problem}: where the newest events stand. */
function usePlaces(session, lastSeq) {
  const kept = useRef(new Map());
  return useAsked(async () => {
    const places = new Map(kept.current);
    let after = [...places.keys()].at(-1) ?? Math.max(0, lastSeq - EVENTS_MOST);
    while (HAS_PLACES && after < lastSeq) {
      const found = (await getJson(insidePath(session, after))).places;
      if (!found.length) break;
      for (const place of found) places.set(place.seq, place);
      after = found.at(-1).seq;
    }
    kept.current = places;
    return places;
  }, [session, lastSeq]);
}

/** {found: the session's row as the table has it, problem}. */
export const useHead = (session, lastSeq) =>
  useAsked(async () => (HAS_PLACES ? (await getJson(insidePath(session, lastSeq))).head : null), [session, lastSeq]);

export function Events({ session, lastSeq }) {
  const { found, problem } = useEvents(session, lastSeq);
  const places = usePlaces(session, lastSeq).found ?? new Map();
  const [kind, setKind] = useState("");
  const kinds = [...new Set((found ?? []).map((event) => event.type))].sort();
  const shown = (found ?? []).filter((event) => !kind || event.type === kind).reverse();
  return html`
    <${Trouble} problem=${problem} />
    <div class="filters"><select class="field" aria-label="Type" value=${kind} onChange=${(event) => setKind(event.currentTarget.value)}><option value="">every type</option>${kinds.map((one) => html`<option>${one}</option>`)}</select></div>
    <${Grid} head=${HEAD} nothing="No events."
      rows=${shown.map((event) => [
        event.seq, places.get(event.seq)?.offset ?? "", places.get(event.seq)?.epoch ?? "",
        html`<span class="time" title=${fully(event.time)}>${exactly(event.time)}</span>`, html`<code>${event.type}</code>`, event.turn ?? "",
        html`<details><summary>${briefly(event)}</summary><pre>${JSON.stringify(event, null, 2)}</pre></details>`,
      ])} />`;
}

const SAID_CHARS = 100;

/** What an event is about, in a few words. */
function briefly(event) {
  const said = event.text || event.code || event.title || event.name || event.decision || event.from;
  if (typeof said === "string") return said.length > SAID_CHARS ? `${said.slice(0, SAID_CHARS)}…` : said;
  return "JSON";
}
