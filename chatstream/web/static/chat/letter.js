// A message on its way to the log.

import { cx, html } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { PlainText } from "./turn.js";

export function Letter({ letter, outbox }) {
  const isRefused = letter.state === "refused";
  return html`
    <section class="turn">
      <article class=${cx("message is-user", !isRefused && "is-waiting")} tabindex="-1" aria-label="You, not sent yet">
        <div class="bubble"><${PlainText} text=${letter.text} /></div>
        <div class="under">
          ${letter.state === "waiting" && html`<span class="standing is-warn"><span class="spinner"></span>Not sent yet. Trying again by itself.</span>`}
          ${isRefused && html`
            <span class="standing is-bad"><${Icon} name="warn" size=${14} />Not taken: ${letter.problem?.message}</span>
            <button class="text-button" onClick=${() => outbox.retry(letter.message_id)}>Send again</button>`}
          ${letter.state !== "sending" && letter.state !== "sent" && html`<button class="text-button" onClick=${() => outbox.discard(letter.message_id)}>Discard</button>`}
        </div>
      </article>
    </section>`;
}
