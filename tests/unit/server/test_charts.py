"""Charts as SVG and as tables: what is in them, of how many trials, and that text is only text."""

from __future__ import annotations

import asyncio
import xml.etree.ElementTree as Xml
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_client import space
from hippo_core.charts.chart import BLUE, FAINT, Area, Axis, Bars, Chart, Line, Panel, Points, Text
from hippo_core.charts.selection import Selection
from hippo_core.engine.trial_glance import Outcome
from hippo_core.errors import Unavailable
from hippo_core.objective import Objective
from hippo_core.simulation import Recording
from hippo_server.web.charts import importance, rows, svg
from hippo_server.web.charts.kinds import KINDS, Wanted, axes_told
from hippo_server.web.charts.study_data import StudyData, chosen
from tests.unit.client import recorded
from tests.unit.client.test_optuna_study import recording as many

EVIL = "<script>alert(1)</script>\"'&amp;]]>"
ELEMENTS = {"svg", "g", "path", "rect", "text", "title"}
LOSS = Objective(metric="loss", maximize=False)
SVG = "{http://www.w3.org/2000/svg}"


def elements(drawn: svg.Drawn) -> list[Xml.Element]:
    return list(Xml.fromstring(str(drawn.svg)).iter())


def marked(drawn: svg.Drawn) -> list[Xml.Element]:
    return [each for each in elements(drawn) if each.get("data-trial") is not None]


def chart_of(*marks: Any, **axes: Any) -> Chart:
    return Chart(title="t", panels=[Panel(marks=marks, x=axes.get("x", Axis()), y=axes.get("y", Axis()))])


@given(st.text(max_size=40) | st.just(EVIL))
@settings(max_examples=40, deadline=None)
def test_text_is_only_text(text: str) -> None:
    if not all(each in "\t\n\r" or each >= " " for each in text) or "\ufffe" in text or "\uffff" in text:
        return  # XML has no such characters, and HTML does not mind them
    marks = [
        Line(x=[0, 1], y=[0, 1], colour=BLUE, label=text, tip=text or "a", trial=1),
        Points(x=[0], y=[1], colour=BLUE, label=text + "p", tips=[text or "a"], trials=[2]),
        Bars(begin=[0], end=[1], y=[0], colour=FAINT, label=text + "b", tips=[text or "a"], trials=[3]),
        Area(x=[0, 1], low=[0, 0], high=[1, 1], colour=BLUE, label=text + "a"),
        Text(x=0, y=0, text=text, backed=True),
    ]
    axis = Axis(label=text, ticks=[(0.0, text), (1.0, "other")])
    drawn = svg.draw(Chart(title=text, panels=[Panel(marks=marks, x=axis, y=axis, title=text)]))
    found = elements(drawn)
    assert {each.tag.removeprefix(SVG) for each in found} <= ELEMENTS
    assert not [name for each in found for name in each.attrib if name == "style" or name.startswith("on")]
    assert {each.get("data-trial") for each in marked(drawn)} == {"1", "2", "3"}
    tips = [each.find(f"{SVG}title") for each in marked(drawn)]
    assert [None if each is None else each.text for each in tips] == [text.replace("\r", "\n") or "a"] * 3


def test_marks_are_where_their_axes_say() -> None:
    points = Points(x=[1, 10, 100], y=[0, 5, 10], colour=BLUE, tips=["a", "b", "c"], trials=[1, 2, 3])
    drawn = svg.draw(chart_of(points, x=Axis(log=True, limits=(1, 100)), y=Axis(limits=(0, 10))), width=500)
    panel = next(each for each in elements(drawn) if each.get("class") == "panel")
    left, top, right, bottom = map(float, str(panel.get("data-frame")).split())
    places = [str(each.get("d"))[1:].split("a")[0].split(" ") for each in marked(drawn)]
    xs, ys = [float(x) + 3 for x, _ in places], [float(y) for _, y in places]
    assert xs == pytest.approx([left, (left + right) / 2, right], abs=0.2), (
        "each factor of ten is equally far"
    )
    assert ys == pytest.approx([bottom, (top + bottom) / 2, top], abs=0.2), "more is higher"


def test_a_value_of_zero_makes_a_logarithmic_axis_an_even_one() -> None:
    drawn = svg.draw(chart_of(Points(x=[0.0, 1.0], y=[0, 1], colour=BLUE), x=Axis(log=True)))
    assert "0.5" in [each.text for each in elements(drawn)]


def test_the_shortest_of_too_many_bars_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(svg, "MOST_BARS", 3)
    bars = Bars(
        begin=[0] * 5, end=[1, 5, 2, 5, 2], y=[*range(5)], colour=BLUE, tips=["t"] * 5, trials=[*range(5)]
    )
    drawn = svg.draw(chart_of(bars))
    assert drawn.left_out == 2
    assert [each.get("data-trial") for each in marked(drawn)] == ["1", "2", "3"]


