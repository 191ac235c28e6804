// Asking again and again, while the window is seen.

import { html, useEffect, useState } from "../shared/dom.js";

const EVERY_MS = 2500;

/** {found, problem} of what `read` gives, read again every some seconds and when `keys` change. */
export function useAsked(read, keys) {
  const [answer, setAnswer] = useState({ found: null, problem: null });
  useEffect(() => {
    let isOver = false;
    let timer = 0;
    const look = async () => {
      clearTimeout(timer);
      try {
        const found = await read();
        if (!isOver) setAnswer({ found, problem: null });
      } catch (problem) {
        if (!isOver) setAnswer((before) => ({ ...before, problem }));
      }
      if (!isOver && !document.hidden) timer = setTimeout(look, EVERY_MS);
    };
    const seen = () => document.hidden || look();
    document.addEventListener("visibilitychange", seen);
    look();
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", seen);
    };
  }, keys);
  return answer;
}

export const Trouble = ({ problem }) => (problem ? html`<p class="is-bad" role="alert">${problem.message}</p>` : null);
export const Status = ({ status }) => html`<span class="status"><span class=${`dot is-${status}`}></span>${status}</span>`;

/** head: [[title, isNumber]]; rows: arrays of cells. */
export const Grid = ({ head, rows, nothing }) => html`
  <div class="frame" tabindex="0" role="region" aria-label="table">
    ${rows.length
      ? html`<table class="grid">
          <thead><tr>${head.map(([title, isNumber]) => html`<th scope="col" class=${isNumber ? "number" : ""}>${title}</th>`)}</tr></thead>
          <tbody>${rows.map((row) => html`<tr>${row.map((cell, at) => html`<td class=${head[at][1] ? "number" : head[at][2] ?? ""}>${cell}</td>`)}</tr>`)}</tbody>
        </table>`
      : html`<p class="nothing">${nothing}</p>`}
  </div>`;
