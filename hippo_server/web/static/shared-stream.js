// One stream for all tabs of a browser, which has but six connections for a server over HTTP/1.1.
import { Stream } from "./stream.js";

const tabs = new Map(); // of each tab's port, what it shows
const last = new Map(); // of each subject, the id of its last change
let stream = null;
let state = "lost";

addEventListener("connect", ({ ports: [port] }) => {
  port.addEventListener("message", ({ data }) => (data.leave ? leave(port) : join(port, data)));
  port.start();
});

function join(port, { subject, mark }) {
  tabs.set(port, subject);
  if (!stream) {
    stream = new Stream(mark, hear);
    return;
  }
  port.postMessage({ state });
  // The stream is ahead of a page that was rendered before it joined.
  if (last.has(subject) && !isUpToDate(mark, last.get(subject))) port.postMessage({ changed: [subject] });
}

function leave(port) {
  tabs.delete(port);
  if (tabs.size) return;
  stream.close();
  stream = null;
  state = "lost";
  last.clear();
}

function hear(message) {
  state = message.state ?? state;
  for (const subject of message.changed ?? []) last.set(subject, message.id);
  if (message.changed === null) {
    for (const subject of tabs.values()) last.set(subject, message.id);
  }
  for (const port of tabs.keys()) port.postMessage(message);
}

/** Whether a page with that mark shows a change with that id; marks are TERM.NUMBER. */
function isUpToDate(mark, id) {
  const [term, number] = mark.split(".").map(Number);
  const [changedTerm, changedNumber] = id.split(".").map(Number);
  return term === changedTerm && number >= changedNumber;
}
