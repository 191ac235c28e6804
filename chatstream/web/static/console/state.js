// What is kept of a session, and may be changed: its K/V state, what somebody set, and the row that all of it comes down to.

import { html, useState } from "../shared/dom.js";
import { ask, can, canSession, freshId, getJson, send, sessionPath } from "../shared/node.js";
import { Grid, Trouble, useAsked } from "./asking.js";
import { useHead } from "./events.js";

const WRITES = can("PUT /v1/sessions/{session}/state/{key}");
const UPDATES = canSession("PATCH");
const SET = { title: "text", system: "text", model: "text", metadata: "json" };

export function State({ session, lastSeq, overview }) {
  const head = useHead(session, lastSeq);
  return html`
    <h2>State, key by key</h2>
    <${Keys} session=${session} lastSeq=${lastSeq} />
    <h2>What is set</h2>
    <${Profile} session=${session} overview=${overview} />
    ${head.found && html`
      <h2>The head row</h2>
      <${Trouble} problem=${head.problem} />
      <${Grid} head=${[["Field"], ["Value", false, "wide"]]} nothing=""
        rows=${Object.entries(head.found).map(([name, value]) => [html`<code>${name}</code>`, html`<pre>${JSON.stringify(value)}</pre>`])} />`}
    <h2>As it is told over HTTP</h2>
    <div class="frame padded"><pre tabindex="0">${JSON.stringify(overview, null, 2)}</pre></div>`;
}

function Keys({ session, lastSeq }) {
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
        WRITES && html`<span class="acts"><button class="text-button" onClick=${() => pick(name)}>Change</button><button class="text-button" onClick=${() => ask("DELETE", path(name)).catch(setTrouble)}>Clear</button></span>`])} />
    ${WRITES && html`
      <form class="editing" onSubmit=${write}>
        <input class="field" placeholder="Key" aria-label="Key" required value=${key} onInput=${(event) => setKey(event.currentTarget.value)} />
        <input class="field" placeholder="Value, as JSON" aria-label="Value, as JSON" required value=${value} onInput=${(event) => setValue(event.currentTarget.value)} />
        <button class="button is-main">Set</button>
      </form>`}`;
}

/** Title, instructions, model and metadata. */
function Profile({ session, overview }) {
  const [edited, setEdited] = useState(null);
  const [trouble, setTrouble] = useState(null);
  const save = async (event) => {
    event.preventDefault();
    try {
      const text = edited.text.trim();
      const value = !text ? null : SET[edited.name] === "json" ? JSON.parse(text) : text;
      await send("PATCH", sessionPath(session), { [edited.name]: value }, freshId("c"));
      setTrouble(null);
      setEdited(null);
    } catch (wrong) {
      setTrouble(wrong);
    }
  };
  const shown = (name) => (SET[name] === "json" ? overview[name] && JSON.stringify(overview[name], null, 2) : overview[name]);
  return html`
    <${Trouble} problem=${trouble} />
    <${Grid} head=${[["Field"], ["Value", false, "wide"], [""]]} nothing=""
      rows=${Object.keys(SET).map((name) => [html`<code>${name}</code>`, shown(name) ? html`<pre>${shown(name)}</pre>` : html`<span class="faint">as the node has it</span>`,
        UPDATES && html`<button class="text-button" onClick=${() => setEdited({ name, text: shown(name) || "" })}>Change</button>`])} />
    ${edited && html`
      <form class="editing" onSubmit=${save}>
        <textarea class="field" rows="3" aria-label=${`New ${edited.name}`} placeholder="Empty: as the node has it" value=${edited.text} onInput=${(event) => setEdited({ ...edited, text: event.currentTarget.value })}></textarea>
        <button type="button" class="button" onClick=${() => setEdited(null)}>Leave it</button><button class="button is-main">Save ${edited.name}</button>
      </form>`}`;
}
