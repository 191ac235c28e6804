// A session's turns: how long each waited in line, was answered, and was parked, and how it ended.

import { html } from "../shared/dom.js";
import { afterRunning } from "../shared/fold.js";
import { count, duration, exactly, fully } from "../shared/times.js";
import { Grid, Trouble } from "./asking.js";
import { useEvents } from "./events.js";

const ENDINGS = { "reply.completed": "completed", "reply.failed": "failed", "reply.cancelled": "cancelled" };
const HEAD = [
  ["Turn", true], ["Asked at"], ["Message", false, "wide"], ["End"], ["Attempts", true], ["Restarts", true], ["Steps", true], ["Tokens", true], ["Waited", true],
  ["Took", true], ["", false, "line"],
];
const KINDS = { waits: "in line", runs: "being answered", parked: "waiting for a decision" };

export function Turns({ session, lastSeq, overview }) {
  const { found, problem } = useEvents(session, lastSeq);
  const turns = turnsOf(found ?? [], Date.now()).reverse();
  const longest = Math.max(1, ...turns.map((turn) => turn.lastMs - turn.firstMs));
  const attempts = (turn) => turn.attempts + (overview.running?.turn === turn.seq ? overview.running.attempt ?? 0 : 0);
  return html`
    <${Trouble} problem=${problem} />
    <${Grid} head=${HEAD} nothing="No turns."
      rows=${turns.map((turn) => [
        html`<a href=${`/s/${encodeURIComponent(session)}#${turn.seq}`}>${turn.seq}</a>`, html`<span class="time" title=${fully(turn.time)}>${exactly(turn.time)}</span>`,
        turn.text.slice(0, 120), html`${turn.end}${turn.code && html` <code>${turn.code}</code>${turn.detail && html`<details><summary>why</summary>${turn.detail}</details>`}`}`,
        attempts(turn) || "", turn.restarts || "", turn.steps || "", turn.tokens ? count(turn.tokens) : "", told(turn, "waits"), told(turn, "runs"),
        html`<${Line} turn=${turn} longest=${longest} />`,
      ])} />
    <p class="legend">${Object.entries(KINDS).map(([kind, says]) => html`<span><i class=${`span is-${kind}`}></i>${says}</span>`)}<span>each line begins when its message was taken; the longest takes ${duration(longest)}</span></p>`;
}

const spent = (turn, kind) => turn.spans.reduce((sum, span) => sum + (span.kind === kind ? span.toMs - span.fromMs : 0), 0);
const told = (turn, kind) => (turn.spans.some((span) => span.kind === kind) ? duration(spent(turn, kind)) : "");

function Line({ turn, longest }) {
  const says = turn.spans.map((span) => `${duration(span.toMs - span.fromMs)} ${KINDS[span.kind]}`).join(", ");
  return html`
    <span class="spans" role="img" aria-label=${says} title=${says} style=${{ width: `${(100 * (turn.lastMs - turn.firstMs)) / longest}%` }}>
      ${turn.spans.map((span) => html`<i class=${`span is-${span.kind} is-${turn.end}`} style=${{ flexGrow: Math.max(1, span.toMs - span.fromMs) }}></i>`)}
    </span>`;
}

/** Turns as events tell them, oldest first. spans: [{kind, fromMs, toMs}], until nowMs for what is not over. */
export function turnsOf(events, nowMs) {
  const turns = new Map();
  let queue = [];
  const now = { ms: 0 };
  const enter = (seq, kind) => {
    const turn = turns.get(seq);
    if (!turn) return;
    leave(turn, now.ms);
    turn.open = { kind, fromMs: now.ms };
  };
  const move = (next) => {
    const before = queue[0];
    queue = next;
    for (const seq of queue.slice(1)) if (!turns.get(seq)?.open) enter(seq, "waits");
    if (queue.length && queue[0] !== before) enter(queue[0], "runs");
  };
  for (const event of events) {
    now.ms = Date.parse(event.time);
    if (event.type === "message.accepted") {
      turns.set(event.seq, newTurn(event));
      if (!event.copy) move(event.on_busy === "interrupt" ? afterRunning(queue, event.seq) : [...queue, event.seq]);
    }
    const turn = turns.get(event.turn);
    if (!turn) continue;
    turn.lastMs = now.ms;
    if (event.type === "turn.resumed") turn.restarts += 1;
    if (event.type === "step.completed") turn.steps += 1;
    if (event.type === "approval.requested") enter(turn.seq, "parked");
    if (event.type === "approval.decided") enter(turn.seq, "runs");
    if (event.type === "turn.restarted") {
      Object.assign(turn, { end: "open", code: "", detail: "" });
      move(afterRunning(queue, turn.seq));
    }
    if (ENDINGS[event.type]) {
      end(turn, event);
      leave(turn, now.ms);
      move(queue.filter((seq) => seq !== turn.seq));
    }
  }
  for (const turn of turns.values()) leave(turn, Math.max(nowMs, turn.lastMs), true);
  return [...turns.values()];
}

const newTurn = (event) => ({
  seq: event.seq, time: event.time, text: event.text ?? "", end: "open", attempts: 0, restarts: 0, steps: 0, tokens: 0, code: "", detail: "",
  spans: [], open: null, firstMs: Date.parse(event.time), lastMs: Date.parse(event.time),
});

function leave(turn, ms, isNow = false) {
  if (!turn.open) return;
  if (ms > turn.open.fromMs || !isNow) turn.spans.push({ ...turn.open, toMs: ms });
  turn.open = null;
  turn.lastMs = Math.max(turn.lastMs, ms);
}

function end(turn, event) {
  turn.end = ENDINGS[event.type];
  turn.attempts += event.attempts ?? (event.type === "reply.completed" ? 1 : 0);
  turn.tokens += (event.usage?.input_tokens ?? 0) + (event.usage?.output_tokens ?? 0);
  turn.code = event.code ?? "";
  turn.detail = event.detail ?? "";
}
