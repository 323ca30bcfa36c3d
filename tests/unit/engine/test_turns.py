"""Fair shares: whose turn it is, what they are billed, and that nobody waits for ever."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import samplers, space
from hippo_core.allowance import Allowance
from hippo_core.billing import MICROSECONDS
from hippo_core.engine.commands import ChangeAccount, CreateProject, PauseStudy, SubmitStudy
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.events import Event, LeaseGranted, LeaseStopped, StepsTrained, StudyCredited
from hippo_core.engine.queue_views import queue
from hippo_core.simulation import Costs, Host, Simulated, simulate
from hippo_core.study import StudySpec
from tests.studies import grid, study
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import FAULTS, PIECES, expect_as_trained_alone, spec

TURN = EngineSettings().turn_seconds
STEP = 5  #: seconds, of what is trained for hours: short beside a turn


def apart(name: str, count: int, steps: int, seed: int = 1, **changes: Any) -> StudySpec:
    """Trials that share nothing, of a program of their own."""
    return grid(
        {"lr": space.choice([0.1 / (n + 1) for n in range(count)])},
        name=name,
        max_steps=steps,
        program_changes={"seed": seed},
        **changes,
    )


def shared_out(
    studies: Sequence[tuple[str, StudySpec]],
    slots: int,
    *,
    weights: Mapping[str, float] | None = None,
    arrivals: Sequence[float] | None = None,
    **arguments: Any,
) -> tuple[Simulated, list[Event]]:
    events: list[Event] = []
    found = simulate(
        [each for _, each in studies],
        [Host(name="host", slots=slots)],
        users=[user for user, _ in studies],
        allowances={user: Allowance(weight=weight) for user, weight in (weights or {}).items()},
        arrivals=arrivals,
        watch=events.append,
        checked=True,
        **arguments,
    )
    return found, events


def used(found: Simulated, until: float, since: float = 0.0) -> dict[str, float]:
    """Seconds of slots in which something of each study was done, between two times."""
    seconds: dict[str, float] = defaultdict(float)
    for span in found.spans:
        begin, end = max(span.begin / 1e9, since), min(span.end / 1e9, until)
        if end > begin:
            seconds[span.study] += end - begin
    return seconds


def billed(events: Sequence[Event]) -> Counter[str]:
    bills: Counter[str] = Counter()
    for event in events:
        if isinstance(event, StudyCredited):
            bills[event.user] += event.billed
    return bills


def trained_microseconds(events: Sequence[Event]) -> int:
    return sum(
        round((event.train_seconds + event.evaluate_seconds) * MICROSECONDS)
        for event in events
        if isinstance(event, StepsTrained)
    )


def yields(events: Sequence[Event]) -> list[LeaseStopped]:
    return [event for event in events if isinstance(event, LeaseStopped) and "turn" in event.reason]


@pytest.mark.parametrize(
    ("slots", "weights"), [(8, (1, 1)), (8, (3, 1)), (2, (2, 1)), (1, (1, 1)), (1, (3, 1))]
)
def test_slots_are_divided_by_weight_however_few_they_are(slots: int, weights: tuple[int, int]) -> None:
    """1. Two users have work for hours. 2. While both have, each is given its part of the time of the slots."""
    found, _ = shared_out(
        [("ada", apart("ada", 40, 600 // STEP, 1)), ("bo", apart("bo", 40, 600 // STEP, 2))],
        slots,
        weights={"ada": weights[0], "bo": weights[1]},
        costs=Costs(step_seconds=STEP),
    )
    until = 40 * 600 / slots
    seconds = used(found, until)
    assert sum(seconds.values()) == pytest.approx(slots * until, rel=1e-6)
    fair = slots * until * weights[0] / sum(weights)
    assert abs(seconds["ada"] - fair) <= (slots + 1) * TURN


def test_who_comes_later_has_half_of_the_slots_at_once_and_nothing_is_trained_twice() -> None:
    """1. Ada has all slots for long paths. 2. Bo comes: four of eight yield at their next step."""
    found, events = shared_out(
        [("ada", apart("ada", 16, 1200, 1)), ("bo", apart("bo", 16, 1200, 2))],
        8,
        arrivals=[0.0, 1000.5],
    )
    assert used(found, 1100.0, 1003.0) == pytest.approx({"ada": 4 * 97.0, "bo": 4 * 97.0})
    assert all(event.save for event in yields(events))
    assert found.steps_retrained == 0
    assert found.steps_trained == 2 * 16 * 1200


def test_what_was_used_while_nobody_else_was_there_does_not_count() -> None:
    """1. Ada trains alone for hours, then bo while she is away. 2. From when both are there, each has half."""
    found, _ = shared_out(
        [
            ("ada", apart("ada", 4, 2000 // STEP, 1)),
            ("bo", apart("bo", 20, 2000 // STEP, 2)),
            ("ada", apart("again", 20, 2000 // STEP, 3)),
        ],
        2,
        arrivals=[0.0, 5000.0, 9000.0],
        costs=Costs(step_seconds=STEP),
    )
    seconds = used(found, 19_000.0, 9000.0)
    assert abs(seconds["bo"] - seconds["again"]) <= 3 * TURN


def test_who_wanted_less_for_a_while_may_catch_up_the_credit_and_no_more() -> None:
    """1. Bo wants one of four slots for hours. 2. Then as many as there are: for a time he has more than half."""
    found, _ = shared_out(
        [
            ("ada", apart("ada", 60, 2000 // STEP, 1)),
            ("bo", apart("one", 1, 8000 // STEP, 2)),
            ("bo", apart("many", 30, 2000 // STEP, 3)),
        ],
        4,
        arrivals=[0.0, 0.0, 6000.0],
        costs=Costs(step_seconds=STEP),
        settings=EngineSettings(credit_seconds=1000.0),
    )
    seconds = used(found, 12_000.0, 6000.0)
    assert 2 * TURN < seconds["one"] + seconds["many"] - seconds["ada"] <= 1000.0 + 5 * TURN


def test_a_pool_is_used_wholly_by_whoever_is_there() -> None:
    """A user of little weight has all slots while the other has nothing to train."""
    found, _ = shared_out(
        [("ada", apart("ada", 8, 300, 1)), ("bo", apart("bo", 16, 300, 2))],
        4,
        weights={"ada": 100.0, "bo": 0.01},
    )
    assert found.makespan_seconds == pytest.approx((8 + 16) * 300 / 4, rel=0.1)
    assert set(used(found, found.makespan_seconds - 600.0, 1000.0)) == {"bo"}


def test_a_higher_priority_goes_before_any_share() -> None:
    found, _ = shared_out(
        [("ada", apart("ada", 4, 300, 1)), ("bo", apart("bo", 4, 300, 2, priority=1))],
        2,
        arrivals=[0.0, 50.5],
    )
    assert set(used(found, 600.0, 52.0)) == {"bo"}


def test_a_sampler_that_learns_is_asked_for_as_many_points_as_its_user_has_a_claim_to() -> None:
    """Its slots do not idle, since others have work for all: it would never have more than one."""
    learning = study(
        {"lr": space.loguniform(1e-4, 1e-1)},
        name="bo",
        max_trials=24,
        max_steps=300,
        sampler=samplers.tpe(),
        program_changes={"seed": 2},
    )
    found, _ = shared_out([("ada", apart("ada", 40, 300, 1)), ("bo", learning)], 4)
    seconds = used(found, 3000.0)
    assert abs(seconds["bo"] - seconds["ada"]) <= 2 * 5 * TURN


def test_one_user_is_served_as_if_there_were_no_turns() -> None:
    """The same leases in the same order, whoever it is; and nothing yields for turns."""
    alone = [("u", apart("a", 9, 30, 1)), ("u", apart("b", 5, 40, 1)), ("u", apart("c", 5, 20, 2))]
    _, first = shared_out(alone, 3)
    _, second = shared_out(alone, 3, weights={"somebody else": 9.0})
    leases = [[each for each in events if isinstance(each, LeaseGranted)] for events in (first, second)]
    assert leases[0] == leases[1]
    assert not yields(first)


def test_a_shared_prefix_is_paid_by_those_who_wait_for_it_and_not_by_who_comes_later() -> None:
    """1. Two users submit the same. 2. A third does when it is trained. 3. Two halves make the whole."""
    same = [apart(name, 2, 30, 1) for name in ("first", "second", "third")]
    found, events = shared_out(
        list(zip(("ada", "bo", "cy"), same, strict=True)), 2, arrivals=[0.0, 0.0, 1000.0]
    )
    assert found.steps_trained == 60
    assert billed(events) == {"ada": 30 * MICROSECONDS, "bo": 30 * MICROSECONDS}


def allow(cluster: Cluster, project: str, user: str, **changes: Any) -> None:
    cluster.tell(CreateProject(project=project))
    cluster.tell(ChangeAccount(project=project, user=user, changes=changes))


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=3, max_size=3),
    st.lists(
        st.tuples(st.integers(1, 120), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=6
    ),
)
def test_whatever_happens_bills_add_up_and_trials_are_as_trained_alone(
    seed: int, weights: list[float], faults: list[tuple[int, str, str]]
) -> None:
    """1. Three users of two projects submit what they share in part. 2. Things go wrong. 3. Each trial is exact, and
    what was billed is what was trained, to the microsecond."""
    cluster = Cluster(seed, {"a": 2, "b": 1})
    owners = [("default", "ada"), ("default", "bo"), ("other", "cy")]
    for number, ((project, user), weight) in enumerate(zip(owners, weights, strict=True)):
        allow(cluster, project, user, weight=weight)
        allow(cluster, project, "", weight=weight)
        submitted = spec(f"{user}s", PIECES[number : number + 4])
        submitted = replace(submitted, priority=int(seed % 4 == number))
        cluster.tell(SubmitStudy(project=project, user=user, spec=submitted))
    for actions, fault, worker in faults:
        for _ in range(actions):
            if cluster.engine.state.active:
                cluster.act()
        strike = getattr(cluster, fault)
        strike(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))
    cluster.run()
    for project, user in owners:
        expect_as_trained_alone(cluster, f"{user}s", project)
    state = cluster.engine.state
    assert sum(billed(cluster.journal).values()) == trained_microseconds(cluster.journal) > 0
    for project in ("default", "other"):
        users = [each for key, each in state.accounts.items() if key[0] == project and key[1]]
        assert state.accounts[project, ""].billed == sum(each.billed for each in users)
    before = cluster.engine.snapshot()
    cluster.restart_server()
    assert cluster.engine.snapshot() == before


def test_a_running_day_of_starts_and_saves_costs_little() -> None:
    """What yields is cut at most about once a turn for each slot."""
    found, events = shared_out(
        [("ada", apart("ada", 30, 600, 1)), ("bo", apart("bo", 30, 600, 2)), ("cy", apart("cy", 30, 600, 3))],
        2,
        costs=Costs(save_seconds=1.0, load_seconds=1.0),
    )
    assert len(yields(events)) <= 2 * found.makespan_seconds / TURN


def test_the_queue_is_in_the_order_in_which_slots_are_offered() -> None:
    """1. Who has a slot comes after who has none. 2. Priority is before. 3. Paused ones come last."""
    cluster = Cluster(0, {"a": 1})
    cluster.tell(SubmitStudy(project="default", user="bob", spec=spec("bobs", PIECES[:4])))
    while not cluster.engine.state.leases:
        cluster.act()
    cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("adas", PIECES[4:8])))

    def order() -> list[str]:
        return [each.study.name for each in queue(cluster.engine, "default", cluster.now)]

    assert order() == ["adas", "bobs"]
    cluster.tell(
        SubmitStudy(project="default", user="bob", spec=replace(spec("urgent", PIECES[:2]), priority=1))
    )
    assert order() == ["urgent", "adas", "bobs"]
    cluster.tell(PauseStudy(project="default", name="urgent"))
    assert order() == ["adas", "bobs", "urgent"]
