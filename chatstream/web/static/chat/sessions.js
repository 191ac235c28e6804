// The list of sessions: the node's own where it has one, else those that were opened in this browser.

import { Store } from "../shared/store.js";
import { can, getJson } from "../shared/node.js";
import { keep, onKept, recall } from "../shared/keep.js";

const PAGE = 40;
const CALM_MS = 8000;
const BUSY_MS = 2500;
const REMEMBERED_MOST = 200;
const LISTS = can("GET /v1/sessions");

/** state: sessions [{session, title, status, updated, last_seq}], newest first; query; cursor: of the next page, or null. */
export class Sessions extends Store {
  #timer = null;
  #asked = 0;
  #pages = 1;

  constructor() {
    super({ sessions: LISTS ? [] : recall("sessions", []), query: "", cursor: null, isLoaded: !LISTS, seen: recall("seen", {}) });
    this.since = recall("since", null) ?? new Date().toISOString();
    keep("since", this.since);
  }

  open() {
    onKept("seen", (seen) => this.set({ seen: seen ?? {} }));
    if (!LISTS) onKept("sessions", (sessions) => this.set({ sessions: sessions ?? [] }));
    document.addEventListener("visibilitychange", () => document.hidden || this.refresh());
    this.refresh();
  }

  search(query) {
    this.#pages = 1;
    this.set({ query });
    this.refresh();
  }

  more() {
    this.#pages += 1;
    this.refresh();
  }

  /** Ask again, now; and from then on every some seconds while the window is seen. */
  async refresh() {
    clearTimeout(this.#timer);
    if (!LISTS) return;
    const asked = ++this.#asked;
    try {
      const found = await this.#read();
      if (asked === this.#asked) this.set({ ...found, isLoaded: true });
    } catch {
      // The conversation says what is wrong with the connection; the list waits.
    }
    if (asked !== this.#asked || document.hidden) return;
    const isBusy = this.state.sessions.some((one) => one.status === "running" || one.status === "waiting");
    this.#timer = setTimeout(() => this.refresh(), isBusy ? BUSY_MS : CALM_MS);
  }

  async #read() {
    const query = this.state.query.trim();
    let sessions = [];
    let cursor = null;
    for (let page = 0; page < this.#pages; page += 1) {
      const parameters = new URLSearchParams({ limit: PAGE });
      if (query) parameters.set("q", query);
      if (cursor) parameters.set("cursor", cursor);
      const answer = await getJson(`/v1/sessions?${parameters}`);
      sessions = sessions.concat(answer.data);
      cursor = answer.next ?? null;
      if (!cursor) break;
    }
    return { sessions, cursor };
  }

  /** What the open conversation knows of itself: at once, and all there is where the node has no list. */
  note(overview) {
    const one = {
      session: overview.session, title: overview.title, status: overview.status, updated: overview.updated, last_seq: overview.last_seq,
    };
    if (LISTS && this.state.query && !this.state.sessions.some((other) => other.session === one.session)) return;
    const others = this.state.sessions.filter((other) => other.session !== one.session);
    const sessions = [one, ...others].sort((a, b) => (a.updated < b.updated ? 1 : a.updated > b.updated ? -1 : 0));
    this.set({ sessions });
    if (!LISTS) keep("sessions", sessions.slice(0, REMEMBERED_MOST));
  }

  forget(session) {
    const sessions = this.state.sessions.filter((other) => other.session !== session);
    this.set({ sessions });
    if (!LISTS) keep("sessions", sessions);
  }

  markSeen(session, seq) {
    if (this.state.seen[session] === seq) return;
    const seen = { ...recall("seen", {}), [session]: seq };
    this.set({ seen });
    keep("seen", seen);
  }

  /** Was something said that this browser has not shown? */
  isUnread(one) {
    const seen = this.state.seen[one.session];
    return seen === undefined ? one.updated > this.since : one.last_seq > seen;
  }
}
