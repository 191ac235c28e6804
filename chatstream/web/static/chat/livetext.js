// What is being said and not recorded yet: one attempt's text, and who draws it.

export class LiveText {
  #watchers = new Set();

  /** The attempt under way as another window may have it told, or null. */
  current = null;

  /** A frame of the stream: attempt.started, text.delta, turn.retrying. True when more than the text has changed. */
  take(frame) {
    switch (frame.type) {
      case "attempt.started":
        this.current = { turn: frame.turn, version: frame.version, attempt: frame.attempt, text: "", next: 0, retry: null };
        this.#tell();
        return true;
      case "text.delta":
        return this.#append(frame);
      case "turn.retrying":
        if (!this.#is(frame)) return false;
        this.current = { ...this.current, retry: { atMs: Date.now() + frame.after_s * 1000, reason: frame.reason, detail: frame.detail } };
        return true;
      default:
        return false;
    }
  }

  #is(frame) {
    const now = this.current;
    return now && now.turn === frame.turn && now.version === frame.version && now.attempt === frame.attempt;
  }

  #append(frame) {
    const begins = !this.#is(frame);
    if (begins) this.take({ ...frame, type: "attempt.started" });
    // A piece that comes a second time, from a stream that was opened again, is known already.
    if (frame.index < this.current.next) return begins;
    this.current.next = frame.index + 1;
    this.current.text += frame.text;
    this.#tell();
    return begins;
  }

  /** As another window has it. */
  set(current) {
    this.current = current;
    this.#tell();
  }

  /** The turn has ended: what was said is recorded, or void. */
  end(turn) {
    if (this.current?.turn === turn) this.set(null);
  }

  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #tell() {
    for (const watcher of this.#watchers) watcher();
  }
}
