// The server's stream of changes, and trying again where it breaks. Modules of pages use it, and the shared worker.

const TRY_AGAIN_MILLISECONDS = 2000;

/** A stream that tells `hear` of `{state}` ("open", "lost") and of `{changed, id}`; `changed` is null for all. */
export class Stream {
  constructor(mark, hear) {
    this.mark = mark;
    this.hear = hear;
    this.closed = false;
    this.open();
  }

  open() {
    // The browser tries again by itself, with the id of the last event, unless the server answered that it cannot.
    const source = this.source = new EventSource(`/live?after=${encodeURIComponent(this.mark)}`);
    source.addEventListener("open", () => this.hear({ state: "open" }));
    source.addEventListener("changed", (event) => this.tell(event, JSON.parse(event.data)));
    source.addEventListener("reset", (event) => this.tell(event, null));
    source.addEventListener("error", () => {
      if (this.closed) return;
      this.hear({ state: "lost" });
      if (source.readyState === EventSource.CLOSED) {
        setTimeout(() => { if (!this.closed) this.open(); }, TRY_AGAIN_MILLISECONDS);
      }
    });
  }

  tell(event, changed) {
    this.mark = event.lastEventId;
    this.hear({ changed, id: event.lastEventId });
  }

  close() {
    this.closed = true;
    this.source.close();
  }
}
