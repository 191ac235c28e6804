// One turn: what was asked, and its answer, whatever became of it.

import { cx, html, memo, useLayoutEffect, useRef, useState } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { copyText } from "../shared/code.js";
import { toFragment } from "../shared/markdown.js";
import { count, fully, whenDue } from "../shared/times.js";
import { Approval } from "./approval.js";
import { Answering } from "./answering.js";
import { Failure } from "./failure.js";
import { goTo, hrefOf } from "./route.js";
import { canDo } from "./session.js";

const LONG_CHARS = 120_000;
/** Longer texts are drawn in part until somebody wants all of it. */

export const Turn = memo(({ turn, shared, place, attempt, approval, isLast, isIdle, isRevealed }) => html`
  <section class=${cx("turn", turn.rewoundBy && "is-rewound")}>
    ${turn.user && html`<${Asked} turn=${turn} item=${turn.user} shared=${shared} place=${place} isRevealed=${isRevealed} />`}
    <${Answer} turn=${turn} shared=${shared} place=${place} attempt=${attempt} approval=${approval} isLast=${isLast} isIdle=${isIdle} />
  </section>`);

function Asked({ turn, item, shared, place, isRevealed }) {
  const { chat } = shared;
  const isWaiting = item.status === "waiting";
  return html`
    <article class=${cx("message is-user", isWaiting && "is-waiting", item.status === "scheduled" && "is-waiting")} id=${`m${item.seq}`} tabindex="-1" aria-label=${`You, message ${item.seq}`}>
      <div class="bubble"><${PlainText} text=${item.text} />${others(item.content)}</div>
      <div class="under">
        <${Standing} item=${item} place=${place} chat=${chat} />
        ${item.replaces > 0 && html`
          <button class="text-button" onClick=${() => shared.onReveal(turn.seq)}>${isRevealed ? "Edited. Hide what was before" : "Edited. Show what was before"}</button>`}
        <div class="actions">
          <${Copy} text=${item.text} />
          ${canDo.edit && !turn.rewoundBy && item.status !== "scheduled" && html`<${Action} icon="edit" name="Edit and send again" onClick=${() => shared.onEdit({ seq: item.seq, text: item.text })} />`}
          <${Link} chat=${chat} seq=${item.seq} />
        </div>
      </div>
    </article>`;
}

/** Where a message is that is not being answered yet. */
function Standing({ item, place, chat }) {
  const cancel = (target) => canDo.cancel && html`<button class="text-button" onClick=${() => chat.cancel(target).catch(() => {})}>Take back</button>`;
  switch (item.status) {
    case "waiting":
      return html`<span class="standing"><${Icon} name="clock" size=${14} />${place > 1 ? `Waits, number ${place} in line` : "Next in line"}</span>${cancel({ turn: item.seq })}`;
    case "scheduled":
      return html`<span class="standing"><${Icon} name="clock" size=${14} />Will be sent ${whenDue(item.due)}</span>${cancel({ message_id: item.message_id })}`;
    case "cancelled":
      return item.due ? html`<span class="standing">Taken back before it was sent</span>` : null;
    case "refused":
      return html`<span class="standing is-bad">Was not taken when its time came: ${item.code || "refused"}</span>`;
    default:
      return null;
  }
}

function Answer({ turn, shared, place, attempt, approval, isLast, isIdle }) {
  const [chosen, setChosen] = useState(null);
  const isOpen = place === 0 || (turn.user?.status === "running" && !turn.replies.length);
  const versions = turn.replies.length + (isOpen ? 1 : 0);
  if (!versions) return null;
  const at = Math.min(chosen ?? versions - 1, versions - 1);
  const reply = turn.replies[at];
  const switcher = versions > 1 && html`<${Versions} at=${at} count=${versions} onChoose=${(next) => setChosen(next === versions - 1 ? null : next)} />`;
  if (!reply) {
    return html`
      <article class="message is-reply" aria-label="Answer under way" aria-busy="true" tabindex="-1">
        ${approval ? html`<${Approval} approval=${approval} chat=${shared.chat} />` : html`<${Answering} turn=${turn} live=${shared.chat.live} attempt=${attempt} />`}
        ${switcher && html`<div class="under">${switcher}</div>`}
      </article>`;
  }
  return html`<${Reply} turn=${turn} reply=${reply} switcher=${switcher} shared=${shared} isLast=${isLast} isIdle=${isIdle} />`;
}

