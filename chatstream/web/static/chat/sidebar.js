// The sessions, newest activity first, under the day they were last used.

import { cx, html, useEffect, useState } from "../shared/dom.js";
import { can } from "../shared/node.js";
import { keep, recall } from "../shared/keep.js";
import { Icon, Logo } from "../shared/icons.js";
import { useStore } from "../shared/store.js";
import { briefly, dayGroup, fully } from "../shared/times.js";
import { hrefOf, onLink } from "./route.js";

const TYPING_MS = 150;
const STATUS = { running: "answering", waiting: "waiting", parked: "needs a decision", failed: "failed" };
const SEARCHES = can("GET /v1/sessions");

export function Sidebar({ sessions, current, onClose }) {
  const state = useStore(sessions);
  const shown = SEARCHES ? state.sessions : state.sessions.filter((one) => matches(one, state.query));
  return html`
    <nav class="sidebar" aria-label="Conversations">
      <div class="sidebar-top">
        <a class="brand" href="/" onClick=${onLink(null)}><${Logo} /><span>chatstream</span></a>
        <button class="icon-button only-narrow" aria-label="Close the list" onClick=${onClose}><${Icon} name="close" /></button>
      </div>
      <a class="new-chat" href="/" onClick=${onLink(null)}><${Icon} name="plus" /><span>New chat</span><kbd>Alt N</kbd></a>
      <${Search} sessions=${sessions} />
      <${List} shown=${shown} sessions=${sessions} current=${current} state=${state} />
      <div class="sidebar-end">
        <a class="quiet-link" href=${current ? `/console/sessions/${encodeURIComponent(current)}` : "/console"}><${Icon} name="console" /><span>Console</span></a>
        <${Theme} />
      </div>
    </nav>`;
}

function Search({ sessions }) {
  const [text, setText] = useState("");
  useEffect(() => {
    const timer = setTimeout(() => text !== sessions.state.query && sessions.search(text), TYPING_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return html`
    <div class="search">
      <${Icon} name="search" size=${16} />
      <input id="search" type="search" placeholder="Search titles" aria-label="Search titles" autocomplete="off" spellcheck=${false}
        value=${text} onInput=${(event) => setText(event.currentTarget.value)} />
    </div>`;
}

function List({ shown, sessions, current, state }) {
  if (!shown.length) {
    const nothing = state.query ? "No conversation has such a title." : state.isLoaded ? "Conversations will be listed here." : "";
    return html`<div class="session-list"><p class="nothing">${nothing}</p></div>`;
  }
  let group = "";
  const rows = [];
  for (const one of shown) {
    const heading = dayGroup(one.updated);
    if (heading !== group) rows.push(html`<h2 key=${heading}>${heading}</h2>`);
    group = heading;
    rows.push(html`<${Row} key=${one.session} one=${one} isCurrent=${one.session === current} isUnread=${one.session !== current && sessions.isUnread(one)} />`);
  }
  return html`
    <div class="session-list">
      ${rows}
      ${state.cursor && html`<button class="more" onClick=${() => sessions.more()}>Show more</button>`}
    </div>`;
}

function Row({ one, isCurrent, isUnread }) {
  const status = STATUS[one.status];
  return html`
    <a class=${cx("session", isCurrent && "is-current", isUnread && "is-unread")} href=${hrefOf(one.session)} onClick=${onLink(one.session)}
      aria-current=${isCurrent ? "page" : null} title=${`${one.session}, ${fully(one.updated)}`}>
      <span class="session-title">${one.title || one.session}</span>
      ${status ? html`<span class=${`dot is-${one.status}`} title=${status}></span><span class="out-of-sight">${status}</span>`
        : isUnread ? html`<span class="dot is-new" title="unread"></span><span class="out-of-sight">unread</span>`
        : html`<span class="session-time">${briefly(one.updated)}</span>`}
    </a>`;
}

const matches = (one, query) =>
  `${one.title} ${one.session}`.toLowerCase().split(/\s+/).some((word) => word.startsWith(query.trim().toLowerCase()));

const THEMES = { system: ["half", "as the system"], light: ["sun", "light"], dark: ["moon", "dark"] };

/** Light, dark, or as the system has it. */
export function Theme() {
  const [theme, setTheme] = useState(recall("theme", "system"));
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(theme) + 1) % names.length];
  const choose = () => {
    setTheme(next);
    keep("theme", next === "system" ? null : next);
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
  };
  const [icon, says] = THEMES[theme] ?? THEMES.system;
  return html`<button class="icon-button" onClick=${choose} aria-label=${`Colours: ${says}. Change`} title=${`Colours: ${says}`}><${Icon} name=${icon} /></button>`;
}
