// The line above a conversation: its title, the state of the connection, and what can be done with all of it.

import { cx, html, useEffect, useRef, useState } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { sessionPath } from "../shared/node.js";
import { goTo } from "./route.js";
import { canDo } from "./session.js";

const UNREST_MS = 900;

export function Header({ chat, state, isNew, onMenu, setDialog }) {
  const { view } = state;
  return html`
    <header class="header">
      <button class="icon-button only-narrow" aria-label="Conversations" onClick=${onMenu}><${Icon} name="menu" /></button>
      <${Title} chat=${chat} title=${view.title} isNew=${isNew} />
      <${Connection} state=${state} />
      ${!isNew && state.phase === "ready" && html`<${Menu} chat=${chat} setDialog=${setDialog} />`}
    </header>`;
}

function Title({ chat, title, isNew }) {
  const [draft, setDraft] = useState(null);
  const field = useRef(null);
  useEffect(() => field.current?.select(), [draft !== null]);
  const shown = title || (isNew ? "New chat" : chat.id);
  if (draft === null) {
    return html`
      <h1 class=${cx("title", isNew && "is-new")}>
        ${canDo.update && !isNew
          ? html`<button class="title-button" title="Rename" onClick=${() => setDraft(shown)}>${shown}</button>`
          : html`<span>${shown}</span>`}
      </h1>`;
  }
  const done = async (isKept) => {
    setDraft(null);
    if (isKept && draft.trim() && draft !== title) await chat.update({ title: draft.trim() }).catch(() => {});
  };
  return html`
    <form class="title-form" onSubmit=${(event) => (event.preventDefault(), done(true))}>
      <input ref=${field} class="title-field" aria-label="Title" maxlength="200" value=${draft} onInput=${(event) => setDraft(event.currentTarget.value)}
        onKeyDown=${(event) => event.key === "Escape" && done(false)} onBlur=${() => done(true)} />
    </form>`;
}

/** Says nothing while all is well, and nothing of what is over in a moment. */
function Connection({ state }) {
  const isBroken = state.connection === "broken";
  const [isShown, setShown] = useState(false);
  useEffect(() => {
    if (!isBroken) return setShown(false);
    const timer = setTimeout(() => setShown(true), UNREST_MS);
    return () => clearTimeout(timer);
  }, [isBroken]);
  return html`
    <div role="status" class="connection">
      ${isShown && html`<span class="pill is-warn"><span class="spinner"></span>Reconnecting. Nothing is lost.</span>`}
    </div>`;
}

function Menu({ chat, setDialog }) {
  const [isOpen, setOpen] = useState(false);
  const place = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    place.current.querySelector("[role=menuitem]")?.focus();
    const outside = (event) => place.current?.contains(event.target) || setOpen(false);
    addEventListener("pointerdown", outside);
    return () => removeEventListener("pointerdown", outside);
  }, [isOpen]);
  const item = (icon, text, act, isGrave = false) => html`
    <button role="menuitem" class=${cx("menu-item", isGrave && "is-grave")} onClick=${() => (setOpen(false), act())}><${Icon} name=${icon} />${text}</button>`;
  const link = (icon, text, href) => html`<a role="menuitem" class="menu-item" href=${href} download onClick=${() => setOpen(false)}><${Icon} name=${icon} />${text}</a>`;
  return html`
    <div class="menu-place" ref=${place} onKeyDown=${(event) => onMenuKey(event, setOpen, place)}>
      <button class="icon-button" aria-label="More about this conversation" aria-haspopup="menu" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}><${Icon} name="more" /></button>
      ${isOpen && html`
        <div class="menu" role="menu">
          ${canDo.update && item("tune", "Instructions and model", () => setDialog({ kind: "tune" }))}
          ${canDo.fork && item("fork", "Fork", async () => goTo(await chat.fork()))}
          ${canDo.export && link("save", "Save as Markdown", sessionPath(chat.id, "/export?format=md"))}
          ${canDo.export && link("save", "Save as JSON lines", sessionPath(chat.id, "/export?format=jsonl"))}
          <a role="menuitem" class="menu-item" href=${`/console/sessions/${encodeURIComponent(chat.id)}`}><${Icon} name="console" />Open in the console</a>
          ${canDo.erase && item("trash", "Erase for good", () => setDialog({ kind: "erase" }), true)}
        </div>`}
    </div>`;
}

function onMenuKey(event, setOpen, place) {
  if (event.key === "Escape") {
    setOpen(false);
    place.current.querySelector("button").focus();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = [...place.current.querySelectorAll("[role=menuitem]")];
  const at = items.indexOf(document.activeElement);
  items[(at + step + items.length) % items.length]?.focus();
}
