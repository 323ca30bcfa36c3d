"""Why slots idled in a simulated run.

What a chart shows at a glance, in numbers: a slot idles in the *tail* where no path was begun on any slot any more, in
the *fan-out* before as many paths existed as there are slots, *between paths* where less than a step passed until the
next one, and it *waits* in all other gaps: for results that others still train, with which something was decided.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from hippo_core.simulation import Activity, Simulated, Span
from hippo_core.simulation.costs import TICKS


@dataclass(frozen=True, slots=True)
class Idle:
    """Shares of all slots' time.

    Attributes:
        fan_out: Before as many paths existed as there are slots.
        waits: Until something was decided.
        between: From one path to the next.
        tail: When nothing was left to begin.
        other_work: Starts, loads, saves, and what was lost: not idle, and not training.
    """

    fan_out: float
    waits: float
    between: float
    tail: float
    other_work: float

    def in_words(self) -> str:
        """One clause for a table."""
        named = (
            ("fan-out", self.fan_out),
            ("waits for results", self.waits),
            ("between paths", self.between),
            ("tail", self.tail),
            ("starts, loads, saves", self.other_work),
        )
        parts = [f"{name} {share:.1%}" for name, share in named if share >= 0.0005]
        return "idle: " + (", ".join(parts) or "never")


def idle(found: Simulated) -> Idle:
    """Divides what the slots did not train."""
    end = round(found.makespan_seconds * TICKS)
    by_slot: dict[tuple[str, int], list[Span]] = defaultdict(list)
    for span in found.spans:
        by_slot[span.host, span.slot].append(span)
    places = [(host.name, index) for host in found.hosts for index in range(host.slots)]
    steps = [
        (span.end - span.begin) // (span.stop - span.start)
        for span in found.spans
        if span.activity is Activity.TRAINING
    ]
    step = min(steps, default=0)
    spent = dict.fromkeys(("fan_out", "waits", "between", "tail"), 0)
    begun: dict[int, int] = {}
    for span in found.spans:
        begun[span.fence] = min(span.begin, begun.get(span.fence, end))
    last_begun = max(begun.values(), default=0)
    for place in places:
        at, first = 0, True
        for span in sorted(by_slot[place], key=lambda each: each.begin):
            if span.begin > at:
                kind = "fan_out" if first else "between" if span.begin - at < step else "waits"
                spent[kind] += span.begin - at
            at, first = max(at, span.end), False
        if at < end:
            tail = min(end - at, max(0, end - last_begun))
            spent["tail"] += tail
            spent["fan_out" if first else "waits"] += end - at - tail
    there = end * len(places)
    other = sum(
        spent_seconds
        for kind, spent_seconds in found.slot_seconds.items()
        if kind not in {Activity.TRAINING, Activity.EVALUATION, Activity.IDLE}
    )
    shares = {kind: ticks / there if there else 0.0 for kind, ticks in spent.items()}
    return Idle(**shares, other_work=other * TICKS / there if there else 0.0)
