"""When what was trained for whom, from an export."""

from __future__ import annotations

import pytest

from hippo_core.simulation import Recording
from hippo_core.simulation.timeline import Timeline
from tests.unit.client import recorded


@pytest.fixture
def study() -> Recording:
    return recorded.recording(recorded.document())


def test_stretches_lie_one_after_the_other_within_their_lease(study: Recording) -> None:
    found = Timeline(study).stretches
    assert [(each.node, each.lease.slot, each.begin, each.end) for each in found] == [
        (1, 0, 10.5, 12.5),
        (2, 0, 12.5, 14.5),
        (3, 1, 13.5, 14.5),
    ]


def test_of_a_path_that_was_lost_training_began_when_a_slot_has_started() -> None:
    content = recorded.document()
    content["leases"][1]["state"] = "expired"
    found = Timeline(recorded.recording(content)).stretches
    assert [(each.begin, each.end) for each in found] == [(10.5, 12.5), (12.5, 14.5), (13.25, 14.25)]


def test_of_a_path_that_is_being_trained_the_end_is_not_known() -> None:
    content = recorded.document()
    content["leases"][1] |= {"state": "training", "ended": None}
    found = Timeline(recorded.recording(content)).stretches
    assert (found[2].begin, found[2].end) == (13.25, 14.25)


def test_what_took_longer_than_its_lease_is_fitted_into_it() -> None:
    leases = [{**each, "ended": each["granted"] + 2.0} for each in recorded.document()["leases"]]
    found = Timeline(recorded.recording(recorded.document(leases=leases))).stretches
    assert [(each.begin, each.end) for each in found] == [(10.0, 11.0), (11.0, 12.0), (13.5, 14.5)]


def test_a_trial_begins_with_its_first_step_or_when_it_is_made(study: Recording) -> None:
    timeline = Timeline(study)
    assert [timeline.begun(trial) for trial in study.trials] == [10.5, 10.5, 20.0]
    assert [timeline.ended(trial) for trial in study.trials] == [15.0, 15.0, None]
    assert [timeline.moment(study.trials[2], step) for step in (1, 2, 3, 4)] == [11.5, 12.5, 13.5, None]


def test_a_trial_began_as_long_before_its_end_was_known_as_its_steps_took() -> None:
    """Its lease ended late, as saving took longer than it does on average: the rows would have it begin at 10.5."""
    content = recorded.document()
    content["arrivals"][0] |= {"seconds": 14.25}
    study = recorded.recording(content)
    timeline = Timeline(study)
    assert [(timeline.begun(trial), timeline.ended(trial)) for trial in study.trials[:2]] == [
        (10.25, 14.25),
        (10.5, 15.0),
    ]

    content["trials"][0] |= {"state": "waiting"}
    on_its_way = recorded.recording(content)
    assert Timeline(on_its_way).begun(on_its_way.trials[0]) == 10.5
    content["trials"][0] |= {"state": "completed"}
    content["arrivals"][0] |= {"seconds": 13.5}
    early = recorded.recording(content)
    assert Timeline(early).begun(early.trials[0]) == 10.0, "not before its lease"


def test_what_a_trial_took_and_what_of_it_others_have_too(study: Recording) -> None:
    timeline = Timeline(study)
    assert [timeline.seconds(trial) for trial in study.trials] == [(4.0, 3.0), (3.0, 2.0), (3.0, 3.0)]


def test_savings_grow_with_what_is_trained_and_jump_where_a_trial_finds_its_steps_trained(
    study: Recording,
) -> None:
    found = Timeline(study).savings()
    at = dict(zip(found.seconds, zip(found.trained, found.alone, strict=True), strict=True))
    assert at == {
        0.0: (0.0, 0.0),
        10.5: (0.0, 0.0),
        12.5: (2.0, 4.0),
        13.5: (3.0, 5.0),
        14.5: (5.0, 7.0),
        15.0: (5.0, 7.0),
        20.0: (5.0, 10.0),
    }
    assert found.alone[-1] == sum(trial.step for trial in study.trials)


def test_what_was_trained_for_others_is_not_trained_for_the_study() -> None:
    """1. Before it was submitted. 2. Beyond where its trials go. 3. In a node that none of them goes through."""
    content = recorded.document()
    first = content["training"][0]
    leases = [
        {**content["leases"][0], "fence": 3, "granted": -20.0, "ended": -10.0},
        {**content["leases"][0], "fence": 4, "granted": 30.0, "ended": 35.0},
    ]
    others = [
        {**first, "fence": 3},
        {**first, "node": 2, "start": 4, "stop": 9, "fence": 4},
        {**first, "node": 77, "start": 2, "stop": 9, "fence": 4},
    ]
    found = Timeline(
        recorded.recording(
            recorded.document(leases=[*content["leases"], *leases], training=[*content["training"], *others])
        )
    ).savings()
    assert found.seconds[0] == 0.0
    at = dict(zip(found.seconds, zip(found.trained, found.alone, strict=True), strict=True))
    assert (at[0.0], at[12.5], at[14.5], at[35.0]) == ((0.0, 0.0), (2.0, 4.0), (5.0, 7.0), (5.0, 10.0))


def test_what_is_trained_again_after_a_study_s_end_is_not_trained_for_it() -> None:
    content = recorded.document(steps_without_sharing=7)
    content["trials"] = content["trials"][:2]
    again = {**content["training"][0], "fence": 3}
    lease = {**content["leases"][0], "fence": 3, "granted": 60.0, "ended": 65.0}
    content["training"].append(again)
    content["leases"].append(lease)
    timeline = Timeline(recorded.recording(content))
    found = timeline.savings()
    assert (timeline.over, timeline.end) == (15.0, 65.0)
    assert (found.seconds[-1], found.trained[-1], found.alone[-1]) == (15.0, 5.0, 7.0)


def test_a_trial_that_finds_its_steps_trained_has_them_at_once(study: Recording) -> None:
    found = Timeline(study).savings()
    places = [place for place, seconds in enumerate(found.seconds) if seconds == 20.0]
    assert [found.alone[place] for place in places] == [7.0, 10.0], "and had not begun to before"


def test_what_no_lease_tells_of_grows_with_what_is_told() -> None:
    """As of a stopped trial that had been trained further, and of probes."""
    found = Timeline(
        recorded.recording(recorded.document(steps_trained=10, steps_without_sharing=15))
    ).savings()
    at = dict(zip(found.seconds, zip(found.trained, found.alone, strict=True), strict=True))
    assert (at[12.5], at[20.0]) == ((4.0, 6.0), (10.0, 15.0))


def test_steps_trained_twice_count_once_for_the_trials() -> None:
    content = recorded.document()
    again = {**content["training"][0], "fence": 3}
    lease = {**content["leases"][0], "fence": 3, "granted": 30.0, "ended": 35.0}
    found = Timeline(
        recorded.recording(
            {
                **content,
                "steps_trained": 7,
                "training": [*content["training"], again],
                "leases": [*content["leases"], lease],
            }
        )
    ).savings()
    at = dict(zip(found.seconds, zip(found.trained, found.alone, strict=True), strict=True))
    assert (at[20.0], at[35.0]) == ((5.0, 10.0), (7.0, 10.0))


def test_a_study_without_trials_has_no_times() -> None:
    found = Timeline(recorded.recording(recorded.empty()))
    assert (found.stretches, found.end) == ((), 0.0)
    assert found.savings().trained == found.savings().alone == (0.0,)
