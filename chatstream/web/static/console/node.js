// This node: its last hour, the calls of the model under way, and how it stands with all partitions.

import { html } from "../shared/dom.js";
import { getJson } from "../shared/node.js";
import { count, duration } from "../shared/times.js";
import { reasonOf } from "../shared/reasons.js";
import { Grid, Trouble, useAsked } from "./asking.js";
import { Partitions } from "./partitions.js";
import { Plot } from "./plot.js";

const CALLS = [["Session"], ["Turn", true], ["Version", true], ["Attempt", true], ["Since", true], ["Pieces said", true], ["What is wrong", false, "wide"]];

export function NodeView() {
  const { found, problem } = useAsked(() => getJson("/v1/console/node"), []);
  if (!found) return html`<${Trouble} problem=${problem} />`;
  const perSecond = (value) => value / found.every_s;
  return html`
    <h1>Node ${found.node}</h1>
    <${Trouble} problem=${problem} />
    <div class="plots">
      <${Plot} title="Messages taken, per second" samples=${found.samples} lines=${[(one) => perSecond(one.messages)]} />
      <${Plot} title="Requests answered, per second" samples=${found.samples} lines=${[(one) => perSecond(one.requests)]} />
      <${Plot} title="Time of a request, p50 and p99, ms" samples=${found.samples} lines=${[(one) => one.p50_ms, (one) => one.p99_ms]} />
      <${Plot} title="Readers held" samples=${found.samples} lines=${[(one) => one.readers]} />
    </div>
    <h2>Calls of the model under way</h2>
    <${Grid} head=${CALLS} nothing="No answer is being given now."
      rows=${found.calls.map((one) => [
        html`<a href=${`/console/sessions/${encodeURIComponent(one.session)}`}>${one.session}</a>`, one.turn, one.version, one.attempt, duration(one.since_s * 1000), count(one.pieces),
        one.retry_in_s === null ? "" : `${reasonOf(one.reason)} Again in ${duration(one.retry_in_s * 1000)}.`,
      ])} />
    <${Partitions} />`;
}