function Reply({ turn, reply, switcher, shared, isLast, isIdle }) {
  const { chat } = shared;
  const isEmpty = !reply.text && !reply.content?.length;
  if (reply.status === "cancelled" && isEmpty && turn.user?.due) return null;
  return html`
    <article class="message is-reply" id=${`m${reply.seq}`} tabindex="-1" aria-label=${`Answer, message ${reply.seq}`}>
      ${reply.text && html`<${Formatted} text=${reply.text} />`}
      ${others(reply.content)}
      ${reply.status === "failed" && html`<${Failure} reply=${reply} chat=${chat} />`}
      ${reply.status === "cancelled" && html`<p class="note"><${Icon} name="stop" size=${14} /> ${isEmpty ? "Stopped before a word was said." : "Stopped here."}</p>`}
      <div class="under">
        ${switcher}
        <div class=${cx("actions", isLast && "is-steady")}>
          ${reply.text && html`<${Copy} text=${reply.text} />`}
          ${canDo.regenerate && isLast && isIdle && reply.status !== "failed" && html`<${Action} icon="again" name="Answer again" onClick=${() => chat.regenerate().catch(() => {})} />`}
          ${canDo.fork && html`<${Action} icon="fork" name="Fork from here" onClick=${async () => goTo(await chat.fork(reply.seq))} />`}
          <${Link} chat=${chat} seq=${reply.seq} />
        </div>
        <span class="details">${details(reply)}</span>
      </div>
    </article>`;
}

function details(reply) {
  const usage = reply.usage ?? {};
  const tokens = (usage.input_tokens ?? 0) + (usage.output_tokens ?? 0);
  const parts = [reply.model, tokens && `${count(tokens)} tokens`, reply.attempts > 1 && `${reply.attempts} attempts`, fully(reply.time)];
  return parts.filter(Boolean).join(" · ");
}

/** Blocks that are no text: named, since what they hold may be anything. */
function others(content) {
  const kinds = (content ?? []).map((block) => block.type).filter((type) => type && type !== "text" && type !== "thinking");
  return kinds.length ? html`<p class="note">${kinds.map((kind) => html`<span class="chip">${kind}</span>`)}</p>` : null;
}

function Versions({ at, count: all, onChoose }) {
  return html`
    <span class="versions" role="group" aria-label="Versions of this answer">
      <button class="icon-button is-small" aria-label="The version before" disabled=${at === 0} onClick=${() => onChoose(at - 1)}><${Icon} name="left" size=${15} /></button>
      <span>${at + 1} of ${all}</span>
      <button class="icon-button is-small" aria-label="The next version" disabled=${at === all - 1} onClick=${() => onChoose(at + 1)}><${Icon} name="right" size=${15} /></button>
    </span>`;
}

export const Action = ({ icon, name, onClick }) => html`
  <button class="icon-button is-small" aria-label=${name} title=${name} onClick=${onClick}><${Icon} name=${icon} size=${16} /></button>`;

function Done({ icon, name, act }) {
  const [isDone, setDone] = useState(false);
  const onClick = async () => {
    await act();
    setDone(true);
    setTimeout(() => setDone(false), 1600);
  };
  return html`<${Action} icon=${isDone ? "check" : icon} name=${isDone ? "Copied" : name} onClick=${onClick} />`;
}

const Copy = ({ text }) => html`<${Done} icon="copy" name="Copy" act=${() => copyText(text)} />`;
const Link = ({ chat, seq }) => html`
  <${Done} icon="link" name="Copy a link to this message" act=${() => copyText(new URL(hrefOf(chat.id, seq), location.href).href)} />`;

export const PlainText = ({ text }) => {
  const [isWhole, setWhole] = useState(false);
  const isCut = text.length > LONG_CHARS && !isWhole;
  return html`<div class="plain">${isCut ? text.slice(0, LONG_CHARS) : text}</div>${isCut && html`<${Rest} text=${text} onClick=${() => setWhole(true)} />`}`;
};

const Rest = ({ text, onClick }) => html`<button class="text-button" onClick=${onClick}>Show all ${count(text.length)} characters</button>`;

const drawn = new Map();
const DRAWN_MOST = 300;

/** Nodes of a text, as drawn before where it was: scrolling back and forth must not read Markdown again. */
function nodesOf(text) {
  const known = drawn.get(text);
  drawn.delete(text);
  const nodes = known?.length && !known[0].isConnected ? known : [...toFragment(text).childNodes];
  drawn.set(text, nodes);
  if (drawn.size > DRAWN_MOST) drawn.delete(drawn.keys().next().value);
  return nodes;
}

function Formatted({ text }) {
  const place = useRef(null);
  const [isWhole, setWhole] = useState(false);
  const isCut = text.length > LONG_CHARS && !isWhole;
  useLayoutEffect(() => {
    place.current.replaceChildren(...nodesOf(isCut ? text.slice(0, LONG_CHARS) : text));
  }, [text, isCut]);
  return html`<div class="markdown" ref=${place}></div>${isCut && html`<${Rest} text=${text} onClick=${() => setWhole(true)} />`}`;
}
