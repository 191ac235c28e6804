// Commands that could not be read: why, what they hold, and once more, please.

import { html, useState } from "../shared/dom.js";
import { ask, getJson } from "../shared/node.js";
import { bytes, fully } from "../shared/times.js";
import { Grid, Trouble, useAsked } from "./asking.js";

const HEAD = [["Offset", true], ["Time"], ["Reason"], ["Command at"], ["Key"], ["Bytes", true], ["Value", false, "wide"], [""]];

export function LettersView() {
  const { found, problem } = useAsked(() => getJson("/v1/console/dead-letters"), []);
  const [trouble, setTrouble] = useState(null);
  const [again, setAgain] = useState(() => new Set());
  const redrive = async (offset) => {
    try {
      await ask("POST", `/v1/console/dead-letters/${offset}/redrive`);
      setAgain((before) => new Set([...before, offset]));
      setTrouble(null);
    } catch (wrong) {
      setTrouble(wrong);
    }
  };
  return html`
    <h1>Dead letters</h1>
    <p class="faint">The newest commands that could not be taken. Mend the cause, then produce one again: it keeps its id, so it is taken once however often that is done.</p>
    <${Trouble} problem=${trouble ?? problem} />
    ${found && html`
      <${Grid} head=${HEAD} nothing="Every command so far could be taken."
        rows=${found.data.map((one) => [
          one.offset, fully(one.at_ms), html`<code>${one.reason}</code>`, one.place, one.key, bytes(one.size_bytes), html`<pre>${one.text || one.base64}</pre>`,
          again.has(one.offset) ? "produced again" : one.whole && html`<button class="text-button" onClick=${() => redrive(one.offset)}>Produce again</button>`,
        ])} />`}`;
}
