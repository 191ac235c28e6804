// Markdown as nodes. What a model says is a stranger's text: nothing of it becomes a node that DOMPurify has not let through,
// no picture is fetched, and the page's policy lets no script run that is not a file of ours.

import { Marked } from "../vendor/marked.js";
import { codeBlock } from "./code.js";

const TAGS = [
  "a", "blockquote", "br", "code", "del", "details", "em", "h3", "h4", "h5", "h6", "hr", "i", "b", "img", "input", "kbd", "li",
  "mark", "ol", "p", "pre", "s", "strong", "sub", "summary", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
];
const ATTRIBUTES = ["href", "title", "align", "start", "checked", "type", "disabled", "class", "alt", "src", "open"];
const RULES = {
  ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ATTRIBUTES, ALLOW_DATA_ATTR: false, ALLOW_ARIA_ATTR: false, RETURN_DOM_FRAGMENT: true,
  ALLOWED_URI_REGEXP: /^(?:https?:|mailto:|#)/i,
};
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const CALM_CHARS = 20_000;
/** The end of a growing text is drawn as plain text while it is longer and has no paragraph. */

const marked = new Marked({
  gfm: true,
  renderer: {
    // The page's own headings are h1 and h2.
    heading({ tokens, depth }) {
      const level = Math.min(depth + 2, 6);
      return `<h${level} class="md-h${depth}">${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    // HTML is shown as it was said, but for the few tags that Markdown lacks.
    html({ text }) {
      return text.replace(/<\/?(?:br|sub|sup|kbd|mark|u|s|details|summary)\s*\/?>|[&<>"]/gi, (part) => ESCAPES[part] ?? part);
    },
  },
});

/** The text as a fragment of safe nodes. */
export const toFragment = (text) => fragmentOf(marked.lexer(text));

function fragmentOf(tokens) {
  const fragment = globalThis.DOMPurify.sanitize(marked.parser(tokens), RULES);
  for (const link of fragment.querySelectorAll("a")) fitLink(link);
  for (const image of fragment.querySelectorAll("img")) image.replaceWith(imageLink(image));
  for (const input of fragment.querySelectorAll("input")) fitCheckbox(input);
  for (const table of fragment.querySelectorAll("table")) wrapTable(table);
  for (const pre of fragment.querySelectorAll("pre")) pre.replaceWith(codeBlock(pre));
  for (const node of fragment.querySelectorAll("[class]")) keepOwnClasses(node);
  return fragment;
}

function fitLink(link) {
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow";
}

/** A picture becomes a link to it: fetching it would tell its server that, and what, somebody reads here. */
function imageLink(image) {
  const link = document.createElement("a");
  link.textContent = image.alt || "picture";
  if (/^https?:/i.test(image.getAttribute("src") ?? "")) link.href = image.getAttribute("src");
  fitLink(link);
  return link;
}

function fitCheckbox(input) {
  if (input.type !== "checkbox") return input.remove();
  input.disabled = true;
  input.setAttribute("aria-label", input.checked ? "done" : "to do");
}

function wrapTable(table) {
  const frame = document.createElement("div");
  frame.className = "md-table";
  frame.tabIndex = 0;
  frame.setAttribute("role", "region");
  frame.setAttribute("aria-label", "table");
  table.replaceWith(frame);
  frame.append(table);
}

function keepOwnClasses(node) {
  node.className = [...node.classList].filter((name) => /^(md|code|tok|icon)(-[\w-]+)?$/.test(name)).join(" ");
}

const PLAIN = /^[\p{L}\p{N} ,.;'"!?%…–—’“”]*$/u;
/** What changes nothing in the middle of a line. */
const LINE_CHARS = 24;
/** Nearer to the beginning of a line a letter may still make a list, a heading or a quotation of it. */
const WHOLE_MS = 250;
/** So long at most words are only put behind each other: what looked plain may have become a link. */

/** A text that grows in `place`: finished paragraphs are drawn once, only the last is drawn again, and plain words are added. */
export class Growing {
  #place;
  #tail = document.createElement("div");
  #done = 0;
  #shown = "";
  #drawn = 0;
  #drawnMs = 0;

  constructor(place) {
    this.#place = place;
    this.#tail.className = "md-tail";
    place.replaceChildren(this.#tail);
  }

  /** text: all that was said so far. */
  update(text) {
    if (!text.startsWith(this.#shown)) this.#restart();
    const isAdded = text.length > this.#shown.length && this.#add(text);
    this.#shown = text;
    if (!isAdded) this.#draw(text);
  }

  /** Puts plain words behind the last one. False where Markdown has to be read. */
  #add(text) {
    const words = text.slice(this.#drawn);
    if (!PLAIN.test(words) || performance.now() - this.#drawnMs > WHOLE_MS) return false;
    const line = text.slice(Math.max(this.#done, this.#drawn - LINE_CHARS), this.#drawn);
    const last = lastOf(this.#tail);
    if (line.length < LINE_CHARS || line.includes("\n") || last.nodeType !== Node.TEXT_NODE || !/^(?:P|LI)$/.test(last.parentNode.nodeName)) return false;
    last.appendData(words);
    this.#drawn = text.length;
    return true;
  }

  #draw(text) {
    this.#drawnMs = performance.now();
    // White space at the end is not drawn.
    this.#drawn = text.trimEnd().length;
    const rest = text.slice(this.#done);
    const tokens = rest.length > CALM_CHARS && !rest.slice(-CALM_CHARS).includes("\n\n") ? null : marked.lexer(rest);
    if (tokens === null) {
      this.#tail.replaceChildren(rest);
      return;
    }
    const last = tokens.findLastIndex((token) => token.type !== "space");
    const finished = tokens.slice(0, Math.max(last, 0));
    if (finished.length) {
      this.#tail.before(fragmentOf(finished));
      this.#done += finished.reduce((sum, token) => sum + token.raw.length, 0);
    }
    this.#tail.replaceChildren(fragmentOf(tokens.slice(Math.max(last, 0))));
  }

  #restart() {
    this.#done = 0;
    this.#drawnMs = -WHOLE_MS - 1;
    this.#place.replaceChildren(this.#tail);
  }
}

/** What stands last in a node, white space between tags left out. */
function lastOf(node) {
  let last = node;
  while (last.lastChild) {
    last = last.lastChild;
    while (last.nodeType === Node.TEXT_NODE && !last.data.trim() && last.previousSibling) last = last.previousSibling;
  }
  return last;
}
