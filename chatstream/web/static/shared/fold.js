// A conversation as a window shows it: a page of messages, and every event since. Pure: a view and an event give a view.
//
// A turn is {seq, chunk, user, replies, resumed, rewoundBy}: a user's message, and what was answered, newest version last.
// chunk: turns that were loaded together; the list shows and hides them together.

const CHUNK_TURNS = 8;
const ENDINGS = { "reply.completed": "answered", "reply.failed": "failed", "reply.cancelled": "cancelled" };
const REPLIES = { "reply.completed": "completed", "reply.failed": "failed", "reply.cancelled": "cancelled" };

/** token: where to follow from. queue: turns that are owed, the running one first. older, newer: cursors of pages, or null. */
export const emptyView = (session) => ({
  session, turns: [], token: "-1", lastSeq: 0, queue: [], older: null, newer: null, title: "", forkedFrom: null, approval: null,
  erased: false, known: false,
});

/** The view with a page of older (`older`) or newer (`newer`) messages, or one that starts anew (`anew`). */
export function withPage(view, page, where) {
  const base = where === "anew" ? { ...emptyView(view.session), queue: view.queue, approval: view.approval } : view;
  const turns = base.turns.slice();
  const fresh = new Map();
  for (const item of page.data) {
    const at = find(turns, item.turn);
    if (at >= 0) turns[at] = withItem(turns[at], item);
    else fresh.set(item.turn, withItem(fresh.get(item.turn) ?? bareTurn(item.turn), item));
  }
  const sorted = inChunks([...fresh.values()].sort((a, b) => a.seq - b.seq), turns, where);
  const merged = where === "older" ? [...sorted, ...turns] : [...turns, ...sorted];
  const next = { ...base, turns: merged.sort((a, b) => a.seq - b.seq), known: true };
  if (where !== "newer") next.older = page.previous;
  if (where !== "older") next.newer = page.next;
  if (where === "anew") {
    next.token = page.offset;
    next.lastSeq = seqOf(page.offset);
  }
  return rewound(next);
}

/** A token's seq. Only to compare with what events say of themselves. */
export const seqOf = (token) => Number(token.split("_")[1] ?? 0);

/** The view after one more event; null when events before it are missing. token: behind it. */
export function withEvent(view, event, token) {
  if (event.seq <= view.lastSeq) return view;
  if (event.seq !== view.lastSeq + 1) return null;
  const next = applied({ ...view, lastSeq: event.seq, token: token || view.token, known: true }, event);
  return next.queue === view.queue && next.turns === view.turns ? next : withStandings(next);
}

function applied(view, event) {
  switch (event.type) {
    case "message.accepted":
      return accepted(view, event);
    case "message.scheduled":
      return appended(view, userItem(event, "scheduled"));
    case "message.refused":
      return event.scheduled ? withUser(view, event.scheduled, { status: "refused", code: event.code }) : view;
    case "reply.completed":
    case "reply.failed":
    case "reply.cancelled":
      return replied(view, event);
    case "turn.resumed":
      return changed(view, event.turn, (turn) => ({ ...turn, resumed: event.n }));
    case "turn.restarted":
      return { ...view, queue: afterRunning(view.queue, event.turn) };
    case "approval.requested":
      return { ...view, approval: { name: event.name.split("#")[0], detail: event.detail, since: event.time, turn: event.turn } };
    case "approval.decided":
      return { ...view, approval: null };
    case "session.updated":
      return "title" in event ? { ...view, title: event.title ?? "" } : view;
    case "session.created":
      return { ...view, forkedFrom: event.from };
    case "session.erased":
      return { ...view, erased: true };
    default:
      return view;
  }
}

function accepted(view, event) {
  const queue = event.on_busy === "interrupt" ? afterRunning(view.queue, event.seq) : [...view.queue, event.seq];
  const base = event.scheduled ? { ...view, turns: view.turns.filter((turn) => turn.seq !== event.scheduled) } : view;
  const title = view.title || (view.lastSeq === 1 ? event.text.slice(0, 80) : "");
  const next = appended({ ...base, queue: event.copy ? view.queue : queue, title }, userItem(event, "waiting"));
  if (!event.replaces) return next;
  const gone = new Set(next.turns.filter((turn) => turn.seq >= event.replaces && turn.seq < event.seq).map((turn) => turn.seq));
  return rewound({ ...next, queue: next.queue.filter((seq) => !gone.has(seq)) });
}

function replied(view, event) {
  const queue = view.queue.filter((seq) => seq !== event.turn);
  const base = { ...view, queue, approval: view.approval?.turn === event.turn ? null : view.approval };
  const ended = changed(base, event.turn, (turn) => {
    const user = turn.user && { ...turn.user, status: turn.user.due ? "cancelled" : ENDINGS[event.type] };
    return withItem({ ...turn, user, resumed: 0 }, replyItem(event));
  });
  return ended;
}

