// The console: what is going on, and why. It asks again every some seconds and holds no connection.

import { html, render, useEffect, useState } from "../shared/dom.js";
import { Logo } from "../shared/icons.js";
import { can, node } from "../shared/node.js";
import { LettersView } from "./letters.js";
import { NodeView } from "./node.js";
import { SessionView } from "./session.js";
import { SessionsView } from "./sessions.js";

/** Addresses: /console, /console/node, /console/sessions/alice, /console/sessions/alice/events. */
function placeNow() {
  const [, , view, session, tab] = location.pathname.split("/").map(decodeURIComponent);
  return { view: session ? "session" : ["node", "letters"].includes(view) ? view : "sessions", session, tab: tab || "turns" };
}

function App() {
  const [place, setPlace] = useState(placeNow());
  useEffect(() => {
    const look = () => setPlace(placeNow());
    const onClick = (event) => {
      const link = event.target.closest('a[href^="/console"]');
      if (!link || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
      event.preventDefault();
      history.pushState(null, "", link.getAttribute("href"));
      look();
    };
    addEventListener("popstate", look);
    addEventListener("click", onClick);
    return () => {
      removeEventListener("popstate", look);
      removeEventListener("click", onClick);
    };
  }, []);
  const tab = (href, name, isHere) => html`<a href=${href} aria-current=${isHere ? "page" : null}>${name}</a>`;
  return html`
    <nav class="top" aria-label="Console">
      <a class="brand" href="/console"><${Logo} />Console</a>
      ${tab("/console", "Sessions", place.view.startsWith("session"))}
      ${tab("/console/node", "Nodes", place.view === "node")}
      ${can("GET /v1/console/dead-letters") && tab("/console/letters", "Dead letters", place.view === "letters")}
      <a href=${place.session ? `/s/${encodeURIComponent(place.session)}` : "/"}>Chat</a>
      <span class="faint">${node.id}</span>
    </nav>
    <main class="page">
      ${place.view === "sessions" && html`<${SessionsView} />`}
      ${place.view === "letters" && html`<${LettersView} />`}
      ${place.view === "node" && html`<${NodeView} />`}
      ${place.view === "session" && html`<${SessionView} key=${place.session} session=${place.session} tab=${place.tab} />`}
    </main>`;
}

render(html`<${App} />`, document.getElementById("app"));
