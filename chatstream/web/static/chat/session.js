// One conversation in this window: its view, what is being said, what is on its way, and what can be done to it.

import { Store } from "../shared/store.js";
import { Problem, ask, canSession, freshId, getJson, send, sessionPath } from "../shared/node.js";
import { emptyView, find, seqOf, withEvent, withOverview, withPage } from "../shared/fold.js";
import { SharedStream } from "../shared/sharing.js";
import { overviewOf } from "../shared/stream.js";
import { LiveText } from "./livetext.js";
import { Outbox } from "./outbox.js";

const PAGE = 50;
const TRY_AGAIN_MS = 1000;

/** state: phase `loading`, `ready`, `gone` or `failed`; view; connection; overview; attempt: {turn, attempt, retry}; said. */
export class ChatSession extends Store {
  live = new LiveText();

  #stream = null;
  #closed = false;
  #loading = new Set();
  #wantsOverview = false;
  #isFresh;

  /** isFresh: nobody has heard of it yet, so there is nothing to load or to follow before its first message. */
  constructor(id, isFresh) {
    super({ phase: isFresh ? "ready" : "loading", view: emptyView(id), connection: "connecting", overview: null, attempt: null, problem: null, said: "" });
    this.id = id;
    this.#isFresh = isFresh;
    this.outbox = new Outbox(id, () => this.#stream?.nudge());
  }

  async open(atSeq) {
    this.outbox.open();
    if (this.#isFresh) return;
    while (!this.#closed) {
      try {
        await this.#load(atSeq);
        break;
      } catch (problem) {
        if (problem instanceof Problem && !problem.retryable) {
          this.set({ phase: problem.status === 410 ? "gone" : "failed", problem });
          return;
        }
        this.set({ connection: "broken", problem });
        await new Promise((resolve) => setTimeout(resolve, TRY_AGAIN_MS));
      }
    }
    if (!this.#closed) this.#follow();
  }

  close() {
    this.#closed = true;
    this.outbox.close();
    this.#stream?.stop();
  }

  async #load(atSeq) {
    const page = await this.#page(atSeq ? `after=${Math.max(0, atSeq - PAGE / 2)}` : "");
    const view = page ? withPage(this.state.view, page, "anew") : { ...this.state.view, known: false };
    this.set({ phase: "ready", view });
    this.#delivered(view.turns);
    if (page) await this.#look();
    if (view.older === null && view.turns[0]?.seq > 1) await this.#lookForOrigin();
  }

  /** A fork says where it comes from in its first event, which is no message. */
  async #lookForOrigin() {
    const [first] = await getJson(sessionPath(this.id, "/events?offset=-1"));
    if (first?.type === "session.created") this.set({ view: { ...this.state.view, forkedFrom: first.from } });
  }

  /** A page of messages; null for a session that nobody has heard of yet. */
  async #page(asked) {
    try {
      return await getJson(sessionPath(this.id, `/messages?limit=${PAGE}&${asked}`));
    } catch (problem) {
      if (problem.status === 404) return null;
      throw problem;
    }
  }

