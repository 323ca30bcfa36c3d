"""The kinds of charts: what each is called and tells, of how many trials it is, and what makes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from hippo_core.charts import (
    pair_charts,
    parameter_charts,
    progress_charts,
    schedule_charts,
    sharing_charts,
    slot_charts,
)
from hippo_core.charts.chart import Chart
from hippo_core.charts.selection import Selection
from hippo_core.study import StudySpec
from hippo_server.web.charts.importance import LEAST_TRIALS

MOST_MARKS = 2000  #: a page of more is slow to draw, and nobody tells them apart
MOST_CURVES = 300
MOST_PARAMETERS = 8  #: of more, nobody reads the axes


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a study is to be drawn.

    Attributes:
        params: The parameters, or hyper-parameters, by name; none: those that differ.
        one: Of two things, the first by name; empty: what comes first.
        other: The second.
        importances: What was reckoned, where the chart is of that.
    """

    params: Sequence[str] = ()
    one: str = ""
    other: str = ""
    importances: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of chart.

    Attributes:
        word: Its name in addresses.
        title: Its name.
        told: What it tells, in a sentence or two.
        make: Makes it.
        most: So many trials at most.
        params: Whether parameters may be chosen for it.
        two: Of what two are chosen: "parameters", "metrics", or nothing.
        names: Whether hyper-parameters may be chosen for it.
        times: Whether it is of what was trained when.
        metric: Whether it is of a metric that may be chosen.
        stopped: Whether stopped trials are drawn unless the address says otherwise; None: it is not for it to say.
    """

    word: str
    title: str
    told: str
    make: Callable[[Selection, Wanted], Chart]
    most: int = MOST_MARKS
    params: bool = False
    two: str = ""
    names: bool = False
    times: bool = False
    metric: bool = True
    stopped: bool | None = True


def _params(selection: Selection, wanted: Wanted) -> list[str]:
    found = parameter_charts.parameters(selection, list(wanted.params) or None)
    return [each.name for each in found][:MOST_PARAMETERS]


def _slices(selection: Selection, wanted: Wanted) -> Chart:
    return parameter_charts.slices(selection, _params(selection, wanted))


def _parallel(selection: Selection, wanted: Wanted) -> Chart:
    return parameter_charts.parallel_coordinate(selection, _params(selection, wanted))


def _pair(selection: Selection, wanted: Wanted, *, by_rank: bool) -> Chart:
    there = [each.name for each in parameter_charts.parameters(selection, None)]
    there += [name for name in selection.spec.space.domains if name not in there]
    one = wanted.one or next((name for name in there if name != wanted.other), "")
    other = wanted.other or next((name for name in there if name != one), "")
    if not one or not other:
        searched = "one parameter" if there else "no parameter"
        title = f"{selection.recording.name}: two parameters"
        return Chart(
            title=title, panels=(), empty=f"two parameters are needed; the study searches {searched}"
        )
    return pair_charts.pair(selection, (one, other), by_rank=by_rank)


def _pareto(selection: Selection, wanted: Wanted) -> Chart:
    there = selection.recording.metric_names()
    if len(there) < 2:
        title = f"{selection.recording.name}: one metric"
        told = "two metrics are needed; the study reports one" if there else selection.empty
        return Chart(title=title, panels=(), empty=told)
    one = wanted.one or next((name for name in there if name != wanted.other), there[0])
    other = wanted.other or next((name for name in there if name != one), one)
    return parameter_charts.pareto_front(selection, (one, other))


def _importances(selection: Selection, wanted: Wanted) -> Chart:
    chart = parameter_charts.importances(dict(wanted.importances or {}), selection, "PED-ANOVA")
    if len(selection.valued) < LEAST_TRIALS:
        few = f"reckoned from {LEAST_TRIALS} completed trials on"
        return replace(chart, notes=(*chart.notes, few))
    return chart


def _schedules(selection: Selection, wanted: Wanted) -> Chart:
    return schedule_charts.schedules(selection, list(wanted.params) or None)


KINDS: Mapping[str, Kind] = {
    kind.word: kind
    for kind in (
        Kind(
            word="history",
            title="History",
            told="The value of each trial, and the best so far among those that completed. "
            "Trials that diverged stand beside the worst value.",
            make=lambda selection, _: progress_charts.optimization_history(selection),
        ),
        Kind(
            word="cost",
            title="History by steps",
            told="The same against the steps that had been trained when a trial ended: what the search has cost.",
            make=lambda selection, _: progress_charts.history_by_steps(selection),
            times=True,
        ),
        Kind(
            word="curves",
            title="Curves",
            told="The metric over the steps, a line for each trial; stopped ones are faint and end with a square. "
            "Dashed lines stand at the steps at which trials are compared.",
            make=lambda selection, _: progress_charts.curves(selection, with_rungs=True),
            most=MOST_CURVES,
            times=True,
        ),
        Kind(
            word="rungs",
            title="Rungs",
            told="At each step at which trials were compared: how many came there, who went on, and who did not.",
            make=lambda selection, _: schedule_charts.rungs(selection),
            most=MOST_CURVES,
            times=True,
        ),
        Kind(
            word="parallel",
            title="Parallel coordinates",
            told="A line for each trial through its parameters to its value; the better, the stronger. "
            "Drag along an axis to see only the lines that pass there.",
            make=_parallel,
            most=MOST_MARKS // 2,
            params=True,
        ),
        Kind(
            word="slice", title="Slice", told="The value by each parameter.", make=_slices,
            most=MOST_MARKS // MOST_PARAMETERS, params=True,
        ),
        Kind(
            word="contour",
            title="Contour",
            told="Trials over two parameters, coloured by their value: the better, the stronger.",
            make=lambda selection, wanted: _pair(selection, wanted, by_rank=False),
            two="parameters",
        ),
        Kind(
            word="rank",
            title="Rank",
            told="Trials over two parameters, coloured by their rank: a few bad values do not hide the others.",
            make=lambda selection, wanted: _pair(selection, wanted, by_rank=True),
            two="parameters",
        ),
        Kind(
            word="importance",
            title="Importance",
            told="Which parameters set the best tenth of the trials apart, of those that all trials have.",
            make=_importances,
            most=1000,
            stopped=False,
        ),
        Kind(
            word="edf",
            title="EDF",
            told="Which share of the completed trials has at most a value: the empirical distribution function.",
            make=lambda selection, _: progress_charts.edf(selection),
            stopped=None,
        ),
        Kind(
            word="pareto",
            title="Pareto front",
            told="Two metrics of each completed trial, and the trials that no other one beats in both.",
            make=_pareto,
            two="metrics",
            metric=False,
            stopped=None,
        ),
        Kind(
            word="timeline",
            title="Trials by time",
            told="From when to when each trial was trained for.",
            make=lambda selection, _: slot_charts.timeline(selection),
            times=True,
            metric=False,
        ),
        Kind(
            word="slots",
            title="Workers",
            told="What each slot did when: the stronger, the more trials share what it trained.",
            make=lambda selection, _: slot_charts.slots(selection),
            times=True,
            metric=False,
            stopped=None,
        ),
        Kind(
            word="savings",
            title="Savings",
            told="Steps trained over time, and those that training each trial alone would have taken.",
            make=lambda selection, _: sharing_charts.savings(selection),
            times=True,
            metric=False,
            stopped=None,
        ),
        Kind(
            word="schedules",
            title="Schedules",
            told="Hyper-parameters over the steps, a line for each schedule, as far as trials have come.",
            make=_schedules,
            most=100,
            names=True,
            metric=False,
        ),
    )
}  # fmt: skip
"""By their words, in the order in which they are listed."""


def axes_told(selection: Selection, wanted: Wanted) -> list[dict[str, object]]:
    """What a script needs to know of the axes of parallel coordinates, from the left: name, and what its ends are."""
    found: list[dict[str, object]] = []
    for axis in parameter_charts.parameters(selection, _params(selection, wanted)):
        found.append({"name": axis.name, "log": axis.log, "ends": axis.ends(), "options": bool(axis.options)})
    values = [value for _, value in selection.valued]
    ends = [(0.0, f"{min(values):.6g}"), (1.0, f"{max(values):.6g}")] if values else []
    found.append({"name": selection.metric, "log": False, "ends": ends, "options": False})
    return found


def hyperparameter_names(spec: StudySpec) -> list[str]:
    """All hyper-parameters that some trial has."""
    return list(spec.space.kinds)
