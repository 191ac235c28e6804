// Addresses: `/` a conversation to begin, `/s/alice` one of them, `/s/alice#7` the message with that seq.

import { useEffect, useState } from "../shared/dom.js";

const watchers = new Set();
let visits = 0;

/** {session, seq, visit}: seq null where the address names no message; visit: how often something was gone to. */
export function placeNow() {
  const found = /^\/s\/([^/]+)$/.exec(location.pathname);
  const seq = /^#(\d{1,15})$/.exec(location.hash);
  return { session: found ? decodeURIComponent(found[1]) : null, seq: seq ? Number(seq[1]) : null, visit: visits };
}

export const hrefOf = (session, seq) => (session ? `/s/${encodeURIComponent(session)}${seq ? `#${seq}` : ""}` : "/");

/** keep: the conversation on the screen only gets its address; nothing is loaded. */
export function goTo(session, { seq = null, replace = false, keep = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", hrefOf(session, seq));
  if (!keep) visits += 1;
  for (const watcher of watchers) watcher();
}

/** For links: a plain click stays on this page, any other is the browser's. */
export function onLink(session) {
  return (event) => {
    if (event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    goTo(session);
  };
}

export function useRoute() {
  const [place, setPlace] = useState(placeNow());
  useEffect(() => {
    const look = () => setPlace(placeNow());
    const moved = () => {
      visits += 1;
      look();
    };
    watchers.add(look);
    addEventListener("popstate", moved);
    addEventListener("hashchange", moved);
    return () => {
      watchers.delete(look);
      removeEventListener("popstate", moved);
      removeEventListener("hashchange", moved);
    };
  }, []);
  return place;
}
