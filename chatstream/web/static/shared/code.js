// A block of code: its language, a button that copies it, and colours for what nearly every language has.

const KEYWORDS = new Set(
  ("and as assert async await break case catch class const continue def default del delete do elif else enum except export " +
    "extends false False final finally fn for from func function global if impl import in interface is lambda let loop match " +
    "mod module mut new nil None not null of or package pass private protected pub public raise return select self static " +
    "struct super switch this throw trait true True try type typeof undefined union unsafe until use using var void when where " +
    "while with yield SELECT FROM WHERE AND OR NOT INSERT INTO VALUES UPDATE SET DELETE CREATE TABLE JOIN ON GROUP BY ORDER " +
    "LIMIT echo then fi esac done").split(" "),
);
const HASH_COMMENTS = /^(py|python|sh|bash|shell|zsh|console|yaml|yml|toml|ruby|rb|r|make|makefile|dockerfile|conf|ini|perl)$/;
const DASH_COMMENTS = /^(sql|lua|haskell|hs)$/;
const PLAIN = /^(|text|txt|plain|md|markdown|diff|log|output)$/;
const COLOURED_CHARS = 50_000;
const COPIED_MS = 1600;

/** A `pre` as it came out of Markdown, as our block. */
export function codeBlock(pre) {
  const code = pre.querySelector("code");
  const text = (code ?? pre).textContent.replace(/\n$/, "");
  const language = /language-([\w+#.-]+)/.exec(code?.className ?? "")?.[1] ?? "";
  const block = make("div", "code-block");
  const bar = make("div", "code-bar");
  const copy = make("button", "code-copy");
  copy.type = "button";
  copy.textContent = "Copy";
  copy.addEventListener("click", () => copyFrom(copy, text));
  bar.append(make("span", "code-language", language || "code"), copy);
  const shown = make("pre", "code-text");
  shown.tabIndex = 0;
  const inner = make("code", "");
  inner.append(text.length > COLOURED_CHARS || PLAIN.test(language) ? text : coloured(text, language.toLowerCase()));
  shown.append(inner);
  block.append(bar, shown);
  return block;
}

function make(name, className, text) {
  const node = document.createElement(name);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

function coloured(text, language) {
  const comment = HASH_COMMENTS.test(language) ? "#.*" : DASH_COMMENTS.test(language) ? "--.*" : "//.*|/\\*[^]*?\\*/|<!--[^]*?-->";
  const parts = new RegExp(
    `(?<comment>${comment})|(?<string>"""[^]*?"""|"(?:\\\\.|[^"\\\\\\n])*"|'(?:\\\\.|[^'\\\\\\n])*'|\`(?:\\\\.|[^\`\\\\])*\`)` +
      "|(?<number>\\b\\d[\\d_.xXa-fA-F]*\\b)|(?<name>[A-Za-z_$][\\w$]*)(?<call>\\s*\\()?",
    "g",
  );
  const fragment = document.createDocumentFragment();
  let at = 0;
  for (const found of text.matchAll(parts)) {
    const kind = kindOf(found.groups);
    const word = found.groups.name ?? found[0];
    if (!kind) continue;
    fragment.append(text.slice(at, found.index), make("span", `tok-${kind}`, word));
    at = found.index + word.length;
  }
  fragment.append(text.slice(at));
  return fragment;
}

function kindOf({ comment, string, number, name, call }) {
  if (comment) return "comment";
  if (string) return "string";
  if (number) return "number";
  if (KEYWORDS.has(name)) return "keyword";
  return call ? "call" : null;
}

async function copyFrom(button, text) {
  await copyText(text);
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), COPIED_MS);
}

/** Puts text onto the clipboard, also where the page has no TLS. */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", "out-of-sight");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}
