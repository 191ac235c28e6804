// Every partition of all nodes: who serves it, under which epoch, how far it is, and what is wrong.

import { html } from "../shared/dom.js";
import { getJson, node } from "../shared/node.js";
import { count } from "../shared/times.js";
import { Grid, Status, Trouble, useAsked } from "./asking.js";

const NODES = [["Node"], ["Address", false, "wide"], ["Partitions served", true]];
const HEAD = [
  ["Partition", true], ["State"], ["Owner"], ["Epoch", true], ["Decided up to", true], ["Commands behind", true], ["Restored"], ["What is wrong", false, "wide"],
];

export function Partitions() {
  const { found, problem } = useAsked(() => getJson("/v1/cluster"), []);
  if (!found) return html`<${Trouble} problem=${problem} />`;
  const served = found.partitions.filter((one) => one.state === "active").length;
  return html`
    <${Trouble} problem=${problem} />
    <h2>Nodes: ${found.nodes.length}</h2>
    <${Grid} head=${NODES} nothing="" rows=${found.nodes.map((one) => [html`${one.node}${one.node === node.id && html` <span class="faint">this one</span>`}`, html`<${Address} url=${one.url} />`, one.serves])} />
    <h2>Partitions served: ${served} of ${found.of}</h2>
    <${Grid} head=${HEAD} nothing="There is no partition."
      rows=${found.partitions.map((one) => [
        one.partition, html`<${Status} status=${one.state} />`, one.node || html`<${Address} url=${one.url} />`, one.epoch || "", one.position < 0 ? "" : one.position,
        one.state === "unknown" ? "" : count(one.lag), html`<${Restored} of=${one} />`, one.detail,
      ])} />`;
}

/** The same page of another node. */
const Address = ({ url }) => (/^https?:/.test(url) ? html`<a href=${`${url}/console/node`}>${url}</a>` : html`<span>${url}</span>`);

function Restored({ of: { state, folded, end } }) {
  if (state !== "restoring") return state === "active" ? "all" : "";
  const share = end > 0 ? Math.min(1, folded / end) : 0;
  return html`<progress max="1" value=${share} aria-label="Restored"></progress> ${count(folded)} of ${count(end)}`;
}
