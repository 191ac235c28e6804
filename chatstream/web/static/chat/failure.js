// An answer that was not given: what happened, in words, and what can be done.

import { html } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { canDo } from "./session.js";

const REASONS = {
  "model-overloaded": "The model is overloaded.",
  "rate-limited": "The model takes no more requests for now.",
  "spend-limit": "The spending limit of the model's account is reached.",
  "model-auth": "The model did not accept the key.",
  "bad-request": "The model refused the request.",
  "model-unreachable": "The model could not be reached.",
  truncated: "The answer broke off.",
  "model-error": "The model reported an error.",
  timeout: "The model fell silent, or took longer than an answer may.",
  "empty-reply": "The model said nothing.",
  "responder-error": "The code that answers has a mistake.",
  "crash-loop": "The process that answered died again and again on this message.",
  "reply-too-large": "The answer was larger than one answer may be.",
  "too-many-steps": "The answer took more steps than one answer may.",
  "no-message": "There was no message to answer.",
};

/** A sentence for a code; an unknown code speaks for itself. */
export const reasonOf = (code) => REASONS[code] ?? `${code || "unknown"}.`;

export function Failure({ reply, chat }) {
  return html`
    <div class="card is-bad" role="group" aria-label="This was not answered">
      <div class="card-head"><${Icon} name="warn" size=${18} /><strong>This was not answered</strong></div>
      <p>${reasonOf(reply.code)}${reply.attempts > 1 ? ` ${reply.attempts} attempts were made.` : ""}</p>
      ${reply.detail && html`<details><summary>Details</summary><p class="detail"><code>${reply.code}</code> ${reply.detail}</p></details>`}
      ${canDo.retry && html`<div class="card-actions"><button class="button" onClick=${() => chat.retry(reply.turn).catch(() => {})}><${Icon} name="again" size=${16} />Try again</button></div>`}
    </div>`;
}
