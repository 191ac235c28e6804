// One session: what it is doing, its turns, its events, its state.

import { html, useState } from "../shared/dom.js";
import { ask, can, getJson, sessionPath } from "../shared/node.js";
import { count, duration, exactly, fully } from "../shared/times.js";
import { Grid, Status, Trouble, useAsked } from "./asking.js";

const TABS = { turns: Turns, events: Events, state: State };
const EVENTS_MOST = 2000;
const ENDINGS = { "reply.completed": "completed", "reply.failed": "failed", "reply.cancelled": "cancelled" };

export function SessionView({ session, tab }) {
  const { found, problem } = useAsked(() => getJson(sessionPath(session)), [session]);
  const Tab = TABS[tab] ?? Turns;
  const place = `/console/sessions/${encodeURIComponent(session)}`;
  return html`
    <h1>${found?.title || session}</h1>
    <${Trouble} problem=${problem} />
    ${found && html`
      <${Facts} of=${found} />
      <div class="tabs">
        ${Object.keys(TABS).map((name) => html`<a href=${`${place}/${name}`} aria-current=${name === tab ? "page" : null}>${name[0].toUpperCase() + name.slice(1)}</a>`)}
        <a href=${`/s/${encodeURIComponent(session)}`}>Conversation</a>
      </div>
      <${Tab} key=${tab} session=${session} lastSeq=${found.last_seq} overview=${found} />`}`;
}

