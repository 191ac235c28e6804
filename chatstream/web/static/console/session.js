// One session: what it is doing, its turns, its conversation, its events, its state.

import { html } from "../shared/dom.js";
import { getJson, sessionPath } from "../shared/node.js";
import { count, fully } from "../shared/times.js";
import { Status, Trouble, useAsked } from "./asking.js";
import { Events } from "./events.js";
import { Messages } from "./messages.js";
import { State } from "./state.js";
import { Turns } from "./turns.js";

const TABS = { turns: Turns, conversation: Messages, events: Events, state: State };

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
