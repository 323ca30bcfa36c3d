"""What happened when: on the slots, and to the trials."""

from __future__ import annotations

from hippo_core.charts.chart import (
    BLUE,
    BLUES,
    FAINT,
    GREY,
    PURPLE,
    VERMILLION,
    Axis,
    Bars,
    Chart,
    Mark,
    Panel,
    shortened,
    time_unit,
)  # fmt: skip
from hippo_core.charts.selection import Selection
from hippo_core.charts.sharing_charts import SHARES, share
from hippo_core.engine.states import ENDED_TRIAL_STATES, LeaseState, TrialState
from hippo_core.words import percent, plural

_LOST = (LeaseState.FAILED, LeaseState.EXPIRED, LeaseState.REVOKED)
_MOST_NAMES = 40


def slots(selection: Selection) -> Chart:
    """What each slot did: grey while it held a path, blue while it trained, the darker the more trials share that."""
    timeline = selection.timeline
    over = timeline.over
    leases = sorted(
        (
            each
            for each in selection.recording.leases.values()
            if each.granted <= over and (each.ended is None or each.ended > 0)
        ),
        key=lambda each: (each.worker, each.slot),
    )
    rows = {
        place: row for row, place in enumerate(dict.fromkeys((each.worker, each.slot) for each in leases))
    }
    first = max(0.0, min((each.granted for each in leases), default=0.0))
    length, unit = time_unit(over)
    marks: list[Mark] = []
    for lost in (False, True):
        those = [each for each in leases if (each.state in _LOST) == lost]
        if those:
            marks.append(
                Bars(
                    begin=[max(0.0, each.granted) / length for each in those],
                    end=[(timeline.end if each.ended is None else each.ended) / length for each in those],
                    y=[rows[each.worker, each.slot] for each in those],
                    colour=VERMILLION if lost else FAINT,
                    opacity=0.5,
                    height=0.86,
                    label="path that was lost" if lost else "starting, saving",
                    tips=[f"lease {each.fence}: {each.state}" for each in those],
                )
            )
    stretches = [each for each in timeline.stretches if each.begin <= over and each.end > 0]
    served = {each: timeline.trials_through(each.node, each.start) for each in stretches}
    for place, (_, label) in enumerate(SHARES):
        found = [each for each in stretches if share(served[each]) == place]
        if found:
            marks.append(
                Bars(
                    begin=[max(0.0, each.begin) / length for each in found],
                    end=[each.end / length for each in found],
                    y=[rows[each.lease.worker, each.lease.slot] for each in found],
                    colour=BLUES[place],
                    label=f"training for {label}",
                    tips=[
                        f"node {each.node}: steps {each.start} to {each.stop}, {plural(served[each], 'trial')}"
                        for each in found
                    ],
                )
            )
    names = [(float(row), f"{shortened(worker, 20)}/{slot}") for (worker, slot), row in rows.items()]
    trained = sum(min(over, each.end) - max(0.0, each.begin) for each in stretches)
    there = max(0.0, over - first) * len(rows)
    busy = f", training {percent(trained / there)} of the time" if there else ""
    panel = Panel(
        marks=marks,
        x=Axis(label=f"time since the submission ({unit})", limits=(0.0, over * 1.02 / length or 1.0)),
        y=Axis(
            ticks=names if len(names) <= _MOST_NAMES else None, label="slot", reverse=True,
            limits=(-0.6, max(0.6, len(rows) - 0.4)),
        ),
    )  # fmt: skip
    return Chart(
        empty=selection.empty, title=f"{selection.recording.name}: {plural(len(rows), 'slot')}{busy}",
        panels=[panel], width=9.0, height=max(2.4, min(14.0, 1.6 + 0.34 * len(rows))),
    )  # fmt: skip


def timeline(selection: Selection) -> Chart:
    """From when to when each trial was trained for, also of those that came to nothing: they had slots, too."""
    times = selection.timeline
    there = sorted((*selection.trials, *selection.fallen), key=lambda each: each.number)
    begun = [(trial, begin) for trial in there if (begin := times.begun(trial)) is not None]
    length, unit = time_unit(times.over)
    marks: list[Mark] = []
    for state, colour, label in (
        (TrialState.COMPLETED, BLUE, "completed"), (TrialState.STOPPED, FAINT, "stopped"),
        (TrialState.FAILED, VERMILLION, "failed"), (TrialState.DIVERGED, PURPLE, "diverged"), (None, GREY, "not over"),
    ):  # fmt: skip
        those = [
            each
            for each in begun
            if (each[0].state if each[0].state in ENDED_TRIAL_STATES else None) is state
        ]
        if those:
            ends = [times.ended(trial) for trial, _ in those]
            marks.append(
                Bars(
                    begin=[begin / length for _, begin in those],
                    end=[(times.over if end is None else end) / length for end in ends],
                    y=[trial.number for trial, _ in those],
                    colour=colour,
                    label=label,
                    tips=[f"trial {trial.number}: {trial.state} at step {trial.step}" for trial, _ in those],
                    trials=[trial.number for trial, _ in those],
                )
            )
    numbers = [trial.number for trial, _ in begun]
    rows = (min(numbers) - 0.6, max(numbers) + 0.6) if numbers else None
    panel = Panel(
        marks=marks,
        x=Axis(label=f"time since the submission ({unit})", limits=(0.0, times.over * 1.02 / length or 1.0)),
        y=Axis(label="trial", whole=True, reverse=True, limits=rows),
    )
    height = max(2.6, min(12.0, 1.8 + 0.09 * len(begun)))
    return Chart(
        empty=selection.empty,
        title=f"{selection.recording.name}: trials by time",
        panels=[panel],
        height=height,
        notes=selection.left_out(0, ""),
    )