function Facts({ of }) {
  const running = of.running;
  const facts = {
    Session: of.session,
    Status: html`<${Status} status=${of.status} />`,
    "Answered now": running ? `turn ${running.turn}, version ${running.version}, ${running.attempt ? `attempt ${running.attempt}` : "between attempts"}` : "nothing",
    "In line": of.waiting,
    "Sent later": of.scheduled.length,
    "Waits for": of.approval ? `a decision: ${of.approval.name}` : "nobody",
    Messages: count(of.messages),
    Replies: count(of.replies),
    Tokens: `${count(of.usage.input_tokens)} in, ${count(of.usage.output_tokens)} out`,
    "Last event": of.last_seq,
    Partition: of.partition,
    Owner: of.owner,
    Begun: fully(of.created),
    Active: fully(of.updated),
  };
  return html`<dl class="facts">${Object.entries(facts).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
}

/** The newest events of a session; lastSeq: read again when there are more. */
function useEvents(session, lastSeq) {
  return useAsked(async () => {
    const from = Math.max(0, lastSeq - EVENTS_MOST);
    let offset = `0000000000000000_${String(from).padStart(16, "0")}`;
    const events = [];
    for (;;) {
      const answer = await ask("GET", sessionPath(session, `/events?offset=${offset}`));
      events.push(...(await answer.json()));
      offset = answer.headers.get("Stream-Next-Offset");
      if (answer.headers.get("Stream-Up-To-Date")) return events;
    }
  }, [session, lastSeq]);
}

function Events({ session, lastSeq }) {
  const { found, problem } = useEvents(session, lastSeq);
  const [kind, setKind] = useState("");
  const kinds = [...new Set((found ?? []).map((event) => event.type))].sort();
  const shown = (found ?? []).filter((event) => !kind || event.type === kind).reverse();
  return html`
    <${Trouble} problem=${problem} />
    <div class="filters"><select class="field" aria-label="Type" value=${kind} onChange=${(event) => setKind(event.currentTarget.value)}><option value="">every type</option>${kinds.map((one) => html`<option>${one}</option>`)}</select></div>
    <${Grid} head=${[["Seq", true], ["Time"], ["Type"], ["Turn", true], ["Event", false, "wide"]]} nothing="No events."
      rows=${shown.map((event) => [event.seq, exactly(event.time), html`<code>${event.type}</code>`, event.turn ?? "", html`<details><summary>${event.text?.slice(0, 120) || event.code || "JSON"}</summary><pre>${JSON.stringify(event, null, 2)}</pre></details>`])} />`;
}

function Turns({ session, lastSeq }) {
  const { found, problem } = useEvents(session, lastSeq);
  const turns = turnsOf(found ?? []).reverse();
  const longest = Math.max(1, ...turns.map((turn) => turn.tookMs ?? 0));
  return html`
    <${Trouble} problem=${problem} />
    <${Grid} head=${[["Turn", true], ["Asked at"], ["Message", false, "wide"], ["End"], ["Attempts", true], ["Restarts", true], ["Tokens", true], ["Took", true], ["", false, "wide"]]} nothing="No turns."
      rows=${turns.map((turn) => [
        html`<a href=${`/s/${encodeURIComponent(session)}#${turn.seq}`}>${turn.seq}</a>`, exactly(turn.time), turn.text.slice(0, 120),
        html`${turn.end}${turn.code && html` <code title=${turn.detail}>${turn.code}</code>`}`, turn.attempts || "", turn.restarts || "", turn.tokens ? count(turn.tokens) : "",
        turn.tookMs === null ? "" : duration(turn.tookMs),
        turn.tookMs === null ? null : html`<span class=${`bar is-${turn.end}`} style=${{ width: `${(100 * turn.tookMs) / longest}%` }}></span>`,
      ])} />`;
}

function turnsOf(events) {
  const turns = new Map();
  for (const event of events) {
    if (event.type === "message.accepted") {
      turns.set(event.seq, { seq: event.seq, time: event.time, text: event.text ?? "", end: "open", attempts: 0, restarts: 0, tokens: 0, tookMs: null, code: "", detail: "", sinceMs: Date.parse(event.time) });
    }
    const turn = turns.get(event.turn);
    if (!turn) continue;
    if (event.type === "turn.resumed") turn.restarts += 1;
    if (event.type === "turn.restarted") Object.assign(turn, { end: "open", sinceMs: Date.parse(event.time), code: "" });
    if (!ENDINGS[event.type]) continue;
    turn.end = ENDINGS[event.type];
    turn.attempts += event.attempts ?? (event.type === "reply.completed" ? 1 : 0);
    turn.tokens += (event.usage?.input_tokens ?? 0) + (event.usage?.output_tokens ?? 0);
    turn.code = event.code ?? "";
    turn.detail = event.detail ?? "";
    turn.tookMs = Date.parse(event.time) - turn.sinceMs;
  }
  return [...turns.values()];
}

const WRITES = can("PUT /v1/sessions/{session}/state/{key}");

function State({ session, lastSeq, overview }) {
  const [key, setKey] = useState("");
  const [value, setValue] = useState("");
  const [trouble, setTrouble] = useState(null);
  const { found, problem } = useAsked(() => getJson(sessionPath(session, "/state")), [session, lastSeq]);
  const path = (name) => sessionPath(session, `/state/${encodeURIComponent(name)}`);
  const write = async (event) => {
    event.preventDefault();
    try {
      JSON.parse(value);
      await ask("PUT", path(key), { body: value, headers: { "Content-Type": "application/json" } });
      setTrouble(null);
    } catch (wrong) {
      setTrouble(wrong);
    }
  };
  const pick = (name) => {
    setKey(name);
    setValue(JSON.stringify(found[name]));
  };
  return html`
    <${Trouble} problem=${trouble ?? problem} />
    <${Grid} head=${[["Key"], ["Value", false, "wide"], [""]]} nothing="Nothing is kept in this session's state."
      rows=${Object.entries(found ?? {}).map(([name, held]) => [html`<code>${name}</code>`, html`<pre>${JSON.stringify(held, null, 2)}</pre>`,
        WRITES && html`<button class="text-button" onClick=${() => pick(name)}>Change</button> <button class="text-button" onClick=${() => ask("DELETE", path(name)).catch(setTrouble)}>Clear</button>`])} />
    ${WRITES && html`
      <form class="editing" onSubmit=${write}>
        <input class="field" placeholder="Key" aria-label="Key" required value=${key} onInput=${(event) => setKey(event.currentTarget.value)} />
        <input class="field" placeholder="Value, as JSON" aria-label="Value, as JSON" required value=${value} onInput=${(event) => setValue(event.currentTarget.value)} />
        <button class="button is-main">Set</button>
      </form>`}
    <h2>The session as a whole</h2>
    <div class="frame"><table class="grid"><tbody><tr><td><pre tabindex="0">${JSON.stringify(overview, null, 2)}</pre></td></tr></tbody></table></div>`;
}
