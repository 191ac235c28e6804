// An answer while it is given: its text as it comes, and what is being tried where it does not come.

import { html, useEffect, useLayoutEffect, useReducer, useRef } from "../shared/dom.js";
import { Icon } from "../shared/icons.js";
import { Growing } from "../shared/markdown.js";
import { reasonOf } from "../shared/reasons.js";

const SHARE = 4;
/** Drawing may take one part in so many of the time: a flood of words must not freeze the page. */

export function Answering({ turn, live, attempt }) {
  return html`
    <${Attempt} turn=${turn} attempt=${attempt} />
    <${Streamed} turn=${turn.seq} live=${live} />`;
}

function Streamed({ turn, live }) {
  const place = useRef(null);
  const dots = useRef(null);
  useLayoutEffect(() => {
    const growing = new Growing(place.current);
    let frame = 0;
    let timer = 0;
    let tookMs = 0;
    const draw = () => {
      frame = 0;
      const text = live.current?.turn === turn ? live.current.text : "";
      const beganMs = performance.now();
      growing.update(text);
      dots.current.hidden = text !== "";
      tookMs = performance.now() - beganMs;
    };
    const changed = () => {
      if (frame || timer) return;
      const next = () => {
        timer = 0;
        frame = requestAnimationFrame(draw);
      };
      if (tookMs < 4) next();
      else timer = setTimeout(next, tookMs * SHARE);
    };
    draw();
    const end = live.watch(changed);
    return () => {
      end();
      cancelAnimationFrame(frame);
      clearTimeout(timer);
    };
  }, [turn, live]);
  return html`
    <div class="markdown is-growing" ref=${place}></div>
    <div class="dots" ref=${dots}><i></i><i></i><i></i><span class="out-of-sight">The answer is on its way.</span></div>`;
}

/** Why it takes longer: a failed attempt, a restart. Nothing is said of a first attempt that goes well. */
function Attempt({ turn, attempt }) {
  const [, again] = useReducer((ticks) => ticks + 1, 0);
  const retry = attempt?.retry;
  useEffect(() => {
    if (!retry) return undefined;
    const timer = setInterval(again, 250);
    return () => clearInterval(timer);
  }, [retry]);
  if (retry) {
    const left = Math.max(0, Math.ceil((retry.atMs - Date.now()) / 1000));
    return html`
      <p class="note is-warn" role="status"><${Icon} name="again" size=${15} />
        <span>Attempt ${attempt.attempt} failed: ${reasonOf(retry.reason)} ${left ? `Trying again in ${left} s.` : "Trying again."}</span></p>`;
  }
  if (attempt?.attempt > 1) return html`<p class="note"><${Icon} name="again" size=${15} /><span>Attempt ${attempt.attempt}</span></p>`;
  if (turn.resumed) return html`<p class="note"><${Icon} name="again" size=${15} /><span>The node was restarted in the middle of this answer. It is being given again.</span></p>`;
  return null;
}
