// All sessions, by what they are doing.

import { html, useState } from "../shared/dom.js";
import { getJson } from "../shared/node.js";
import { count, fully } from "../shared/times.js";
import { Grid, Status, Trouble, useAsked } from "./asking.js";

const STATUSES = ["", "running", "waiting", "parked", "failed", "idle"];
const HEAD = [["Session"], ["Title", false, "wide"], ["Status"], ["Waiting", true], ["Messages", true], ["Replies", true], ["Last event", true], ["Partition", true], ["Active"]];

export function SessionsView() {
  const [asked, setAsked] = useState({ status: "", prefix: "", q: "" });
  const [cursors, setCursors] = useState([null]);
  const cursor = cursors.at(-1);
  const { found, problem } = useAsked(() => getJson(`/v1/sessions?${queryOf(asked, cursor)}`), [asked, cursor]);
  const change = (name) => (event) => {
    setCursors([null]);
    setAsked({ ...asked, [name]: event.currentTarget.value });
  };
  return html`
    <h1>Sessions</h1>
    <div class="filters">
      <select class="field" aria-label="Status" value=${asked.status} onChange=${change("status")}>${STATUSES.map((one) => html`<option value=${one}>${one || "every status"}</option>`)}</select>
      <input class="field" placeholder="Session begins with" aria-label="Session begins with" value=${asked.prefix} onInput=${change("prefix")} />
      <input class="field" placeholder="Word of the title" aria-label="Word of the title" value=${asked.q} onInput=${change("q")} />
    </div>
    <${Trouble} problem=${problem} />
    ${found && html`
      <${Grid} head=${HEAD} nothing="No session is like that." rows=${found.data.map((one) => [
        html`<a href=${`/console/sessions/${encodeURIComponent(one.session)}`}>${one.session}</a>`,
        one.title, html`<${Status} status=${one.status} />`, one.waiting, count(one.messages), count(one.replies), one.last_seq, one.partition, fully(one.updated),
      ])} />
      ${found.incomplete?.length > 0 && html`<p class="faint">Nobody could be asked about partitions ${found.incomplete.join(", ")}.</p>`}
      <div class="card-actions">
        ${cursors.length > 1 && html`<button class="button" onClick=${() => setCursors(cursors.slice(0, -1))}>Newer</button>`}
        ${found.next && html`<button class="button" onClick=${() => setCursors([...cursors, found.next])}>Older</button>`}
      </div>`}`;
}

function queryOf(asked, cursor) {
  const given = Object.entries({ ...asked, cursor }).filter(([, value]) => value);
  return new URLSearchParams([["limit", 50], ...given]);
}
