// One held connection for all windows of a browser that show the same session, and a few for all sessions together.
//
// A browser opens six connections to a node at most. With a stream in each of six windows the seventh could not even send.
// So: the window that holds a session's lock follows it and tells the others; at most HELD_MOST sessions are followed,
// further ones are asked again and again. A hidden window hands the lock on to one that is seen.

import { catchUp, follow } from "./stream.js";

const HELD_MOST = 4;
const ASK_AGAIN_MS = 1500;
const STILL_HERE_MS = 4000;
const SILENT_MS = 11_000;

export class SharedStream {
  #session;
  #reader;
  #ending = new AbortController();
  #channel = null;
  #leading = null;
  #heardMs = 0;
  #timers = [];
  #nudge = () => {};
  #catching = false;

  /** reader: {token(), live(), onFrame(frame), onLive(snapshot), onState(state, error)}. */
  constructor(session, reader) {
    this.#session = session;
    this.#reader = reader;
  }

  start() {
    if (!navigator.locks || !globalThis.BroadcastChannel) {
      this.#lead(this.#ending.signal);
      return;
    }
    this.#heardMs = Date.now();
    this.#channel = new BroadcastChannel(`chatstream/${this.#session}`);
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    this.#channel.postMessage({ hello: true });
    this.#queueForLock();
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.#timers.push(setInterval(() => this.#look(), ASK_AGAIN_MS));
  }

  stop() {
    this.#ending.abort();
    this.#leading?.abort();
    document.removeEventListener("visibilitychange", this.#onVisibility);
    for (const timer of this.#timers) clearInterval(timer);
    this.#channel?.close();
  }

  /** Something is about to be there: look now, where nothing is held. */
  nudge() {
    this.#nudge();
  }

  #onVisibility = () => {
    // To the end of the line: a window that is seen goes first, and with none waiting the lock is back at once.
    if (document.hidden && this.#leading) this.#leading.abort();
    if (!document.hidden) this.#channel.postMessage({ hello: true });
  };

  async #queueForLock() {
    while (!this.#ending.signal.aborted) {
      await navigator.locks
        .request(`chatstream/stream/${this.#session}`, { signal: this.#ending.signal }, async () => {
          this.#leading = new AbortController();
          await this.#withSlot((held) => this.#lead(this.#leading.signal, held));
          this.#leading = null;
        })
        .catch(() => {});
      if (document.hidden) await new Promise((resolve) => setTimeout(resolve, 200));
    }
  }

  /** Runs with one of the few held connections, or with none. */
  async #withSlot(run, number = 0) {
    if (number === HELD_MOST) return run(false);
    return navigator.locks.request(`chatstream/held/${number}`, { ifAvailable: true }, (lock) =>
      lock ? run(true) : this.#withSlot(run, number + 1),
    );
  }

  async #lead(signal, held = true) {
    this.#tell({ state: "connecting" });
    const beat = setInterval(() => this.#tell({ state: this.#state }), STILL_HERE_MS);
    try {
      if (held) await this.#hold(signal);
      else await this.#askAgain(signal);
    } finally {
      clearInterval(beat);
    }
  }

  #state = "connecting";

  async #hold(signal) {
    const problem = await follow(this.#session, {
      token: () => this.#reader.token(),
      onFrame: (frame) => this.#pass(frame),
      onState: (state, error) => this.#tell({ state, error: error && { message: error.message, code: error.code } }),
      signal,
    });
    if (problem) this.#tell({ state: "ended", error: { message: problem.message, code: problem.code } });
    if (problem) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  }

  async #askAgain(signal) {
    while (!signal.aborted) {
      try {
        await catchUp(this.#session, this.#reader.token(), signal, (frame) => this.#pass(frame));
        this.#tell({ state: "asking" });
      } catch (error) {
        if (!signal.aborted) this.#tell({ state: "broken", error: { message: error.message, code: error.code } });
      }
      await new Promise((resolve) => {
        this.#nudge = resolve;
        setTimeout(resolve, ASK_AGAIN_MS);
        signal.addEventListener("abort", resolve, { once: true });
      });
    }
  }

  #pass(frame) {
    this.#reader.onFrame(frame);
    this.#channel?.postMessage({ frame });
  }

  #tell({ state, error = null }) {
    this.#state = state;
    this.#reader.onState(state, error);
    this.#channel?.postMessage({ state, error, token: this.#reader.token() });
  }

  #hear(said) {
    if (this.#ending.signal.aborted) return;
    if (said.hello) {
      if (this.#leading) {
        this.#channel.postMessage({ state: this.#state, token: this.#reader.token(), live: this.#reader.live() });
        if (document.hidden) this.#leading.abort();
      }
      return;
    }
    this.#heardMs = Date.now();
    if (this.#leading) return;
    if (said.frame) this.#reader.onFrame(said.frame);
    if (said.live !== undefined) this.#reader.onLive(said.live);
    if (said.state) this.#reader.onState(said.state, said.error);
    if (said.token && said.token > this.#reader.token()) this.catchUp();
  }

  /** Fetch what is missing, once at a time. */
  async catchUp() {
    if (this.#catching) return;
    this.#catching = true;
    try {
      await catchUp(this.#session, this.#reader.token(), this.#ending.signal, (frame) => this.#reader.onFrame(frame));
    } catch {
      // The next frame, or the next look, tries again.
    } finally {
      this.#catching = false;
    }
  }

  /** A window that leads and says nothing is frozen: look for ourselves meanwhile. */
  #look() {
    if (!this.#leading && Date.now() - this.#heardMs > SILENT_MS) this.catchUp();
  }
}
