// Lines over the samples of an hour.

import { html } from "../shared/dom.js";

const WIDTH = 360;
const HEIGHT = 100;

/** lines: functions of a sample; null where there is nothing to plot. */
export function Plot({ title, samples, lines }) {
  const values = lines.map((line) => samples.map(line));
  const most = Math.max(1e-9, ...values.flat().filter((value) => value !== null));
  const last = values.map((of) => of.findLast((value) => value !== null));
  const said = last.map((value) => (value === undefined ? "none yet" : brief(value))).join(" / ");
  return html`
    <figure class="plot">
      <figcaption><span>${title}</span><span>${said}</span></figcaption>
      <svg viewBox=${`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" role="img" aria-label=${`${title}: now ${said}, at most ${brief(most)} in the last hour`}>
        <line x1="0" x2=${WIDTH} y1=${HEIGHT - 0.5} y2=${HEIGHT - 0.5} /><line x1="0" x2=${WIDTH} y1="4" y2="4" />
        ${values.map((of, at) => html`<path class=${at ? "second" : ""} d=${pathOf(of, most)} />`)}
      </svg>
    </figure>`;
}

const brief = (value) => (value >= 100 ? Math.round(value).toLocaleString() : value >= 10 ? value.toFixed(0) : value.toFixed(1));

function pathOf(values, most) {
  let isOn = false;
  return values
    .map((value, at) => {
      const move = isOn ? "L" : "M";
      isOn = value !== null;
      if (!isOn) return "";
      const x = WIDTH - (values.length - 1 - at) * (WIDTH / 359);
      const y = (HEIGHT - 1 - (value / most) * (HEIGHT - 5)).toFixed(1);
      // The least of lines, so that a value that stands alone is a point.
      return `${move}${x.toFixed(1)} ${y}${move === "M" ? "h.01" : ""}`;
    })
    .join("");
}
