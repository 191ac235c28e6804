// Preact and htm as one import: html`<p>…</p>` makes what render() shows.

import { Component, Fragment, h, render } from "../vendor/preact.js";
import {
  useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useReducer, useRef, useState,
} from "../vendor/preact-hooks.js";
import htm from "../vendor/htm.js";

export const html = htm.bind(h);
export {
  Component, Fragment, h, render, useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useReducer, useRef, useState,
};

/** Class names that hold: cx("a", isB && "b"). */
export const cx = (...names) => names.filter(Boolean).join(" ");

/** A component that is drawn again only when one of its properties is another one. */
export function memo(draw) {
  return class extends Component {
    shouldComponentUpdate(next) {
      const names = new Set([...Object.keys(this.props), ...Object.keys(next)]);
      for (const name of names) if (this.props[name] !== next[name]) return true;
      return false;
    }

    render(properties) {
      return draw(properties);
    }
  };
}
