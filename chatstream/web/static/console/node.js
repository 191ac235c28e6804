// This node: its partitions, the calls of the model under way, and its last hour.

import { html } from "../shared/dom.js";
import { getJson, sessionPath } from "../shared/node.js";
import { fully } from "../shared/times.js";
import { Grid, Status, Trouble, useAsked } from "./asking.js";
import { Plot } from "./plot.js";

const CALLS_MOST = 20;

export function NodeView() {
  const { found, problem } = useAsked(() => getJson("/v1/console/node"), []);
  const calls = useAsked(callsNow, []).found ?? [];
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
    <${Grid} head=${[["Session"], ["Turn", true], ["Version", true], ["Attempt", true], ["In line behind it", true], ["Last event"]]} nothing="No answer is being given now."
      rows=${calls.map((one) => [html`<a href=${`/console/sessions/${encodeURIComponent(one.session)}`}>${one.session}</a>`, one.running?.turn, one.running?.version, one.running?.attempt ?? "between attempts", one.waiting, fully(one.updated)])} />
    <h2>Partitions served here: ${found.partitions.length} of ${found.of}</h2>
    <${Grid} head=${[["Partition", true], ["State"], ["Epoch", true], ["Commands not decided yet", true], ["What is wrong", false, "wide"]]} nothing="No partition is assigned to this node."
      rows=${found.partitions.map((one) => [one.partition, html`<${Status} status=${one.state} />`, one.epoch, one.lag, one.detail])} />`;
}

async function callsNow() {
  const { data } = await getJson(`/v1/sessions?status=running&limit=${CALLS_MOST}`);
  const overviews = await Promise.all(data.map((one) => getJson(sessionPath(one.session)).catch(() => null)));
  return overviews.filter(Boolean);
}
