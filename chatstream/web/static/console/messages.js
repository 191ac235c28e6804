// A session's conversation as a list: who said what, and what became of it.

import { html, useState } from "../shared/dom.js";
import { getJson, sessionPath } from "../shared/node.js";
import { fully } from "../shared/times.js";
import { Grid, Trouble, useAsked } from "./asking.js";

const PAGE = 50;
const HEAD = [["Seq", true], ["Time"], ["Who"], ["Status"], ["Version", true], ["Text", false, "wide"]];

export function Messages({ session, lastSeq }) {
  const [befores, setBefores] = useState([null]);
  const before = befores.at(-1);
  const { found, problem } = useAsked(() => getJson(sessionPath(session, `/messages?limit=${PAGE}${before ? `&before=${before}` : ""}`)), [session, lastSeq, before]);
  return html`
    <${Trouble} problem=${problem} />
    ${found && html`
      <${Grid} head=${HEAD} nothing="Nobody has said anything."
        rows=${found.data.toReversed().map((one) => [
          html`<a href=${`/s/${encodeURIComponent(session)}#${one.seq}`}>${one.seq}</a>`, fully(one.time), one.role,
          html`${one.status}${one.code && html` <code>${one.code}</code>`}${one.superseded && " (superseded)"}${one.rewound && " (taken back)"}`, one.version, html`<div class="plain">${one.text}</div>`,
        ])} />
      <div class="card-actions">
        ${befores.length > 1 && html`<button class="button" onClick=${() => setBefores(befores.slice(0, -1))}>Newer</button>`}
        ${found.previous && html`<button class="button" onClick=${() => setBefores([...befores, found.previous])}>Older</button>`}
        <a class="button" href=${`/s/${encodeURIComponent(session)}`}>Open the chat</a>
      </div>`}`;
}
