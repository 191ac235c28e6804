// The chat: which session is shown, and everything around it.

import { cx, html, render, useEffect, useMemo, useRef, useState } from "../shared/dom.js";
import { freshId } from "../shared/node.js";
import { useStore } from "../shared/store.js";
import { Composer } from "./composer.js";
import { Dialogs } from "./dialogs.js";
import { Header } from "./header.js";
import { useKeys } from "./keys.js";
import { ChatSession } from "./session.js";
import { Sessions } from "./sessions.js";
import { Sidebar } from "./sidebar.js";
import { Thread } from "./thread.js";
import { Gone, Trouble, Welcome } from "./welcome.js";
import { goTo, placeNow, useRoute } from "./route.js";

const sessions = new Sessions();

function App() {
  const place = useRoute();
  const [isOpen, setOpen] = useState(false);
  const [dialog, setDialog] = useState(null);
  useEffect(() => sessions.open(), []);
  useEffect(() => setOpen(false), [place.session]);
  // A conversation that has not begun has its name already: its first message is sent under it, however often.
  const fresh = useMemo(() => freshId("chat"), [place.session, place.visit]);
  const id = place.session ?? fresh;
  const chat = useMemo(() => new ChatSession(id, !place.session), [id]);
  useEffect(() => {
    chat.open(placeNow().seq);
    return () => chat.close();
  }, [chat]);
  useKeys({ chat, setDialog, openSidebar: () => setOpen(true) });
  return html`
    <div class=${cx("shell", isOpen && "is-open")}>
      <${Sidebar} sessions=${sessions} current=${place.session} onClose=${() => setOpen(false)} />
      <div class="veil" onClick=${() => setOpen(false)}></div>
      <${Conversation} key=${id} chat=${chat} place=${place} onMenu=${() => setOpen(true)} setDialog=${setDialog} />
      <${Dialogs} dialog=${dialog} chat=${chat} sessions=${sessions} onClose=${() => setDialog(null)} />
    </div>`;
}

function Conversation({ chat, place, onMenu, setDialog }) {
  const state = useStore(chat);
  const letters = useStore(chat.outbox).letters;
  const composer = useRef(null);
  const [edited, setEdited] = useState(null);
  const { view, overview, phase } = state;
  const isEmpty = phase === "ready" && !view.turns.length && !letters.length;
  useEffect(() => {
    if (!place.session && letters.length) goTo(chat.id, { replace: true, keep: true });
  }, [letters.length]);
  useEffect(() => {
    if (overview) sessions.note(overview);
  }, [overview]);
  useSeen(chat.id, view);
  useEffect(() => {
    document.title = view.title ? `${view.title} · chatstream` : "chatstream";
  }, [view.title]);
  return html`
    <main class=${cx("stage", isEmpty && "is-empty")}>
      <${Header} chat=${chat} state=${state} isNew=${!place.session} onMenu=${onMenu} setDialog=${setDialog} />
      ${phase === "gone" && html`<${Gone} />`}
      ${phase === "failed" && html`<${Trouble} problem=${state.problem} />`}
      ${isEmpty && html`<${Welcome} onPick=${(text, isWhole) => composer.current?.take(text, isWhole)} />`}
      ${!isEmpty && phase !== "gone" && phase !== "failed" && html`
        <${Thread} chat=${chat} state=${state} letters=${letters} seq=${place.seq} visit=${place.visit} onEdit=${setEdited} setDialog=${setDialog} />`}
      ${phase !== "gone" && phase !== "failed" && html`
        <${Composer} handle=${composer} chat=${chat} state=${state} edited=${edited} onEdited=${() => setEdited(null)} onEdit=${setEdited} />`}
      <div class="out-of-sight" role="status" aria-live="polite">${state.said}</div>
    </main>`;
}

/** What is on a screen that is looked at has been seen. */
function useSeen(id, view) {
  useEffect(() => {
    const mark = () => {
      if (!document.hidden && view.lastSeq) sessions.markSeen(id, view.lastSeq);
    };
    mark();
    document.addEventListener("visibilitychange", mark);
    return () => document.removeEventListener("visibilitychange", mark);
  }, [id, view.lastSeq]);
}

const place = document.getElementById("app");
place.replaceChildren();
render(html`<${App} />`, place);