/** A queue with a turn that goes first: right behind the one that runs. */
export function afterRunning(queue, seq) {
  const rest = queue.filter((other) => other !== seq);
  return rest.length ? [rest[0], seq, ...rest.slice(1)] : [seq];
}

function appended(view, item) {
  // While newer pages are not loaded, what is said now stands behind them.
  if (view.newer !== null || find(view.turns, item.turn) >= 0) return view;
  const turn = withItem(bareTurn(item.turn), item);
  return { ...view, turns: [...view.turns, ...inChunks([turn], view.turns, "newer")] };
}

/** Running and waiting, as the queue has it. */
function withStandings(view) {
  const place = new Map(view.queue.map((seq, index) => [seq, index]));
  let isChanged = false;
  const turns = view.turns.map((turn) => {
    const at = place.get(turn.seq);
    const ended = turn.user?.status === "running" || turn.user?.status === "waiting";
    const status = at === undefined ? null : at === 0 ? "running" : "waiting";
    if (!turn.user || (status === null && !ended) || turn.user.status === status) return turn;
    isChanged = true;
    return { ...turn, user: { ...turn.user, status: status ?? turn.replies.at(-1)?.status ?? "answered" } };
  });
  return isChanged ? { ...view, turns } : view;
}

/** The view as the node's overview corrects it; one of another moment is ignored. */
export function withOverview(view, overview) {
  if (overview.last_seq !== view.lastSeq) return view;
  const queue = [...(overview.running ? [overview.running.turn] : []), ...overview.queue.map((waiting) => waiting.turn)];
  const asked = overview.approval;
  const approval = asked ? { ...asked, turn: overview.running?.turn ?? 0 } : null;
  return withStandings({ ...view, queue, approval, title: overview.title });
}

/** Turns taken back by an edit, with everything after them. */
function rewound(view) {
  const edits = view.turns.filter((turn) => turn.user?.replaces);
  if (!edits.length && !view.turns.some((turn) => turn.user?.rewound)) return view;
  const turns = view.turns.map((turn) => {
    // The edit itself may stand on a page that is not loaded.
    const by = edits.find((edit) => turn.seq >= edit.user.replaces && turn.seq < edit.seq)?.seq ?? (turn.user?.rewound ? -1 : 0);
    return by === turn.rewoundBy ? turn : { ...turn, rewoundBy: by };
  });
  return { ...view, turns };
}

const bareTurn = (seq) => ({ seq, chunk: 0, user: null, replies: [], resumed: 0, rewoundBy: 0 });

function withItem(turn, item) {
  if (item.role === "user") return { ...turn, user: { ...item, replaces: item.replaces ?? 0 } };
  const replies = [...turn.replies.filter((reply) => reply.seq !== item.seq), item].sort((a, b) => a.seq - b.seq);
  return { ...turn, replies };
}

function changed(view, seq, change) {
  const at = find(view.turns, seq);
  if (at < 0) return view;
  const turns = view.turns.slice();
  turns[at] = change(turns[at]);
  return { ...view, turns };
}

const withUser = (view, seq, fields) => changed(view, seq, (turn) => ({ ...turn, user: turn.user && { ...turn.user, ...fields } }));

function inChunks(fresh, turns, where) {
  const size = (id) => turns.reduce((sum, turn) => sum + (turn.chunk === id), 0);
  if (where === "older") {
    const first = Math.min(0, ...turns.map((turn) => turn.chunk));
    const chunks = Math.ceil(fresh.length / CHUNK_TURNS);
    return fresh.map((turn, index) => ({ ...turn, chunk: first - chunks + Math.floor(index / CHUNK_TURNS) }));
  }
  const last = turns.length ? turns.at(-1).chunk : 0;
  const free = Math.max(0, CHUNK_TURNS - size(last));
  return fresh.map((turn, index) => ({ ...turn, chunk: index < free ? last : last + 1 + Math.floor((index - free) / CHUNK_TURNS) }));
}

/** Index of a turn, or -1. */
export function find(turns, seq) {
  let low = 0;
  let high = turns.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if (turns[middle].seq === seq) return middle;
    if (turns[middle].seq < seq) low = middle + 1;
    else high = middle - 1;
  }
  return -1;
}

const userItem = (event, status) => ({
  seq: event.seq, role: "user", text: event.text ?? "", content: event.content ?? null, status, message_id: event.message_id,
  time: event.time, turn: event.seq, version: event.version ?? 1, user: event.user ?? "", due: event.due ?? "",
  replaces: event.replaces ?? 0,
});

const replyItem = (event) => ({
  seq: event.seq, role: "assistant", text: event.text ?? "", content: event.content ?? null, status: REPLIES[event.type],
  message_id: event.message_id, time: event.time, turn: event.turn, version: event.version ?? 1, model: event.model ?? "",
  stop_reason: event.stop_reason ?? "", usage: event.usage ?? null, attempts: event.attempts ?? 0, code: event.code ?? "",
  detail: event.detail ?? "", by: event.by ?? "",
});
