// State that is looked at from several places: set() replaces fields and tells everyone, once a frame at most.

import { useEffect, useReducer } from "./dom.js";

export class Store {
  #watchers = new Set();
  #told = true;

  constructor(state) {
    this.state = state;
  }

  set(fields) {
    this.state = { ...this.state, ...fields };
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      for (const watcher of [...this.#watchers]) watcher(this.state);
    });
  }

  /** Calls watcher after every change; returns what ends that. */
  watch(watcher) {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
}

/** The store's state in a component, which is drawn again with every change. */
export function useStore(store) {
  const [, again] = useReducer((count) => count + 1, 0);
  useEffect(() => {
    again();
    return store.watch(again);
  }, [store]);
  return store.state;
}
