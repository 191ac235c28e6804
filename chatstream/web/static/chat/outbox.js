// Messages that are on their way: kept until the log has them, sent again under the same id until it does.

import { Store } from "../shared/store.js";
import { can, send, sessionPath } from "../shared/node.js";
import { keep, recall } from "../shared/keep.js";

const FIRST_WAIT_MS = 500;
const MOST_WAIT_MS = 8000;
const SENDS = "POST /v1/sessions/{session}/messages";

/** state.letters: [{message_id, text, on_busy, at, replaces, sentMs, state: "sending" | "waiting" | "refused", problem}] in order. */
export class Outbox extends Store {
  #session;
  #busy = false;
  #closed = false;
  #onSent;

  /** onSent: told the answer of every letter that was taken. */
  constructor(session, onSent) {
    super({ letters: recall(`outbox.${session}`, []).map((letter) => ({ ...letter, state: "sending", problem: null })) });
    this.#session = session;
    this.#onSent = onSent;
  }

  open() {
    addEventListener("online", this.#work);
    this.#work();
  }

  close() {
    this.#closed = true;
    removeEventListener("online", this.#work);
  }

  add(letter) {
    this.#put([...this.state.letters, { on_busy: "enqueue", sentMs: Date.now(), state: "sending", problem: null, ...letter }]);
    this.#work();
  }

  /** The log has it: an event with its id has come. */
  delivered(messageId) {
    if (this.state.letters.some((letter) => letter.message_id === messageId)) this.discard(messageId);
  }

  discard(messageId) {
    this.#put(this.state.letters.filter((letter) => letter.message_id !== messageId));
  }

  /** Try a refused one again. Its id is free, for a refusal registers none. */
  retry(messageId) {
    this.#change(messageId, { state: "sending", problem: null });
    this.#work();
  }

  #put(letters) {
    this.set({ letters });
    keep(`outbox.${this.#session}`, letters.length ? letters.map(({ problem, ...letter }) => letter) : null);
  }

  #change(messageId, fields) {
    this.#put(this.state.letters.map((letter) => (letter.message_id === messageId ? { ...letter, ...fields } : letter)));
  }

  #work = async () => {
    if (this.#busy || !can(SENDS)) return;
    this.#busy = true;
    let waitMs = FIRST_WAIT_MS;
    for (;;) {
      const letter = this.state.letters.find(({ state }) => state === "sending" || state === "waiting");
      if (!letter || this.#closed) break;
      if (await this.#post(letter)) {
        waitMs = FIRST_WAIT_MS;
      } else {
        await new Promise((resolve) => setTimeout(resolve, waitMs));
        waitMs = Math.min(waitMs * 2, MOST_WAIT_MS);
      }
    }
    this.#busy = false;
  };

  /** False: try again later. */
  async #post(letter) {
    try {
      const answer = await send("POST", ...requestOf(this.#session, letter));
      // Still here until its event has come: it must not vanish and come back.
      this.#change(letter.message_id, { state: "sent" });
      this.#onSent(answer, letter);
      return true;
    } catch (problem) {
      const told = { message: problem.message, code: problem.code ?? "" };
      const isLater = problem.retryable && problem.code !== "turn-in-progress";
      this.#change(letter.message_id, { state: isLater ? "waiting" : "refused", problem: told });
      return !isLater;
    }
  }
}

function requestOf(session, { message_id, text, on_busy, at, replaces }) {
  if (replaces) return [sessionPath(session, "/edit"), { seq: replaces, text }, message_id];
  const body = { text, message_id, on_busy };
  if (at) body.at = at;
  return [sessionPath(session, "/messages"), body];
}
