// The first thing somebody sees who has read nothing; and what stands there when there is no conversation.

import { html } from "../shared/dom.js";
import { Icon, Logo } from "../shared/icons.js";
import { node } from "../shared/node.js";
import { onLink } from "./route.js";

const OFFLINE = [
  ["/md", "See Markdown", "A table, code to copy, lists"],
  ["/slow 12", "Watch an answer come", "Stop it, or write on meanwhile"],
  ["/fail transient 2", "See a failure healed", "Two attempts fail, the third answers"],
  ["/remember colour green", "Keep a fact", "Then ask with /recall colour"],
];
const ANY = [
  ["Explain how a log of events can be turned into a table, with a small example.", "Explain something", "A log of events and its table"],
  ["Write a Python function that merges overlapping intervals, with tests.", "Write some code", "Merge overlapping intervals"],
  ["Compare three ways to make a request safe to repeat, as a table.", "Compare", "Ways to repeat a request safely"],
];

export function Welcome({ onPick }) {
  const isOffline = node.model.startsWith("offline");
  return html`
    <div class="welcome">
      <${Logo} size=${40} />
      <h2>What is on your mind?</h2>
      <p class="faint">${isOffline
        ? "Answers come from a small built-in model that needs no key. It can show everything a conversation goes through."
        : "Close the page whenever you like. The conversation goes on, and will be here."}</p>
      <div class="picks">
        ${(isOffline ? OFFLINE : ANY).map(([text, title, says]) => html`
          <button key=${text} class="pick" onClick=${() => onPick(text, isOffline)}>
            <span class="pick-title">${title}</span><span class="pick-text">${isOffline ? html`<code>${text}</code> ` : ""}${says}</span>
          </button>`)}
      </div>
    </div>`;
}

export const Gone = () => html`
  <div class="welcome">
    <${Icon} name="trash" size=${32} />
    <h2>This conversation was erased</h2>
    <p class="faint">Nothing of it is kept, and its name is not used again.</p>
    <a class="button is-main" href="/" onClick=${onLink(null)}>Begin another</a>
  </div>`;

export const Trouble = ({ problem }) => html`
  <div class="welcome">
    <${Icon} name="warn" size=${32} />
    <h2>This conversation cannot be shown</h2>
    <p class="faint">${problem?.message}</p>
    <a class="button is-main" href="/" onClick=${onLink(null)}>Begin another</a>
  </div>`;
