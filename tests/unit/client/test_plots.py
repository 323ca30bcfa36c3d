"""Plots: what the charts hold, and that both backends draw it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_client import plots, space
from hippo_client.errors import HippoError, InvalidStudy
from hippo_core.charts import (
    pair_charts,
    parameter_charts,
    progress_charts,
    schedule_charts,
    sharing_charts,
    slot_charts,
)
from hippo_core.charts.chart import BLUES, Bars, Chart, Line, Points, told_apart
from hippo_core.charts.selection import Selection
from hippo_core.objective import Objective
from hippo_core.simulation import Recording
from tests.unit.client import recorded
from tests.unit.client.test_optuna_study import recording as many

LOSS = Objective(metric="loss", maximize=False)
EVIL = "$x_{<b>"


@pytest.fixture
def study() -> Recording:
    return recorded.recording(recorded.document())


@pytest.fixture(autouse=True)
def no_figures_are_left(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MPLBACKEND", "Agg")
    yield
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")


def marks(chart: Chart, kind: type, panel: int = 0) -> list[Any]:
    return [each for each in chart.panels[panel].marks if isinstance(each, kind)]


def test_the_history_has_the_best_so_far_of_what_completed_and_stopped_trials_faint() -> None:
    content = many(["completed", "stopped", "completed", "failed", "completed", "diverged", "waiting"])
    content["trials"][2]["history"][-1]["metrics"]["accuracy"] = 0.3
    selection = Selection(Recording.from_json(content))
    chart = progress_charts.optimization_history(selection)
    (best,) = marks(chart, Line)
    assert (list(best.x), list(best.y)) == ([0, 2, 4], [0.4, 0.4, 4.4])
    diverged, stopped, completed = marks(chart, Points)
    assert (list(diverged.x), list(diverged.y), diverged.marker) == ([5], [0.3], "triangle"), (
        "by the worst value"
    )
    assert (list(stopped.x), list(stopped.y), stopped.label) == ([1], [1.2], "stopped")
    assert list(completed.y) == [0.4, 0.3, 4.4]
    assert chart.notes == ("1 trial that failed left out",)
    assert selection.notes == ("2 trials that failed or diverged left out",)
    without = progress_charts.optimization_history(Selection(selection.recording, stopped=False))
    assert [each.label for each in marks(without, Points)] == ["diverged", "completed"]
    assert without.notes == ("1 trial that failed left out", "1 stopped trial left out")


def test_curves_may_show_the_steps_at_which_trials_are_compared(study: Recording) -> None:
    *_, one, other = sorted(
        marks(progress_charts.curves(Selection(study), with_rungs=True), Line), key=lambda each: each.dashed
    )
    assert [list(each.x) for each in (one, other)] == [[3, 3], [4, 4]]
    assert {(min(each.y), max(each.y)) for each in (one, other)} == {(0.1, 2.3)}


def test_the_history_shows_what_is_not_over(study: Recording) -> None:
    going, stopped, completed = marks(progress_charts.optimization_history(Selection(study)), Points)
    assert (list(going.x), list(going.y), going.marker, going.trials) == ([2], [2.3], "diamond", [2])
    assert (stopped.trials, completed.trials) == ([1], [0])


def test_the_history_by_steps_counts_what_was_trained_when_a_trial_ended(study: Recording) -> None:
    (best,) = marks(progress_charts.history_by_steps(Selection(study)), Line)
    assert (list(best.x), list(best.y)) == ([5], [0.4]), "two steps for both, two more, and one of trial 1"


@given(
    values=st.lists(st.integers(-20, 20).map(lambda each: each / 4), min_size=1, max_size=12),
    maximize=st.booleans(),
)
@settings(deadline=None, max_examples=40)
def test_the_best_so_far_and_the_distribution_are_those_of_their_definitions(
    values: list[float], maximize: bool
) -> None:
    content = many(["completed"] * len(values), (Objective(metric="accuracy", maximize=maximize),))
    for trial, value in zip(content["trials"], values, strict=True):
        trial["history"][-1]["metrics"]["accuracy"] = value
    selection = Selection(Recording.from_json(content))
    (best,) = marks(progress_charts.optimization_history(selection), Line)
    for place, y in enumerate(best.y):
        assert y == (max if maximize else min)(values[: place + 1])
    (share,) = marks(progress_charts.edf(selection), Line)
    for value in values:
        at = max(y for x, y in zip(share.x, share.y, strict=True) if x <= value)
        assert at == pytest.approx(sum(each <= value for each in values) / len(values))


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=20))
def test_the_front_is_what_no_other_pair_beats(points: list[tuple[float, float]]) -> None:
    def beaten(one: tuple[float, float]) -> bool:
        return any(each != one and each[0] <= one[0] and each[1] <= one[1] for each in points)

    assert parameter_charts.front_of(points) == {each for each in points if not beaten(each)}


def test_a_pair_of_parameters_is_coloured_by_value_or_by_rank() -> None:
    content = many(["completed"] * 10)
    content["trials"][9]["history"][-1]["metrics"]["accuracy"] = 1000.0
    selection = Selection(Recording.from_json(content))
    by_value = marks(pair_charts.pair(selection, ("lr", "width"), by_rank=False), Points)
    assert [sorted(each.trials) for each in by_value] == [[*range(9)], [9]], (
        "one value takes all of the range"
    )
    by_rank = marks(pair_charts.pair(selection, ("lr", "width"), by_rank=True), Points)
    assert [sorted(each.trials) for each in by_rank] == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    chart = pair_charts.pair(selection, ("lr", "width"), by_rank=True)
    assert (chart.panels[0].x.log, chart.panels[0].y.log) == (True, False), "as the space is"
    with pytest.raises(InvalidStudy, match="is not searched"):
        pair_charts.pair(selection, ("rate", "width"), by_rank=True)


def test_a_contour_is_of_the_trials_of_each_option_and_blank_where_there_are_none() -> None:
    searched = {"lr": space.loguniform(1e-4, 1e-1), "kind": space.choice(["a", "b", "c"])}
    content = many(["completed", "completed", "stopped"], searched=searched)
    for trial, kind, lr in zip(content["trials"], (0, 2, 1), (1e-3, 1e-2, 1e-3), strict=True):
        trial["assignment"] = {"lr": lr, "kind": kind}
    selection = Selection(Recording.from_json(content), stopped=False)
    chart = pair_charts.contour(selection, None)
    assert (chart.panels[0].x.label, chart.panels[0].y.label) == ("lr", "kind")
    surface = {(each.y[0], each.colour) for each in marks(chart, Bars)}
    assert surface == {(0.0, BLUES[0]), (2.0, BLUES[-1])}, "nobody with b completed, and nothing is between"
    one, best = marks(chart, Points)
    assert (one.trials, best.trials, best.label) == ([0], [1], "best: trial 1")
    assert list(chart.panels[0].x.limits or ()) == pytest.approx([1e-3 * 10**-0.09, 1e-2 * 10**0.09])
    assert chart.notes == ["1 stopped trial left out"]
    alone = pair_charts.rank(selection, ["kind"])
    assert (alone.panels, alone.empty) == (
        [],
        "there are no two parameters in which the trials that are drawn differ",
    )


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=6, unique=True))
@settings(deadline=None, max_examples=20)
def test_a_contour_is_within_the_values_around(places: list[tuple[float, float]]) -> None:
    """What lies between trials is no better than the best, and where only one is, it is its value."""
    searched = {"x": space.uniform(0, 1), "y": space.uniform(0, 1)}
    content = many(["completed"] * len(places), searched=searched)
    for trial, (x, y) in zip(content["trials"], places, strict=True):
        trial["assignment"] = {"x": x, "y": y}
        trial["history"][-1]["metrics"]["accuracy"] = x
    chart = pair_charts.contour(Selection(Recording.from_json(content)), ["x", "y"])
    span = max(x for x, _ in places) - min(x for x, _ in places)
    cells = marks(chart, Bars)
    area = sum(each.height * (each.end[0] - each.begin[0]) for each in cells)
    x, y = chart.panels[0].x.limits, chart.panels[0].y.limits
    assert x is not None
    assert y is not None
    assert area == pytest.approx((x[1] - x[0]) * (y[1] - y[0])), "no hole, and nothing twice"
    if not span:
        assert {each.colour for each in cells} == {BLUES[2]}


def test_long_schedules_are_looked_at_at_some_steps() -> None:
    content = many(["completed"], steps=2500)
    chart = schedule_charts.schedules(Selection(Recording.from_json(content)), ["width"])
    (line,) = marks(chart, Line)
    assert (len(line.x), line.x[1], line.x[-1]) == (835, 3, 2500)
    assert chart.notes == ("values at every 3 steps",)


def test_curves_show_each_trial_the_best_in_front_of_any_metric(study: Recording) -> None:
    lines = marks(progress_charts.curves(Selection(study)), Line)
    assert [(list(each.x), list(each.y)) for each in lines] == [
        ([1, 2, 3], [1.1, 1.2, 1.3]),
        ([1, 2, 3], [2.1, 2.2, 2.3]),
        ([1, 2, 3, 4], [0.1, 0.2, 0.3, 0.4]),
    ]
    assert [each.label for each in lines] == ["stopped", "not over", "best: trial 0"]
    loss = marks(progress_charts.curves(Selection(study, "loss", trials=[0])), Line)
    assert [list(each.x) for each in loss] == [[1, 2, 4]], "at step 3 it was not finite"


def test_the_distribution_counts_completed_trials() -> None:
    (line,) = marks(
        progress_charts.edf(Selection(Recording.from_json(many(["completed"] * 4 + ["stopped"])))), Line
    )
    assert list(zip(line.x, line.y, strict=True)) == [
        (0.4, 0.0),
        (0.4, 0.25),
        (1.4, 0.5),
        (2.4, 0.75),
        (3.4, 1.0),
    ]


def test_axes_follow_the_space_and_options_are_named() -> None:
    content = many(["completed"] * 12 + ["stopped"] * 4)
    selection = Selection(Recording.from_json(content))
    chart = parameter_charts.slices(selection, ["lr", "decay", "optimizer/0.momentum"])
    rate, decay, momentum = chart.panels
    assert (rate.x.label, rate.x.log, rate.y.label) == ("lr", True, "accuracy")
    assert (decay.y.label, [text for _, text in decay.y.ticks or ()][1:]) == (
        "decay", ["piecewise([0.1, decay/1/val…", "None"],
    )  # fmt: skip
    assert momentum.x.log is False
    having = [each for each in content["trials"] if "optimizer/0.momentum" in each["assignment"]]
    assert sum(len(each.x) for each in marks(chart, Points, 2)) == len(having) < 16
    with pytest.raises(InvalidStudy, match="'rate' is not searched"):
        parameter_charts.slices(selection, ["rate"])


def test_parallel_coordinates_pass_through_what_was_drawn_to_the_value(study: Recording) -> None:
    chart = parameter_charts.parallel_coordinate(Selection(study), None)
    best = next(each for each in marks(chart, Line) if each.label == "best: trial 0")
    assert (list(best.x), list(best.y)) == ([0.0, 1.0], [0.0, 0.0]), (
        "of lr it has the first option, and the least value"
    )
    assert [text for _, text in chart.panels[0].x.ticks or ()] == ["lr", "accuracy"], (
        "all have the same width"
    )


def test_the_front_is_what_no_other_trial_beats() -> None:
    accuracy = Objective(metric="accuracy", maximize=True)
    content = many(["completed"] * 3 + ["stopped"], (accuracy, LOSS))
    for trial, loss in zip(content["trials"], (0.1, 0.3, 0.2, 0.0), strict=True):
        trial["history"][-1]["metrics"]["loss"] = loss
    behind, front = marks(
        parameter_charts.pareto_front(Selection(Recording.from_json(content)), None), Points
    )
    assert list(zip(behind.x, behind.y, strict=True)) == [(1.4, 0.3)]
    assert list(zip(front.x, front.y, strict=True)) == [(0.4, 0.1), (2.4, 0.2)]
    with pytest.raises(InvalidStudy, match="the study has one objective"):
        parameter_charts.pareto_front(Selection(Recording.from_json(many(["completed"]))), None)


def test_the_tree_has_bars_by_how_many_share_the_steps(study: Recording) -> None:
    chart = sharing_charts.stage_tree(Selection(study))
    bars = {each.label: list(zip(each.begin, each.end, strict=True)) for each in marks(chart, Bars)}
    assert bars == {"1 trial": [(3, 4), (2, 3)], "2 or 3 trials": [(0, 2), (2, 3)]}
    best = [list(each.x) for each in marks(chart, Line) if each.label == "path of the best: trial 0"]
    assert best == [[0, 2], [2, 4]]
    assert chart.title == "shared: 10 steps of 3 trials, 5 of them different"


def test_savings_and_slots_are_those_of_the_timeline(study: Recording) -> None:
    chart = sharing_charts.savings(Selection(study))
    alone, trained = marks(chart, Line)
    assert (alone.label, trained.label) == ("each trial alone: 10", "trained: 5")
    assert chart.title == "shared: 50% of the steps saved"
    chart = slot_charts.slots(Selection(study))
    leases, one, two = marks(chart, Bars)
    assert list(zip(leases.begin, leases.end, leases.y, strict=True)) == [(10, 15, 0), (13, 15, 1)]
    assert (one.label, list(one.y), two.label, list(two.begin)) == (
        "training for 1 trial", [1], "training for 2 or 3 trials", [10.5, 12.5],
    )  # fmt: skip
    assert chart.title == "shared: 2 slots, training 50% of the time"


def test_trials_by_time(study: Recording) -> None:
    completed, stopped, going = marks(slot_charts.timeline(Selection(study)), Bars)
    assert (list(completed.begin), list(completed.end)) == ([10.5], [15.0])
    assert (list(stopped.y), list(going.y), list(going.begin)) == ([1], [2], [20.0])


def test_schedules_lie_above_one_another_as_far_as_trials_have_come(study: Recording) -> None:
    chart = schedule_charts.schedules(Selection(study), None)
    assert [each.y.label for each in chart.panels] == ["lr"], "all have one width"
    lines = [(list(each.x), list(each.y)) for each in marks(chart, Line)]
    assert lines == [
        ([0, 1, 2, 3], [0.1, 0.1, 0.02, 0.02]),
        ([0, 1, 2, 3], [0.5, 0.5, 0.5, 0.5]),
        ([0, 1, 2, 3, 4], [0.1, 0.1, 0.01, 0.01, 0.01]),
    ]
    assert [each.y.label for each in schedule_charts.schedules(Selection(study), ["width"]).panels] == [
        "width"
    ]
    with pytest.raises(InvalidStudy, match="'rate' is no hyper-parameter"):
        schedule_charts.schedules(Selection(study), ["rate"])


def test_none_is_a_value_and_what_a_trial_has_not_is_not_drawn() -> None:
    content = many(["completed"] * 3, searched={"kind": space.choice([{"name": None}, {"name": "a"}, {}])})
    names = [each["assignment"]["kind"] for each in content["trials"]]
    assert set(names) == {0, 1, 2}
    chart = schedule_charts.schedules(Selection(Recording.from_json(content)), ["kind.name"])
    assert {text for _, text in chart.panels[0].y.ticks or ()} == {"None", "a"}
    assert {names[each.trial] for each in marks(chart, Line)} == {0, 1}


def test_the_best_is_in_front_of_those_that_are_as_good() -> None:
    content = many(["completed"] * 3)
    for trial in content["trials"]:
        trial["history"][-1]["metrics"]["accuracy"] = 0.5
    chart = parameter_charts.parallel_coordinate(Selection(Recording.from_json(content)), None)
    assert [each.trial for each in marks(chart, Line) if each.trial is not None] == [1, 2, 0]


def test_slots_are_drawn_while_the_study_was_there() -> None:
    """Others train what it shares before it was submitted, and after its end."""
    content = recorded.document()
    content["trials"] = content["trials"][:2]
    lease = content["leases"][0]
    content["leases"] += [
        {**lease, "fence": 3, "granted": -50.0, "ended": -40.0},
        {**lease, "fence": 4, "granted": 90.0, "ended": 95.0},
    ]
    first = content["training"][0]
    content["training"] += [{**first, "fence": 3}, {**first, "fence": 4}]
    chart = slot_charts.slots(Selection(recorded.recording(content)))
    assert {(begin, end) for each in marks(chart, Bars) for begin, end in zip(each.begin, each.end, strict=True)} == {
        (10.0, 15.0), (13.0, 15.0), (10.5, 12.5), (12.5, 14.5), (13.5, 14.5),
    }  # fmt: skip


def test_at_the_rungs_some_go_on_and_some_rest() -> None:
    content = recorded.document()
    first = [{**each, "step": 2, "reached": 2, "seconds": 12.0} for each in content["arrivals"]]
    content["arrivals"] = [*first, content["arrivals"][0]]
    chart = schedule_charts.rungs(Selection(recorded.recording(content)))
    assert [text for _, text in chart.panels[0].x.ticks or ()] == ["step 2\n2 trials", "step 4\n1 trial"]
    rest, on = marks(chart, Points)
    assert list(zip(rest.x, rest.y, strict=True)) == [(0.0, 1.2)]
    assert list(zip(on.x, on.y, strict=True)) == [(0.0, 0.2), (1.0, 0.4)]


def test_the_best_is_the_study_s(study: Recording) -> None:
    assert Selection(study).best == 0, "trial 1 has more, and did not complete"
    assert Selection(study, trials=[1, 2]).best == 2, "at equal steps the better one"
    content = recorded.document()
    content["trials"][0]["state"] = content["trials"][1]["state"] = "completed"
    content["spec"]["constraints"] = ["accuracy <= 1"]
    assert Selection(recorded.recording(content)).best == 0, "trial 1 violates the constraint"


def test_what_there_is_not_is_told_with_what_there_is(study: Recording) -> None:
    with pytest.raises(InvalidStudy, match="'f1' is not reported"):
        plots.curves(study, metric="f1")
    with pytest.raises(InvalidStudy, match="there is no trial 9"):
        plots.curves(study, trials=[0, 9])
    with pytest.raises(InvalidStudy, match="must be 'matplotlib' or 'plotly', not 'gnuplot'"):
        plots.curves(study, backend="gnuplot")  # type: ignore[arg-type]
    with pytest.raises(InvalidStudy, match="there is no plot 'contours'") as caught:
        plots.named("contours")
    assert caught.value.hint.startswith("Did you mean 'contour'? Known are: contour, curves, ")


def test_names_of_ticks_differ() -> None:
    assert told_apart(["a" * 9, "a" * 9 + "b", "c"], most=6) == ["aaaaa… (1)", "aaaaa… (2)", "c"]


def kinds() -> dict[str, Recording]:
    """Studies of several kinds."""
    accuracy = Objective(metric="accuracy", maximize=True)
    small = {"lr": space.loguniform(1e-4, 1e-1), EVIL: space.choice([0.1, EVIL, "a"])}
    return {
        "stopped": Recording.from_json(
            many(
                ["completed"] * 5 + ["stopped"] * 3 + ["failed", "waiting", "paused"], (accuracy, LOSS), small
            )
        ),
        "forked": recorded.recording(recorded.document()),
        "one": Recording.from_json(many(["completed"], (accuracy, LOSS), small)),
        "empty": recorded.recording(recorded.empty()),
    }


@pytest.mark.parametrize("backend", ["matplotlib", "plotly"])
@pytest.mark.parametrize("kind", kinds())
def test_every_plot_of_every_kind_of_study_is_drawn(
    kind: str, backend: plots.Backend, tmp_path: Path
) -> None:
    pytest.importorskip(backend)
    pytest.importorskip("optuna")
    pytest.importorskip("sklearn")
    study = kinds()[kind]
    for name in plots.__all__:
        if name == "pareto_front" and len(study.spec.objectives) == 1:
            continue
        figure = plots.named(name)(study, backend=backend)
        drawn = figure.to_json() if backend == "plotly" else figure.axes or figure.texts
        assert drawn, name
    if kind == "stopped" and backend == "matplotlib":
        plots.slice(study).savefig(tmp_path / "slice.svg")
        # The text of a name is its text: no mathematics, no markup.
        assert "$x_{&lt;b&gt;" in (tmp_path / "slice.svg").read_text()


def test_without_what_draws_the_remedy_is_told(study: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    for package, backend, hint in (
        ("matplotlib", "matplotlib", "pip install 'hippo-hpo[plots]'"),
        ("plotly", "plotly", "pip install plotly, or use matplotlib."),
    ):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(HippoError, match="need") as caught:
            plots.curves(study, backend=backend)  # type: ignore[arg-type]
        assert caught.value.hint == hint