def test_a_chart_of_nothing_says_so() -> None:
    assert "nothing to draw yet" in str(svg.draw(chart_of()).svg)


@pytest.mark.parametrize(
    ("word", "searched", "told"),
    [
        ("rank", {"lr": 0.1}, "two parameters are needed; the study searches no parameter"),
        ("contour", {"lr": space.choice([0.1, 0.2])}, "two parameters are needed; the study searches one parameter"),
        ("slice", {"lr": 0.1}, "the study searches no parameter"),
        ("parallel", {"lr": space.choice([0.1, 0.2])}, "trials differ in no parameter"),
    ],
)  # fmt: skip
def test_a_chart_that_needs_parameters_says_that_there_are_none(
    word: str, searched: dict[str, Any], told: str
) -> None:
    content = many(["completed"], searched=searched)
    chart = KINDS[word].make(Selection(Recording.from_json(content)), Wanted())
    assert told in [each.text for each in elements(svg.draw(chart))]
    assert not rows.rows(chart)


def test_what_is_over_without_a_result_is_not_awaited() -> None:
    for states, told in (
        (["failed", "diverged"], "nothing to draw: no trial came to a result"),
        (["waiting", "failed"], "nothing to draw yet"),
    ):
        selection = Selection(Recording.from_json(many(states)))
        assert told in [each.text for each in elements(svg.draw(KINDS["parallel"].make(selection, Wanted())))]


def test_text_stays_within_the_drawing_and_has_a_ground() -> None:
    axis = Axis(ticks=[(0.0, "a long name of a parameter"), (1.0, "w" * 30)], limits=(0.0, 1.0))
    marks = [Line(x=[0, 1], y=[0, 1], colour=BLUE), Text(x=0, y=0.5, text="an option", backed=True)]
    drawn = svg.draw(chart_of(*marks, x=axis, y=Axis(hidden=True)), width=600)
    first, last = (each for each in elements(drawn) if each.get("class") == "tick" and each.get("y") != "0")
    assert float(first.get("x", "")) >= 6 * 13
    assert float(last.get("x", "")) <= 600 - 6 * 10
    (ground,) = (each for each in elements(drawn) if each.get("class") == "ground")
    (text,) = (each for each in elements(drawn) if each.text == "an option")
    assert float(ground.get("x", "")) < float(text.get("x", ""))


def test_a_table_tells_the_same() -> None:
    chart = chart_of(
        Points(x=[0, 1], y=[0.5, 1.5], colour=BLUE, label="completed", tips=["a", "b"], trials=[4, 7]),
        Line(x=[0, 1], y=[0.5, 0.25], colour=BLUE, label="best", trial=None),
        Line(x=[0, 1], y=[0.5, 0.25], colour=BLUE, label="", tip="trial 9", trial=9),
        Bars(begin=[0.0], end=[2.5], y=[1], colour=BLUE, label="training", tips=["c"]),
        y=Axis(label="loss", ticks=[(0.5, "half\nof it")]),
    )
    told = [(each.series, each.trial, each.x, each.y, each.told) for each in rows.rows(chart)]
    assert told == [
        ("completed", 4, "0", "half, of it", "a"),
        ("completed", 7, "1", "1.5", "b"),
        ("best", None, "0", "half, of it", ""),
        ("best", None, "1", "0.25", ""),
        ("loss", 9, "1", "0.25", "trial 9"),
        ("training", None, "0 to 2.5", "1", "c"),
    ]
    long = chart_of(Points(x=range(999), y=range(999), colour=BLUE))
    assert len(rows.rows(long)) == rows.MOST_ROWS


@pytest.mark.parametrize("word", KINDS)
def test_each_kind_is_drawn_of_any_study(word: str) -> None:
    """Of one that is empty, of one that shares, and of one with all states and two objectives."""
    states = ["completed", "stopped", "failed", "diverged", "waiting", "completed"]
    accuracy = Objective(metric="accuracy", maximize=True)
    for content in (recorded.empty(), recorded.document(), many(states), many(states, (accuracy, LOSS))):
        selection = Selection(Recording.from_json(content), None, None, KINDS[word].stopped is True)
        chart = KINDS[word].make(selection, Wanted(importances={"lr": 0.7}))
        drawn = svg.draw(chart)
        assert {each.tag.removeprefix(SVG) for each in elements(drawn)} <= ELEMENTS
        failed = [each.get("data-trial") for each in marked(drawn) if each.get("data-trial") == "2"]
        left_out = word != "timeline"  # what failed had a slot, too
        assert not (failed and left_out) or content["trials"][2]["state"] != "failed"


