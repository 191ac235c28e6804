// The conversation: turns in chunks, of which those near the screen are drawn.

import { Fragment, cx, html, memo, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { Letter } from "./letter.js";
import { hrefOf, onLink } from "./route.js";
import { Scrolling, TURN_PX } from "./scrolling.js";
import { Turn } from "./turn.js";

const FLASH_MS = 2200;

export function Thread({ chat, state, letters, seq, visit, onEdit }) {
  const { view } = state;
  const scroller = useRef(null);
  const content = useRef(null);
  const [isFollowing, setFollowing] = useState(true);
  const [revealed, setRevealed] = useState(() => new Set());
  const scrolling = useMemo(
    () => new Scrolling({ nearTop: () => chat.loadOlder(), nearEnd: () => chat.loadNewer(), following: setFollowing }),
    [chat],
  );
  useLayoutEffect(() => {
    scrolling.attach(scroller.current, content.current);
    return () => scrolling.detach();
  }, [scrolling]);
  useLayoutEffect(() => {
    if (letters.length) scrolling.toEnd();
  }, [letters.at(-1)?.message_id]);
  useEffect(() => scrolling.look(), [view.older, view.newer]);
  useLink({ chat, state, seq, visit, scrolling });
  const chunks = chunksOf(view.turns.filter((turn) => !turn.rewoundBy || revealed.has(turn.rewoundBy)));
  const last = view.turns.findLast((turn) => turn.user?.status !== "scheduled" && !turn.rewoundBy)?.seq ?? 0;
  const shared = useMemo(() => ({ chat, onEdit, onReveal: (edit) => setRevealed(toggled(edit)) }), [chat]);
  return html`
    <div class="scroller" ref=${scroller} tabindex="-1">
      <div class="thread" ref=${content}>
        <${Beginning} view=${view} phase=${state.phase} />
        ${chunks.map(({ id, turns }) => html`
          <${Chunk} key=${id} id=${id} turns=${turns} scrolling=${scrolling} shared=${shared} revealed=${revealed}
            queue=${touches(turns, view.queue) ? view.queue : null} attempt=${ofTurns(turns, state.attempt)}
            approval=${ofTurns(turns, view.approval)} last=${turns.at(-1).seq === last || turns.some((turn) => turn.seq === last) ? last : 0}
            isIdle=${!view.queue.length} />`)}
        ${view.newer === null && letters.map((letter) => html`<${Letter} key=${letter.message_id} letter=${letter} outbox=${chat.outbox} />`)}
      </div>
    </div>
    <${ToEnd} isShown=${!isFollowing || view.newer !== null} onClick=${() => chat.show(null).then(() => scrolling.toEnd())} />`;
}

function Beginning({ view, phase }) {
  if (phase === "loading") return html`<div class="loading"><span class="spinner"></span><span class="out-of-sight">loading</span></div>`;
  if (view.older !== null) return html`<div class="beginning" aria-hidden="true"></div>`;
  return html`
    <div class="beginning">
      ${view.forkedFrom && html`<p class="note"><${Icon} name="branch" size=${15} /> A fork of <a href=${hrefOf(view.forkedFrom)} onClick=${onLink(view.forkedFrom)}>${view.forkedFrom}</a></p>`}
    </div>`;
}

const ToEnd = ({ isShown, onClick }) => html`
  <div class="to-end-place">
    ${isShown && html`<button class="to-end" aria-label="To the newest message" title="To the newest message" onClick=${onClick}><${Icon} name="down" /></button>`}
  </div>`;

/** What only one chunk is concerned with is no reason for the others to be drawn again. */
const ofTurns = (turns, about) => (about && turns.some((turn) => turn.seq === about.turn) ? about : null);
const touches = (turns, queue) => turns.some((turn) => queue.includes(turn.seq));

const toggled = (edit) => (before) => {
  const after = new Set(before);
  if (!after.delete(edit)) after.add(edit);
  return after;
};

function chunksOf(turns) {
  const chunks = [];
  for (const turn of turns) {
    if (chunks.at(-1)?.id !== turn.chunk) chunks.push({ id: turn.chunk, turns: [] });
    chunks.at(-1).turns.push(turn);
  }
  return chunks;
}

const Chunk = memoByTurns(({ id, turns, scrolling, shared, revealed, queue, attempt, approval, last, isIdle }) => {
  // Older chunks come with negative numbers: they are drawn when they come near.
  const [isShown, setShown] = useState(id >= 0);
  const place = useRef(null);
  useLayoutEffect(() => {
    const node = place.current;
    scrolling.add(node, id, setShown);
    node.reveal = () => setShown(true);
    return () => scrolling.remove(node);
  }, [scrolling]);
  if (!isShown) {
    const height = scrolling.heights.get(id) ?? turns.length * TURN_PX;
    return html`<div class="chunk is-away" ref=${place} data-seqs=${seqsOf(turns)} style=${{ height: `${height}px` }}></div>`;
  }
  return html`
    <div class="chunk" ref=${place} data-seqs=${seqsOf(turns)} style=${{ height: null }}>
      ${turns.map((turn) => html`
        <${Turn} key=${turn.seq} turn=${turn} shared=${shared} place=${queue ? queue.indexOf(turn.seq) : -1}
          attempt=${attempt?.turn === turn.seq ? attempt : null} approval=${approval?.turn === turn.seq ? approval : null}
          isLast=${turn.seq === last} isIdle=${isIdle} isRevealed=${revealed.has(turn.seq)} />`)}
    </div>`;
});

const seqsOf = (turns) => turns.flatMap((turn) => [turn.seq, ...turn.replies.map((reply) => reply.seq)]).join(" ");

function memoByTurns(draw) {
  const Drawn = memo(draw);
  // The list of a chunk's turns is made anew each time; it is the same when its turns are.
  return function Chunked(properties) {
    const kept = useRef(properties.turns);
    const isSame = kept.current.length === properties.turns.length && kept.current.every((turn, at) => turn === properties.turns[at]);
    if (!isSame) kept.current = properties.turns;
    return html`<${Drawn} ...${properties} turns=${kept.current} />`;
  };
}

/** An address that names a message: load it where it is not there, bring it into sight, and let it be noticed. */
function useLink({ chat, state, seq, visit, scrolling }) {
  const isReady = state.phase === "ready";
  useEffect(() => {
    if (!seq || !isReady) return undefined;
    let isOver = false;
    chat.show(seq).then(() => requestAnimationFrame(() => isOver || reveal(seq, scrolling)));
    return () => (isOver = true);
  }, [seq, visit, isReady]);
}

function reveal(seq, scrolling, tries = 20) {
  const node = document.getElementById(`m${seq}`);
  if (!node) {
    document.querySelector(`.chunk.is-away[data-seqs~="${seq}"]`)?.reveal();
    if (tries) requestAnimationFrame(() => reveal(seq, scrolling, tries - 1));
    return;
  }
  scrolling.reveal(node);
  node.focus({ preventScroll: true });
  node.classList.add("is-found");
  setTimeout(() => node.classList.remove("is-found"), FLASH_MS);
}
