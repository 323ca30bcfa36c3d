// Keeps what is shown up to date. The server says which subjects changed (a study, the workers, ...); each element with
// `data-live` is then fetched again, as the fragment of this page that its id names, and put in place of what it was.
import { Stream } from "./stream.js";
import { localise } from "./times.js";

const POLL_MILLISECONDS = 5000;
const LOST_MILLISECONDS = 3000;
const REST_FACTOR = 4; // between two rounds of fetches, so many times what the last one took,
const LONGEST_REST_MILLISECONDS = 4000; // but at most so long
const LATER_STATUSES = [429, 503]; // too often, or not ready: the same is answered in a while

/** Follows the changes of this page's subject, where it has one. */
export function followChanges() {
  const { subject, mark } = document.body.dataset;
  if (!subject || !mark || !document.querySelector("[data-live]")) return;
  const sign = new Sign(document.getElementById("live"));
  let polling = 0;
  let over = false;
  const refresh = refresher(sign, () => {
    // Each further request would be refused, and written down by the server.
    over = true;
    clearInterval(polling);
    leave();
  });

  const hear = ({ state, changed }) => {
    if (over) return;
    if (state === "open") {
      clearInterval(polling);
      polling = 0;
      sign.live();
    } else if (state === "lost") {
      sign.lost();
      polling ||= setInterval(refresh, POLL_MILLISECONDS);
    }
    if (changed === null || changed?.includes(subject)) refresh();
  };
  const leave = listen(subject, mark, hear);
  addEventListener("pagehide", leave);
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
}

/** Listens to the stream, by the worker that tabs share where there is one; returns what ends it. */
function listen(subject, mark, hear) {
  if (!("SharedWorker" in window)) {
    const stream = new Stream(mark, hear);
    return () => stream.close();
  }
  const { port } = new SharedWorker(new URL("./shared-stream.js", import.meta.url), { type: "module", name: "hippo" });
  port.addEventListener("message", ({ data }) => hear(data));
  port.start();
  port.postMessage({ subject, mark });
  return () => port.postMessage({ leave: true });
}

class Sign {
  constructor(element) {
    this.element = element;
    this.timer = 0;
  }

  live() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.show("Live", false);
  }

  /** A cut that lasts is told; one that heals at once is not. */
  lost() {
    this.timer ||= setTimeout(() => this.show("Connection lost: trying again", true), LOST_MILLISECONDS);
  }

  loggedOut() {
    clearTimeout(this.timer);
    this.show("Logged out: run hippo open", true);
  }

  show(words, lost) {
    this.element.hidden = false;
    this.element.classList.toggle("lost", lost);
    if (this.element.textContent !== words) this.element.textContent = words;
  }
}

/** What fetches all fragments again: at most one round at a time, and one more where something changed meanwhile. */
function refresher(sign, end) {
  const known = new Map();
  let busy = false;
  let again = false;
  return async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    do {
      again = false;
      const began = performance.now();
      let rest = 0;
      for (const element of document.querySelectorAll("[data-live]")) {
        const status = await fetchAgain(element, known);
        if (status === 401) { sign.loggedOut(); end(); return; }
        if (LATER_STATUSES.includes(status)) { again = true; rest = LONGEST_REST_MILLISECONDS; }
        if (status !== 200) break;
      }
      rest ||= Math.min(REST_FACTOR * (performance.now() - began), LONGEST_REST_MILLISECONDS);
      await new Promise((resolve) => setTimeout(resolve, rest));
    } while (again);
    busy = false;
  };
}

/** Shows what an element ought to show; returns the answer's status, 0 where there is none. */
async function fetchAgain(element, known) {
  const address = new URL(location.href);
  address.hash = "";
  address.searchParams.set("fragment", element.id);
  let answer;
  try {
    answer = await fetch(address, { headers: { Accept: "text/html" } });
  } catch {
    return 0; // the connection is lost, which the stream tells, too
  }
  if (!answer.ok) return answer.status;
  const text = await answer.text();
  if (known.get(element.id) !== text && !isBeingUsed(element)) {
    known.set(element.id, text);
    replace(element, text);
  }
  return answer.status;
}

/** Whether somebody writes into it, whose words would be lost. */
function isBeingUsed(element) {
  return element.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
}

/** Puts a fragment in place of what is shown; focus, what is unfolded and how far tables are scrolled stay. */
function replace(element, text) {
  const made = new DOMParser().parseFromString(text, "text/html");
  const focused = element.contains(document.activeElement) ? placeOf(element, document.activeElement) : null;
  const scrolled = [...element.querySelectorAll(".wide")].map((each) => each.scrollLeft);
  const unfolded = [...element.querySelectorAll("details")].map((each) => each.open);
  element.replaceChildren(...document.adoptNode(made.body).childNodes);
  localise(element);
  element.querySelectorAll(".wide").forEach((each, index) => { each.scrollLeft = scrolled[index] ?? 0; });
  element.querySelectorAll("details").forEach((each, index) => { each.open = unfolded[index] ?? each.open; });
  if (focused) find(element, focused)?.focus({ preventScroll: true });
  element.dispatchEvent(new CustomEvent("hippo:replaced", { bubbles: true }));
}

const FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]";

function placeOf(element, focused) {
  const href = focused.getAttribute("href");
  const index = [...element.querySelectorAll(FOCUSABLE)].indexOf(focused);
  return { id: focused.id, href, index };
}

function find(element, { id, href, index }) {
  if (id) return element.querySelector(`#${CSS.escape(id)}`);
  if (href) return element.querySelector(`a[href="${CSS.escape(href)}"]`);
  return element.querySelectorAll(FOCUSABLE)[index];
}
