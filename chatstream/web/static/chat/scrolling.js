// The window onto a long conversation: what is far away is a gap of the same height, and nothing ever jumps.
//
// After each change of sizes the first chunk on the screen is put back where it was. A reader at the end stays at the end.

const NEAR_PX = 1800;
const END_PX = 80;
export const TURN_PX = 190;
/** What a turn is taken to be high before it was drawn once. */

export class Scrolling {
  following = true;
  heights = new Map();

  #scroller = null;
  #chunks = new Map();
  #tops = new Map();
  #lastTop = 0;
  #sizes = new ResizeObserver(() => this.#settle());
  #sights = null;
  #on;

  /** on: {nearTop(), nearEnd(), following(isFollowing)}. */
  constructor(on) {
    this.#on = on;
  }

  attach(scroller, content) {
    this.#scroller = scroller;
    this.#sights = new IntersectionObserver((entries) => this.#seen(entries), { root: scroller, rootMargin: `${NEAR_PX}px 0px` });
    for (const node of this.#chunks.keys()) this.#sights.observe(node);
    this.#sizes.observe(content);
    this.#sizes.observe(scroller);
    scroller.addEventListener("scroll", this.#onScroll, { passive: true });
  }

  detach() {
    this.#sizes.disconnect();
    this.#sights?.disconnect();
    this.#scroller?.removeEventListener("scroll", this.#onScroll);
  }

  /** A chunk is in the list. show: told whether it is near enough to be drawn. */
  add(node, id, show) {
    this.#chunks.set(node, { id, show });
    this.#sizes.observe(node);
    this.#sights?.observe(node);
  }

  remove(node) {
    this.#chunks.delete(node);
    this.#tops.delete(node);
    this.#sizes.unobserve(node);
    this.#sights?.unobserve(node);
  }

  toEnd() {
    this.#follow(true);
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  /** Put a message into the middle; the end is not followed then. */
  reveal(node) {
    this.#follow(false);
    node.scrollIntoView({ block: "center" });
    this.#remember();
  }

  /** Ask for more where the list ends within sight. */
  look() {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    if (scrollTop < NEAR_PX) this.#on.nearTop();
    if (scrollHeight - scrollTop - clientHeight < NEAR_PX) this.#on.nearEnd();
  }

  #onScroll = () => {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < END_PX;
    if (isAtEnd) this.#follow(true);
    else if (scrollTop < this.#lastTop - 2) this.#follow(false);
    this.#lastTop = scrollTop;
    this.look();
  };

  #follow(isFollowing) {
    if (this.following === isFollowing) return;
    this.following = isFollowing;
    this.#on.following(isFollowing);
  }

  #seen(entries) {
    for (const entry of entries) {
      const chunk = this.#chunks.get(entry.target);
      if (!chunk) continue;
      const isHeld = entry.target.contains(document.activeElement) || entry.target.contains(getSelection()?.anchorNode ?? null);
      if (!entry.isIntersecting) this.heights.set(chunk.id, entry.target.offsetHeight);
      chunk.show(entry.isIntersecting || isHeld);
    }
  }

  /** Sizes have changed: keep the end, or what is first on the screen, where it was. Runs before the change is painted. */
  #settle() {
    const scroller = this.#scroller;
    if (!scroller) return;
    if (this.following) {
      scroller.scrollTop = scroller.scrollHeight;
    } else {
      const anchor = this.#anchor(scroller.scrollTop);
      const moved = anchor ? anchor.offsetTop - this.#tops.get(anchor).top : 0;
      if (moved) scroller.scrollTop += moved;
    }
    this.#remember();
    this.look();
  }

  #anchor(scrollTop) {
    let first = null;
    for (const [node, was] of this.#tops) {
      if (was.top + was.height > scrollTop && (first === null || was.top < this.#tops.get(first).top)) first = node;
    }
    return first;
  }

  #remember() {
    this.#lastTop = this.#scroller.scrollTop;
    for (const node of this.#chunks.keys()) this.#tops.set(node, { top: node.offsetTop, height: node.offsetHeight });
  }
}