@pytest.mark.parametrize("word", ["history", "curves", "parallel", "slice", "contour", "pareto", "schedules"])
def test_as_many_trials_as_are_drawn_make_a_page_below_a_megabyte(word: str) -> None:
    kind = KINDS[word]
    selection = Selection(
        Recording.from_json(many(["completed"] * kind.most, steps=27 if kind.most < 1000 else 2))
    )
    drawn = svg.draw(kind.make(selection, Wanted()))
    assert len(marked(drawn)) <= 2 * 1000
    assert len(str(drawn.svg)) < 850_000


def test_axes_of_parallel_coordinates_are_told_with_their_ends() -> None:
    selection = Selection(Recording.from_json(many(["completed"] * 8)))
    told = axes_told(selection, Wanted(params=["lr", "optimizer"]))
    assert [(each["name"], each["log"], each["options"]) for each in told] == [
        ("lr", True, False), ("optimizer", False, True), ("accuracy", False, False)
    ]  # fmt: skip
    assert told[0]["ends"] == [(0.0, "0.0001"), (1.0, "0.1")]
    assert told[2]["ends"] == [(0.0, "0.4"), (1.0, "7.4")]


def outcome(number: int, values: tuple[float | None, ...], *, completed: bool = True) -> Outcome:
    return Outcome(number=number, completed=completed, metrics=dict(zip(("a", "b"), values, strict=False)))


@given(
    found=st.lists(
        st.tuples(
            st.sampled_from([True, True, False]),
            st.tuples(st.none() | st.integers(0, 9), st.integers(0, 9)),
        ),
        max_size=60,
    ),
    most=st.integers(20, 40),
    both=st.booleans(),
)
@settings(deadline=None)
def test_the_trials_that_stand_for_all_are_the_best_so_far_the_front_and_others(
    found: list[tuple[bool, tuple[int | None, int]]], most: int, both: bool
) -> None:
    views = [outcome(number, values, completed=done) for number, (done, values) in enumerate(found)]
    objectives = [Objective(metric="a", maximize=True), Objective(metric="b", maximize=False)][: 1 + both]
    numbers = chosen(views, objectives, most)
    assert numbers == sorted(set(numbers))
    assert len(numbers) == min(most, len(views))
    done = [
        (number, values[0], values[1])
        for number, (completed, values) in enumerate(found)
        if completed and values[0] is not None
    ]
    for place, (number, value, _) in enumerate(done):
        if all(value > each for _, each, _ in done[:place]):
            assert number in numbers, "it was the best when it came"
    assert not [1 for number in numbers if number >= len(views)]


def test_the_front_is_among_those_that_stand_for_all() -> None:
    views = [outcome(n, (float(n), float(n))) for n in range(100)]
    objectives = [Objective(metric="a", maximize=True), Objective(metric="b", maximize=True)]
    worse_first = [outcome(n, (50.0 - n / 10, n / 10)) for n in range(100, 110)]
    numbers = chosen([*views, *worse_first], objectives, 120)
    assert numbers == [*range(110)]
    trade = [outcome(n, (float(n % 50), 100.0 - n % 50 - n // 50)) for n in range(100)]
    assert set(chosen(trade, objectives, 60)) >= set(range(50)), "each of the first fifty is on the front"


def test_it_is_said_how_many_trials_are_drawn() -> None:
    study = Recording.from_json(many(["completed"] * 3))
    assert StudyData(recording=study, trials=3).note == ""
    assert StudyData(recording=study, trials=50_000).note.startswith("3 of 50,000 trials: ")


async def test_importances_are_reckoned_aside_and_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    content = many(["completed"] * 40)
    for trial in content["trials"]:
        trial["history"][-1]["metrics"]["accuracy"] = float(trial["assignment"]["width"])
    selection = Selection(Recording.from_json(content))
    reckoned = importance.Importances(seconds=120.0)
    found = await reckoned.of(selection)
    assert max(found, key=found.__getitem__) == "width"
    assert sum(found.values()) == pytest.approx(1.0)

    async def refuse(question: bytes) -> dict[str, float]:
        raise AssertionError("it is known")

    monkeypatch.setattr(importance, "_asked", refuse)
    assert await reckoned.of(selection) == found
    few = Selection(Recording.from_json(many(["completed"] * 9)))
    assert await reckoned.of(few) == {}, "of nine trials none is the best tenth"

    async def hang(question: bytes) -> dict[str, float]:
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(importance, "_asked", hang)
    with pytest.raises(Unavailable, match=r"not reckoned within 0\.05 s"):
        await importance.Importances(seconds=0.05).of(selection)
