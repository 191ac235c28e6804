// Shortcuts of the whole page. Typing text is never one.

import { useEffect } from "../shared/dom.js";
import { goTo } from "./route.js";
import { canDo } from "./session.js";

export const SHORTCUTS = [
  ["Enter", "send"],
  ["Shift Enter", "a new line"],
  ["Ctrl Enter", "send now: stops the answer under way"],
  ["Esc", "stop the answer"],
  ["↑", "in an empty field: edit the last message"],
  ["Alt N", "a new chat"],
  ["/ or Ctrl K", "search the titles"],
  ["j, k", "to the next message, to the one before"],
  ["i", "to the field"],
  ["?", "this list"],
];

export function useKeys({ chat, setDialog, openSidebar }) {
  useEffect(() => {
    const onKey = (event) => {
      const isTyping = event.target.matches("input, textarea, select, [contenteditable]");
      const act = globalKey(event, { chat, openSidebar }) ?? (isTyping || event.ctrlKey || event.metaKey || event.altKey ? null : plainKey(event, { setDialog, openSidebar }));
      if (!act) return;
      event.preventDefault();
      act();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, [chat]);
}

function globalKey(event, { chat, openSidebar }) {
  if (event.altKey && event.code === "KeyN") return () => goTo(null);
  if ((event.ctrlKey || event.metaKey) && event.key === "k") return () => toSearch(openSidebar);
  const running = chat.state.view.queue[0];
  const isStop = event.key === "Escape" && running && canDo.cancel && !event.defaultPrevented && !document.querySelector("dialog[open], .menu");
  return isStop ? () => chat.cancel({ turn: running }).catch(() => {}) : null;
}

function plainKey(event, { setDialog, openSidebar }) {
  switch (event.key) {
    case "/":
      return () => toSearch(openSidebar);
    case "?":
      return () => setDialog({ kind: "keys" });
    case "i":
      return () => document.getElementById("composer")?.focus();
    case "j":
      return () => toMessage(1);
    case "k":
      return () => toMessage(-1);
    default:
      return null;
  }
}

function toSearch(openSidebar) {
  openSidebar();
  document.getElementById("search")?.focus();
}

function toMessage(step) {
  const messages = [...document.querySelectorAll("article.message")];
  if (!messages.length) return;
  const at = messages.indexOf(document.activeElement?.closest?.("article.message"));
  const next = messages[at < 0 ? messages.length - 1 : Math.min(messages.length - 1, Math.max(0, at + step))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}
