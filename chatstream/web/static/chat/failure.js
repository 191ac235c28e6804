// An answer that was not given: what happened, in words, and what can be done.

import { html } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { reasonOf } from "../shared/reasons.js";
import { canDo } from "./session.js";

export function Failure({ reply, chat }) {
  return html`
    <div class="card is-bad" role="group" aria-label="This was not answered">
      <div class="card-head"><${Icon} name="warn" size=${18} /><strong>This was not answered</strong></div>
      <p>${reasonOf(reply.code)}${reply.attempts > 1 ? ` ${reply.attempts} attempts were made.` : ""}</p>
      ${reply.detail && html`<details><summary>Details</summary><p class="detail"><code>${reply.code}</code> ${reply.detail}</p></details>`}
      ${canDo.retry && html`<div class="card-actions"><button class="button" onClick=${() => chat.retry(reply.turn).catch(() => {})}><${Icon} name="again" size=${16} />Try again</button></div>`}
    </div>`;
}
