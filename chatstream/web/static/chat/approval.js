// A turn that waits for a person's decision.

import { html, useState } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { fully } from "../shared/times.js";
import { canDo } from "./session.js";

export function Approval({ approval, chat }) {
  const [comment, setComment] = useState("");
  const [trouble, setTrouble] = useState("");
  const decide = (decision) => chat.decide(approval.name, decision, comment).catch((problem) => setTrouble(problem.message));
  const detail = typeof approval.detail === "string" ? approval.detail : JSON.stringify(approval.detail, null, 2);
  return html`
    <div class="card is-asking" role="group" aria-label=${`A decision is needed: ${approval.name}`}>
      <div class="card-head"><${Icon} name="question" size=${18} /><strong>A decision is needed: ${approval.name}</strong></div>
      ${approval.detail !== null && html`<pre class="card-json" tabindex="0">${detail}</pre>`}
      <p class="faint">Asked ${fully(approval.since)}. It waits as long as it takes.</p>
      ${canDo.decide && html`
        <input class="field" placeholder="A word about it (optional)" aria-label="Comment" maxlength="2000" value=${comment} onInput=${(event) => setComment(event.currentTarget.value)} />
        ${trouble && html`<p class="is-bad" role="alert">${trouble}</p>`}
        <div class="card-actions">
          <button class="button is-main" onClick=${() => decide("approved")}>Approve</button>
          <button class="button" onClick=${() => decide("rejected")}>Decline</button>
        </div>`}
    </div>`;
}
