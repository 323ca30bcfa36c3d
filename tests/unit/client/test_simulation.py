import itertools
from xml.etree import ElementTree

import pytest

import hippo_client as hippo
from hippo_client import schedules, simulation, space


def study(name, *rates):
    return hippo.Study(
        "trainer:Trainer", {"lr": space.choice(list(rates))}, name=name, maximize="accuracy", max_steps=9
    )


FORKED = (0.1, schedules.piecewise([0.1, 0.01], [5]))


def test_a_study_is_simulated_as_it_is_written():
    found = simulation.simulate(study("forked", *FORKED), slots=2)
    assert (found.steps_trained, found.makespan_seconds) == (13, 9)
    assert simulation.simulate(study("forked", *FORKED), slots=2, sharing=False).steps_trained == 18


def test_studies_come_and_workers_go_when_they_are_said_to():
    found = simulation.simulate(
        study("one", *FORKED),
        study("two", 0.2),
        hosts=[
            simulation.Host(name="first", slots=1),
            simulation.Host(name="second", slots=1, joins_seconds=15),
        ],
        arrivals=[0, 20],
        costs=simulation.Costs(step_seconds=lambda values: 2.0),
    )
    assert found.makespan_seconds == 38
    assert {span.host for span in found.spans} == {"first", "second"}


def test_names_in_a_chart_are_only_text():
    found = simulation.simulate(study("forked", *FORKED), hosts=[simulation.Host(name='<script>"&', slots=1)])
    drawn = ElementTree.fromstring(simulation.gantt_svg(found, width=500))
    assert drawn.get("width") == "500"
    assert not list(drawn.iter("{http://www.w3.org/2000/svg}script"))
    words = [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert any('<script>"&' in each for each in words)


def test_bars_lie_within_the_chart_and_beside_each_other():
    found = simulation.simulate(
        study("forked", *FORKED, 0.2, 0.3),
        slots=2,
        costs=simulation.Costs(evaluate_seconds=0.5, save_seconds=0.25, load_seconds=1),
    )
    drawn = ElementTree.fromstring(simulation.gantt_svg(found))
    bars = [each for each in drawn.iter("{http://www.w3.org/2000/svg}rect") if len(each)]
    rows = {}
    for bar in bars:
        left, width = float(bar.get("x")), float(bar.get("width"))
        assert 0 < left < left + width <= 1200
        rows.setdefault(bar.get("y"), []).append((left, width))
    assert len(rows) == 2
    for row in rows.values():
        row.sort()
        for (left, width), (beside, _) in itertools.pairwise(row):
            assert left + width <= beside + 0.31  # what is very short is drawn a little wider


def test_a_slot_that_does_nothing_has_a_row_while_it_is_there():
    found = simulation.simulate(
        study("one", 0.1),
        hosts=[
            simulation.Host(name="busy", slots=1),
            simulation.Host(name="idle", slots=1, joins_seconds=3, lost_seconds=6),
        ],
    )
    drawn = ElementTree.fromstring(simulation.gantt_svg(found))
    assert "idle/0" in [each.text for each in drawn.iter("{http://www.w3.org/2000/svg}text")]
    busy, idle = (
        each for each in drawn.iter("{http://www.w3.org/2000/svg}rect") if each.get("fill") == "#8882"
    )
    assert float(idle.get("width")) == pytest.approx(float(busy.get("width")) * 3 / 9, abs=0.02)
    assert float(idle.get("x")) == pytest.approx(
        float(busy.get("x")) + float(busy.get("width")) / 3, abs=0.02
    )


def test_recorded_metrics_are_looked_up():
    recorded = simulation.RecordedMetrics([([{"lr": 0.1}] * 9, {k: {"accuracy": 0.5} for k in range(1, 10)})])
    found = simulation.simulate(study("one", 0.1), response=recorded)
    assert found.studies[0].best_value == 0.5
    with pytest.raises(hippo.errors.InvalidStudy, match="response: no metrics are recorded for step 0"):
        simulation.simulate(study("one", 0.2), response=recorded)


def test_a_table_is_a_response():
    rows = [{"trial": 0, "step": step, "accuracy": step / 10} for step in range(1, 10)]
    response = simulation.table(study("one", 0.1), rows)
    assert simulation.simulate(study("one", 0.1), response=response).studies[0].best_value == 0.9


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"beyond": "x"}, "beyond: is about what was not recorded. Give recorded, too"),
        ({"seed": "a"}, "seed: must be an int, not 'a'"),
        ({"seed": -1}, "seed: must be at least 0"),
        ({"slots": 2, "hosts": [simulation.Host(name="a", slots=1)]}, "slots: are the hosts' already"),
    ],
)
def test_arguments_that_come_to_nothing_are_refused(arguments, said):
    with pytest.raises(hippo.errors.InvalidStudy, match=said):
        simulation.simulate(study("one", 0.1), **arguments)


def test_a_metric_that_is_not_recorded_is_told_with_those_that_are():
    recorded = simulation.RecordedMetrics([([{"lr": 0.1}] * 9, {9: {"error": 0.5, "loss": 0.1}})])
    with pytest.raises(hippo.errors.InvalidStudy, match=r"maximize: 'accuracy' .* Known are: error, loss"):
        simulation.simulate(study("one", 0.1), response=recorded)


def test_a_record_and_another_response_exclude_each_other():
    response = simulation.RecordedMetrics()
    recorded = simulation.Recording(
        name="one", state="completed", ending="", changes=0, spec=study("one", 0.1).spec(), environment="",
        created="", trials=(),
        save_seconds=None, start_seconds=None, steps_trained=0, steps_without_sharing=0,
        training={}, leases={}, creations={}, arrivals=(),
    )  # fmt: skip
    with pytest.raises(hippo.errors.InvalidStudy, match="response: is the record's already"):
        simulation.simulate(study("one", 0.1), recorded=recorded, response=response)
