// What this browser remembers by itself. A full or forbidden storage loses that, and nothing else.

const PREFIX = "chatstream.";

export function recall(name, otherwise) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

export function keep(name, value) {
  try {
    if (value === undefined || value === null || value === "") localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // The page works without.
  }
}

/** Calls watcher with the new value when another window keeps something under the name. */
export function onKept(name, watcher) {
  const listener = (event) => {
    if (event.key === PREFIX + name) watcher(event.newValue === null ? undefined : JSON.parse(event.newValue));
  };
  addEventListener("storage", listener);
  return () => removeEventListener("storage", listener);
}
