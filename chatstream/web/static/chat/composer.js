// Where a message is written. What is in the field is kept until it is sent, whatever happens to the page.

import { cx, html, useEffect, useLayoutEffect, useRef, useState } from "../shared/dom.js";
import { keep, recall } from "../shared/keep.js";
import { Icon } from "../shared/icons.js";
import { whenDue } from "../shared/times.js";
import { canDo } from "./session.js";

const KEEP_MS = 250;

export function Composer({ handle, chat, state, edited, onEdited, onEdit }) {
  const name = `draft.${state.view.known ? chat.id : "new"}`;
  const [text, setText] = useState(() => recall(`draft.${chat.id}`, null) ?? recall(name, ""));
  const [later, setLater] = useState(null);
  const field = useRef(null);
  const running = state.view.queue[0] ?? null;
  useKept(name, edited ? null : text);
  useEffect(() => {
    if (matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [chat]);
  useEffect(() => {
    if (!edited) return;
    setText(edited.text);
    field.current.focus();
  }, [edited]);
  useLayoutEffect(() => {
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight}px`;
  }, [text]);
  const leave = () => {
    onEdited();
    setText("");
  };
  const submit = (isUrgent) => {
    const said = text.trim();
    if (!said) return;
    if (edited) chat.edit(edited.seq, said);
    else chat.send(said, { on_busy: isUrgent && running ? "interrupt" : "enqueue", at: later ?? undefined });
    keep(name, null);
    keep("draft.new", null);
    setLater(null);
    leave();
  };
  if (handle) {
    handle.current = {
      take: (given, isWhole) => {
        if (isWhole) return chat.send(given);
        setText(given);
        field.current.focus();
        return undefined;
      },
    };
  }
  const onKeyDown = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      submit(event.ctrlKey || event.metaKey);
    } else if (event.key === "Escape" && edited) {
      event.preventDefault();
      leave();
    } else if (event.key === "ArrowUp" && !text && canDo.edit) {
      const last = state.view.turns.findLast((turn) => turn.user && !turn.rewoundBy && turn.user.status !== "scheduled")?.user;
      if (last) {
        event.preventDefault();
        onEdit({ seq: last.seq, text: last.text });
      }
    }
  };
  return html`
    <div class="composer-place">
      <form class=${cx("composer", edited && "is-editing")} onSubmit=${(event) => (event.preventDefault(), submit(false))}>
        ${edited && html`<div class="composer-note"><span><${Icon} name="edit" size=${14} /> Sending takes the conversation back to this message.</span><button type="button" class="text-button" onClick=${leave}>Leave it</button></div>`}
        ${later && html`<div class="composer-note"><span><${Icon} name="clock" size=${14} /> Will be sent ${whenDue(later)}</span><button type="button" class="text-button" onClick=${() => setLater(null)}>Send at once</button></div>`}
        <textarea id="composer" ref=${field} rows="1" value=${text} placeholder=${running ? "Write on: it waits in line" : "Write a message"} aria-label="Message"
          onInput=${(event) => setText(event.currentTarget.value)} onKeyDown=${onKeyDown}></textarea>
        <div class="composer-bar">
          ${!edited && html`<${Later} onChoose=${setLater} />`}
          <span class="composer-hint">${hint(running, text)}</span>
          ${running && canDo.cancel && html`<button type="button" class="round-button is-stop" aria-label="Stop the answer" title="Stop (Esc)" onClick=${() => (field.current.focus(), chat.cancel({ turn: running }).catch(() => {}))}><${Icon} name="stop" /></button>`}
          <button class="round-button" aria-label="Send" title="Send (Enter)" disabled=${!text.trim()}><${Icon} name="send" /></button>
        </div>
      </form>
    </div>`;
}

function hint(running, text) {
  if (running && text.trim()) return html`<kbd>Enter</kbd> waits in line, <kbd>Ctrl Enter</kbd> goes first`;
  return text.includes("\n") || text.length > 60 ? html`<kbd>Shift Enter</kbd> for a new line` : null;
}

/** Kept a moment after the last letter, and at once when the page goes away. */
function useKept(name, text) {
  const now = useRef(null);
  now.current = { name, text };
  useEffect(() => {
    const save = () => now.current.text !== null && keep(now.current.name, now.current.text);
    const timer = setTimeout(save, KEEP_MS);
    addEventListener("pagehide", save);
    return () => {
      clearTimeout(timer);
      removeEventListener("pagehide", save);
    };
  }, [name, text]);
  useEffect(() => () => now.current.text !== null && keep(now.current.name, now.current.text), []);
}

/** A time for a message: some near ones, or any. */
function Later({ onChoose }) {
  const [isOpen, setOpen] = useState(false);
  const place = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const outside = (event) => place.current?.contains(event.target) || setOpen(false);
    addEventListener("pointerdown", outside);
    return () => removeEventListener("pointerdown", outside);
  }, [isOpen]);
  const choose = (at) => {
    setOpen(false);
    if (!Number.isNaN(at.getTime())) onChoose(at.toISOString().replace(/\.\d+Z$/, "Z"));
  };
  return html`
    <div class="menu-place" ref=${place} onKeyDown=${(event) => event.key === "Escape" && (event.preventDefault(), setOpen(false))}>
      <button type="button" class="icon-button" aria-label="Send later" title="Send later" aria-expanded=${isOpen} onClick=${() => setOpen(!isOpen)}><${Icon} name="clock" /></button>
      ${isOpen && html`
        <div class="menu is-above" role="group" aria-label="Send later">
          <button type="button" class="menu-item" onClick=${() => choose(inMinutes(60))}>In an hour</button>
          <button type="button" class="menu-item" onClick=${() => choose(tomorrowAt(9))}>Tomorrow at nine</button>
          <label class="menu-field">At<input type="datetime-local" class="field" onChange=${(event) => choose(new Date(event.currentTarget.value))} /></label>
        </div>`}
    </div>`;
}

const inMinutes = (minutes) => new Date(Date.now() + minutes * 60_000);

function tomorrowAt(hour) {
  const at = new Date();
  at.setDate(at.getDate() + 1);
  at.setHours(hour, 0, 0, 0);
  return at;
}