  #follow() {
    this.#stream = new SharedStream(this.id, {
      token: () => this.state.view.token,
      live: () => this.live.current,
      onLive: (current) => {
        this.live.set(current);
        this.#showAttempt();
      },
      onFrame: (frame) => this.#take(frame),
      onState: (connection, error) => this.#onState(connection, error),
    });
    this.#stream.start();
  }

  #onState(connection, error) {
    if (connection === "ended" && error?.code === "session-erased") this.set({ phase: "gone" });
    if (connection !== this.state.connection || error) this.set({ connection, problem: error });
  }

  #take({ event, token, live }) {
    if (live) {
      if (this.live.take(live)) this.#showAttempt();
      return;
    }
    if (!event) {
      if (token && seqOf(token) === this.state.view.lastSeq) this.state.view.token = token;
      return;
    }
    const view = withEvent(this.state.view, event, token);
    if (view === null) return void this.#stream.catchUp();
    if (view === this.state.view) return;
    this.set({ view, phase: view.erased ? "gone" : this.state.phase });
    if (event.type.startsWith("reply.")) this.#ended(event);
    if (event.message_id) this.outbox.delivered(event.message_id);
    this.#wantOverview();
  }

  #ended(event) {
    this.live.end(event.turn);
    this.#showAttempt();
    // For those who listen: an answer is read out when it is whole, never word by word.
    this.set({ said: event.type === "reply.completed" ? event.text.slice(0, 2000) : `The answer ended: ${event.type.slice(6)}.` });
  }

  #showAttempt() {
    const now = this.live.current;
    this.set({ attempt: now && { turn: now.turn, attempt: now.attempt, version: now.version, retry: now.retry } });
  }

  #delivered(turns) {
    for (const turn of turns) if (turn.user) this.outbox.delivered(turn.user.message_id);
  }

  /** Ask the owner how things stand, once for many events. */
  #wantOverview() {
    if (this.#wantsOverview) return;
    this.#wantsOverview = true;
    setTimeout(() => {
      this.#wantsOverview = false;
      this.#look().catch(() => {});
    }, 150);
  }

  async #look() {
    const overview = await overviewOf(this.id);
    if (overview && !this.#closed) this.set({ overview, view: withOverview(this.state.view, overview) });
  }

  async loadOlder() {
    const before = this.state.view.older;
    if (before !== null) await this.#more("older", `before=${before}`);
  }

  async loadNewer() {
    const after = this.state.view.newer;
    if (after !== null) await this.#more("newer", `after=${after}`);
  }

  async #more(where, asked) {
    if (this.#loading.has(where)) return;
    this.#loading.add(where);
    try {
      const page = await this.#page(asked);
      if (page) this.set({ view: withPage(this.state.view, page, where) });
    } catch {
      // Whoever scrolls on asks again.
    } finally {
      this.#loading.delete(where);
    }
  }

  /** Show the end, or the surroundings of a message, where they are not loaded. */
  async show(seq) {
    const { view } = this.state;
    if (seq ? find(view.turns, seq) < 0 && !view.turns.some((turn) => turn.replies.some((reply) => reply.seq === seq)) : view.newer !== null) {
      await this.#load(seq);
      this.#stream?.catchUp();
    }
  }

  send(text, options = {}) {
    if (!this.#stream) this.#follow();
    this.outbox.add({ message_id: freshId("m"), text, ...options });
  }

  edit(seq, text) {
    this.outbox.add({ message_id: freshId("m"), text, replaces: seq });
  }

  // What follows are commands: recorded, idempotent by their key, and shown when their event comes back.

  cancel(target) {
    return this.#command("/cancel", target);
  }

  retry(turn) {
    return this.#command("/retry", { turn });
  }

  regenerate() {
    return this.#command("/regenerate", {});
  }

  decide(name, decision, comment) {
    return this.#command(`/approvals/${encodeURIComponent(name)}`, comment ? { decision, comment } : { decision });
  }

  async fork(seq) {
    const answer = await this.#command("/fork", seq ? { seq } : {});
    return answer.session ?? answer.id;
  }

  update(fields) {
    return send("PATCH", sessionPath(this.id), fields, freshId("c"));
  }

  erase() {
    return ask("DELETE", sessionPath(this.id), { headers: { "Idempotency-Key": freshId("c") } });
  }

  async #command(path, body) {
    const answer = await send("POST", sessionPath(this.id, path), body, freshId("c"));
    this.#stream?.nudge();
    return answer;
  }
}

export const canDo = {
  cancel: canSession("POST", "/cancel"),
  retry: canSession("POST", "/retry"),
  regenerate: canSession("POST", "/regenerate"),
  edit: canSession("POST", "/edit"),
  fork: canSession("POST", "/fork"),
  update: canSession("PATCH"),
  erase: canSession("DELETE"),
  export: canSession("GET", "/export"),
  decide: canSession("POST", "/approvals/{name}"),
};
