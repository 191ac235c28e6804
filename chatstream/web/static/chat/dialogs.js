// What opens above the page: shortcuts, a session's instructions, and the question before erasing.

import { html, useEffect, useRef, useState } from "../shared/dom.js";
import { SHORTCUTS } from "./keys.js";
import { goTo } from "./route.js";

export function Dialogs({ dialog, chat, sessions, onClose }) {
  const place = useRef(null);
  useEffect(() => {
    if (dialog) place.current.showModal();
    else place.current.close();
  }, [dialog]);
  const Inside = { keys: Keys, tune: Tune, erase: Erase }[dialog?.kind];
  return html`
    <dialog ref=${place} class="dialog" onClose=${onClose} onClick=${(event) => event.target === place.current && onClose()}>
      ${Inside && html`<div class="dialog-inside"><${Inside} chat=${chat} sessions=${sessions} onClose=${onClose} /></div>`}
    </dialog>`;
}

const Keys = ({ onClose }) => html`
  <h2>Keys</h2>
  <dl class="keys">${SHORTCUTS.map(([keys, says]) => html`<div key=${keys}><dt>${keys.split(" ").map((key) => (/^(or|,)$/.test(key) ? ` ${key} ` : html`<kbd>${key}</kbd> `))}</dt><dd>${says}</dd></div>`)}</dl>
  <div class="card-actions"><button class="button is-main" onClick=${onClose}>Close</button></div>`;

function Tune({ chat, onClose }) {
  const overview = chat.state.overview ?? {};
  const [system, setSystem] = useState(overview.system ?? "");
  const [model, setModel] = useState(overview.model ?? "");
  const [trouble, setTrouble] = useState("");
  const save = async (event) => {
    event.preventDefault();
    try {
      await chat.update({ system: system.trim() || null, model: model.trim() || null });
      onClose();
    } catch (problem) {
      setTrouble(problem.message);
    }
  };
  return html`
    <form onSubmit=${save}>
      <h2>Instructions and model</h2>
      <label class="labelled">Instructions for this conversation<textarea class="field" rows="6" placeholder="As the node has them" value=${system} onInput=${(event) => setSystem(event.currentTarget.value)}></textarea></label>
      <label class="labelled">Model<input class="field" placeholder="As the node has it" value=${model} onInput=${(event) => setModel(event.currentTarget.value)} /></label>
      ${trouble && html`<p class="is-bad" role="alert">${trouble}</p>`}
      <div class="card-actions"><button type="button" class="button" onClick=${onClose}>Cancel</button><button class="button is-main">Save</button></div>
    </form>`;
}

function Erase({ chat, sessions, onClose }) {
  const [trouble, setTrouble] = useState("");
  const erase = async () => {
    try {
      await chat.erase();
      sessions.forget(chat.id);
      onClose();
      goTo(null);
    } catch (problem) {
      setTrouble(problem.message);
    }
  };
  return html`
    <h2>Erase this conversation?</h2>
    <p>Every message of “${chat.state.view.title || chat.id}” is removed, for everyone, and cannot be brought back.</p>
    ${trouble && html`<p class="is-bad" role="alert">${trouble}</p>`}
    <div class="card-actions"><button class="button" onClick=${onClose}>Keep it</button><button class="button is-grave" onClick=${erase}>Erase</button></div>`;
}
