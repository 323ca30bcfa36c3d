// The server writes times in UTC. Here they are written in the reader's zone; UTC stays in the title.
const format = new Intl.DateTimeFormat(undefined, {
  year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit",
  hour12: false,
});

/** A moment as it is written everywhere: 2026-11-27 04:10:00. */
export function written(moment) {
  const parts = Object.fromEntries(format.formatToParts(moment).map(({ type, value }) => [type, value]));
  return `${parts.year}-${parts.month}-${parts.day} ${parts.hour}:${parts.minute}:${parts.second}`;
}

/** Writes all times below an element in the reader's zone. */
export function localise(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    time.textContent = written(new Date(time.dateTime));
  }
}
