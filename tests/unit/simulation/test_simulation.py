"""The engine in virtual time: what must hold whatever is simulated."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers, schedules, space
from hippo_core.engine import journal
from hippo_core.engine.events import Event, MetricsRecorded, StepsTrained
from hippo_core.errors import InvalidStudy
from hippo_core.program import Resources
from hippo_core.simulation import Costs, Host, RecordedMetrics, Simulated, Span, simulate
from hippo_core.study import StudySpec
from hippo_core.study_changes import extended
from tests import oracle, strategies
from tests.studies import grid, grid_of_options, study

RATES = [
    0.1,
    schedules.piecewise([0.1, 0.01], [3]),
    schedules.piecewise([0.1, 0.03], [5]),
    schedules.piecewise([0.1, 0.03, 0.001], [5, 7]),
    schedules.cosine(0.1, 0.0, 8),
    schedules.warmup(2, schedules.exponential(0.1, 0.5)),
]
BATCHES = [32, schedules.piecewise([32, 64], [4]), 64]


def small(name: str = "study", **changes: Any) -> StudySpec:
    searched = {"lr": space.choice(RATES), "batch": space.choice(BATCHES)}
    return grid(searched, name=name, **{"max_steps": 9, **changes})


def hosts(*slots: int) -> list[Host]:
    return [Host(name=f"host-{number}", slots=each) for number, each in enumerate(slots)]


def expect_consistent(found: Simulated, there: list[Host]) -> None:
    """Each slot does one thing at a time, its time is accounted for, and no bound is beaten."""
    present = sum(
        host.slots
        * max(0.0, min(found.makespan_seconds, host.lost_seconds or float("inf")) - host.joins_seconds)
        for host in there
    )
    assert sum(found.slot_seconds.values()) == pytest.approx(present)
    assert min(found.slot_seconds.values()) >= 0
    by_slot: dict[tuple[str, int], list[Span]] = {}
    for span in found.spans:
        by_slot.setdefault((span.host, span.slot), []).append(span)
    for spans in by_slot.values():
        spans.sort(key=lambda span: span.begin)
        assert all(one.end <= other.begin for one, other in itertools.pairwise(spans))
        assert spans[-1].end <= found.makespan_seconds * 1e9
    assert found.path_bound_seconds <= found.lower_bound_seconds <= found.makespan_seconds


@settings(max_examples=100)
@given(strategies.grids(), st.integers(1, 12), st.integers(1, 4), st.sampled_from([1, 3]))
def test_a_grid_trains_its_distinct_prefixes_on_any_slots(
    options: dict[str, Any], steps: int, slots: int, evaluate_every: int
) -> None:
    spec = grid_of_options(
        options, max_trials=1, max_steps=steps, program_changes={"evaluate_every": evaluate_every}
    )
    trials = samplers.grid().count(spec.space)
    assert trials is not None
    assume(trials <= 24)
    reached = -(-steps // evaluate_every) * evaluate_every
    histories = list(oracle.histories(options, lambda chosen: reached))
    there = hosts(slots)
    found = simulate([extended(spec, max_trials=trials)], there, checked=True)
    assert found.steps_trained == oracle.distinct_prefixes(histories)
    assert found.steps_without_sharing == reached * trials
    assert found.steps_retrained == 0
    assert found.slot_seconds["training"] == found.steps_trained
    expect_consistent(found, there)
    if slots == 1:
        assert found.makespan_seconds == found.lower_bound_seconds == found.steps_trained


def test_without_sharing_every_trial_is_trained_alone() -> None:
    there = hosts(3)
    found = simulate([small()], there, sharing=False, checked=True)
    assert found.steps_trained == found.steps_without_sharing == 18 * 9
    assert found.makespan_seconds == found.lower_bound_seconds == 18 * 9 / 3
    expect_consistent(found, there)


def test_without_sharing_a_promoted_trial_goes_on_from_its_own_state() -> None:
    spec = small(policy=policies.asha(min_steps=1, reduction_factor=3))
    found = simulate([spec], hosts(3), sharing=False, checked=True)
    assert found.steps_trained == found.steps_without_sharing
    assert found.steps_retrained == 0


@pytest.mark.parametrize("policy", [policies.full(), policies.asha(min_steps=1, reduction_factor=3)])
def test_studies_of_one_program_share_whenever_they_come(policy: policies.PolicySpec) -> None:
    one, other = small("one", policy=policy), small("other", policy=policy)
    there = hosts(2)
    together = simulate([one, other], there, checked=True)
    assert together.steps_trained == simulate([one], there).steps_trained
    late = simulate([one, other], there, arrivals=[0.0, 1000.0], checked=True)
    assert late.steps_trained == together.steps_trained
    assert late.makespan_seconds == 1000.0
    assert [each.state for each in late.studies] == ["completed", "completed"]


def test_costs_go_where_they_belong() -> None:
    """1. One slot trains two trials that part at step 5. 2. It loads the fork once, and saves fork and ends."""
    spec = grid({"lr": space.choice([0.1, schedules.piecewise([0.1, 0.01], [5])])}, max_steps=9)
    costs = Costs(
        step_seconds=lambda values: 2.0 if values["lr"] == 0.1 else 3.0,
        evaluate_seconds=0.5,
        save_seconds=0.25,
        load_seconds=4.0,
        setup_seconds=7.0,
    )
    found = simulate([spec], hosts(1), costs=costs, checked=True)
    assert found.slot_seconds == {
        "training": 9 * 2.0 + 4 * 3.0,
        "evaluation": 13 * 0.5,
        "save": 3 * 0.25,
        "load": 4.0,
        "setup": 7.0,
        "idle": 0.0,
        "lost": 0.0,
    }
    assert found.makespan_seconds == sum(found.slot_seconds.values())
    assert found.lower_bound_seconds == 30.0 + 6.5


def test_a_save_that_takes_time_to_publish_keeps_no_slot_and_delays_who_needs_it() -> None:
    spec = grid({"lr": space.choice([0.1, schedules.piecewise([0.1, 0.01], [5])])}, max_steps=9)
    found = simulate([spec], hosts(2), costs=Costs(publish_seconds=3.0), checked=True)
    # The fork at 5 is durable at 8, its branch is trained at 12, and its end is durable at 15.
    assert found.makespan_seconds == 15.0
    assert found.slot_seconds["training"] == 13
    assert found.slot_seconds["idle"] == 2 * 15 - 13


def test_a_lost_worker_s_work_is_done_again_and_counted() -> None:
    """1. Two workers train a trial each, and tell of the first step. 2. One dies at 4.5. 3. After the lease's time the
    other trains its trial, the first step again."""
    spec = grid({"lr": space.choice([0.1, 0.2])}, max_steps=9)
    there = [Host(name="stays", slots=1), Host(name="dies", slots=1, lost_seconds=4.5)]
    found = simulate([spec], there, checked=True)
    assert found.steps_trained == 18 + 1
    assert found.steps_retrained == 1
    assert found.slot_seconds["lost"] == 4.5
    assert found.makespan_seconds == 4.5 + 30.0 + 9.0
    expect_consistent(found, there)


def test_a_worker_that_comes_after_the_end_changes_nothing() -> None:
    there = [Host(name="first", slots=2), Host(name="late", slots=9, joins_seconds=1000.0)]
    found = simulate([small()], there, checked=True)
    assert found.makespan_seconds == simulate([small()], there[:1]).makespan_seconds
    expect_consistent(found, there)


def test_a_worker_that_comes_late_is_waited_for() -> None:
    found = simulate([small()], [Host(name="late", slots=1, joins_seconds=1000.0)], checked=True)
    assert found.makespan_seconds == 1000.0 + found.steps_trained


def test_what_a_lost_worker_had_saved_is_not_trained_again() -> None:
    spec = grid({"lr": space.choice([0.1, 0.2])}, max_steps=9, checkpoint_every=2)
    there = [Host(name="stays", slots=1), Host(name="dies", slots=1, lost_seconds=4.5)]
    found = simulate([spec], there, checked=True)
    assert found.makespan_seconds == 4.5 + 30.0 + 5.0
    assert found.slot_seconds["lost"] == 0.5
    expect_consistent(found, there)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=3),
    st.sampled_from([policies.full(), policies.asha(min_steps=1, reduction_factor=3)]),
    st.sampled_from([None, 2]),
    st.sampled_from([0.0, 0.3]),
    st.integers(0, 5),
)
def test_workers_that_come_and_die_change_no_account(
    lives: list[tuple[int, int]],
    policy: policies.PolicySpec,
    checkpoint_every: int | None,
    overhead: float,
    seed: int,
) -> None:
    there = [
        Host(name=f"mortal-{number}", slots=2, joins_seconds=joins, lost_seconds=joins + lives)
        for number, (joins, lives) in enumerate(lives)
    ]
    there.append(Host(name="stays", slots=1))
    trained: list[StepsTrained] = []
    found = simulate(
        [small(policy=policy, checkpoint_every=checkpoint_every), small("late", policy=policy)],
        there,
        costs=Costs(save_seconds=overhead, load_seconds=overhead, publish_seconds=overhead),
        arrivals=[0.0, 13.5],
        seed=seed,
        watch=lambda event: trained.append(event) if isinstance(event, StepsTrained) else None,
        checked=True,
    )
    assert {each.state for each in found.studies} == {"completed"}
    assert found.steps_trained == sum(event.stop - event.start for event in trained)
    assert found.slot_seconds["training"] == pytest.approx(found.steps_trained - found.steps_retrained)
    assert found.slot_seconds["lost"] >= found.steps_retrained - 1e-6
    expect_consistent(found, there)


def digest(seed: int) -> str:
    """The journal of a simulation, as one number."""
    events: list[Event] = []
    simulate(
        [small("one", policy=policies.asha(min_steps=1, reduction_factor=3)), small("other")],
        [*hosts(3, 2), Host(name="dies", slots=2, lost_seconds=7.7)],
        costs=Costs(save_seconds=0.1, load_seconds=0.2, evaluate_seconds=0.05),
        arrivals=[0.0, 4.2],
        seed=seed,
        watch=events.append,
    )
    lines = [[type(event).__name__, journal.to_json(event)] for event in events]
    return hashlib.sha256(json.dumps(lines).encode()).hexdigest()


def test_equal_seeds_give_equal_journals_whatever_the_hash_seed() -> None:
    program = "from tests.unit.simulation.test_simulation import digest; print(digest(5))"
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": hash_seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "2")
    }
    assert found == {digest(5) + "\n"}
    assert digest(6) != digest(5)


def test_a_study_that_no_slot_is_left_for_says_so() -> None:
    with pytest.raises(InvalidStudy, match=r"'study' does not end: no worker is there"):
        simulate([small()], [Host(name="dies", slots=2, lost_seconds=3.0)])


def test_studies_that_need_slots_of_different_kinds_are_refused() -> None:
    cpu = small("cpu", program_changes={"resources": Resources(gpus=0)})
    gpu = small("gpu", program_changes={"resources": Resources(gpus=1)})
    assert simulate([gpu, small()], hosts(1)).trials == 36
    with pytest.raises(InvalidStudy, match=r"resources\.gpus: 'gpu' asks for 1, a study before it for 0"):
        simulate([cpu, gpu], hosts(1))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"studies": []}, "studies: there is none"),
        ({"hosts": []}, "hosts: there is none"),
        ({"hosts": [Host(name="a", slots=1), Host(name="a", slots=2)]}, "two are named 'a'"),
        ({"arrivals": [1.0, 2.0]}, "there are 2 for 1 studies"),
        ({"arrivals": [-1.0]}, "0 or more, not -1"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, Any], said: str) -> None:
    given_arguments = {"studies": [small()], "hosts": hosts(1), **arguments}
    with pytest.raises(InvalidStudy, match=said):
        simulate(**given_arguments)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Costs(step_seconds=0), "step_seconds: must be a number of seconds, more than 0"),
        (lambda: Costs(save_seconds=-1), "save_seconds: must be a number of seconds, 0 or more, not -1"),
        (lambda: Costs(load_seconds=float("inf")), "load_seconds"),
        (lambda: Host(name="a", slots=0), "slots: must be an int of at least 1, not 0"),
        (lambda: Host(name="a", slots=1, lost_seconds=0.0), "lost_seconds: 0.0 is not later than"),
    ],
)
def test_wrong_numbers_are_refused(make: Any, said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        make()


def test_a_step_time_that_is_none_is_refused_where_it_is_found() -> None:
    costs = Costs(step_seconds=lambda values: 0.0)
    with pytest.raises(InvalidStudy, match=r"step_seconds: gives 0\.0 for"):
        simulate([small()], hosts(1), costs=costs)


@pytest.mark.parametrize("sampler", [samplers.tpe(), samplers.outside()], ids=str)
def test_random_points_stand_in_for_those_that_are_made_later(sampler: samplers.Sampler) -> None:
    searched = {"lr": space.loguniform(1e-4, 1e-1), "batch": space.choice(BATCHES)}
    spec = study(searched, max_trials=12, max_steps=4, sampler=sampler)
    found = simulate([spec], hosts(3), checked=True)
    assert found.studies[0].trials == {"completed": 12}
    assert found.makespan_seconds == 12 * 4 / 3
    assert simulate([spec], hosts(3)).to_json() == found.to_json()


def test_bohb_and_dehb_propose_points_of_their_own() -> None:
    """DEHB promotes points unchanged, and trains no step twice; BOHB proposes others than random ones."""
    searched = {"lr": space.loguniform(1e-5, 1.0), "momentum": space.uniform(0, 1)}
    dehb = study(searched, max_trials=13, max_steps=9, sampler=samplers.dehb(), policy=policies.dehb())
    found = simulate([dehb], hosts(1), checked=True)
    assert found.studies[0].trials == {"completed": 1, "stopped": 12}
    assert found.steps_without_sharing == 9 * 1 + 3 * 3 + 9
    assert found.steps_trained == found.steps_without_sharing - 3 * 1 - 3
    halving = policies.hyperband(asynchronous=True)
    learnt, random = (
        simulate([study(searched, max_trials=30, sampler=sampler, policy=halving)], hosts(4))
        for sampler in (samplers.bohb(random_fraction=0.0), samplers.tpe())
    )
    assert learnt.studies[0].best_value != random.studies[0].best_value


def test_a_policy_that_leaves_trials_to_users_is_refused() -> None:
    with pytest.raises(
        InvalidStudy, match="a user decides how far each trial goes, and a simulation has none"
    ):
        simulate([small(policy=policies.manual())], hosts(1))


def test_a_random_search_on_continuous_values_shares_nothing() -> None:
    spec = study({"lr": space.loguniform(1e-4, 1e-1)}, max_trials=5, max_steps=4)
    found = simulate([spec], hosts(2))
    assert found.steps_trained == found.steps_without_sharing == 20
    assert found.merge_rate == 1.0


@settings(max_examples=60)
@given(
    st.sampled_from(
        [
            policies.asha(min_steps=1, reduction_factor=2),
            policies.asha(min_steps=1, reduction_factor=3, brackets=2),
            policies.hyperband(min_steps=1, reduction_factor=2, asynchronous=True),
            policies.sha(min_steps=1, reduction_factor=3),
        ]
    ),
    st.integers(1, 5),
    st.integers(0, 1000),
    st.sampled_from([0.0, 0.4]),
)
def test_a_trial_that_is_promoted_late_finds_the_state_at_which_it_leaves_the_others(
    policy: policies.PolicySpec, slots: int, seed: int, overhead: float
) -> None:
    """Others have gone on through the steps that it shares with them: none is trained again."""
    costs = Costs(save_seconds=overhead, load_seconds=overhead)
    found = simulate([small(policy=policy)], hosts(slots), costs=costs, seed=seed, checked=True)
    assert found.steps_retrained == 0


def test_a_policy_of_ones_own_is_not_simulated() -> None:
    with pytest.raises(InvalidStudy, match="my_policy:Mine of the study 'study' is a policy of one's own"):
        simulate([small(policy=policies.own("my_policy:Mine", {}))], [Host(name="a", slots=1)])


def test_repeats_come_to_metrics_of_their_own() -> None:
    found: list[float] = []

    def watch(event: Event) -> None:
        if isinstance(event, MetricsRecorded):
            found.append(event.metrics["accuracy"])

    def trained(repeats: int) -> list[float]:
        found.clear()
        outcome = simulate([study({"lr": 0.1}, max_steps=2, repeats=repeats)], hosts(1), watch=watch)
        assert outcome.steps_trained == 2 * repeats
        return sorted(found)

    once, thrice = trained(1), trained(3)
    assert len(set(thrice)) == 6
    assert set(once) < set(thrice)


@pytest.mark.parametrize("bound", ["latency <= 10", "latency <= -10", "latency <= 0", "latency >= 10"])
def test_a_constrained_metric_is_made_up_about_its_bound(bound: str) -> None:
    """Some trials keep it in the end and some do not, none at first; the best is the best of those that do."""
    made = small(max_steps=30, constraints=(bound,), policy=policies.asha(1, 2), max_trials=18)
    found = simulate([made], hosts(2), seed=3, checked=True).studies[0]
    by_number = {each.trial: each for each in found.leaderboard}
    violated = {each.trial: each.violation for each in found.leaderboard}
    everything = (
        simulate([small(max_steps=30, constraints=(bound,))], hosts(2), seed=3).studies[0].leaderboard
    )
    assert 0 < sum(not each.violation for each in everything) < len(everything)
    done = [each for each in found.leaderboard if each.state == "completed"]
    best = min(done, key=lambda each: (each.violation, -each.metrics["accuracy"], each.trial))
    assert found.best_trial == best.trial == found.leaderboard[0].trial
    assert set(by_number[best.trial].metrics) == {"accuracy", "latency"}
    told = found.to_json()["best"]
    assert (told["feasible"], told["violation"]) == (not violated[best.trial], violated[best.trial])


def test_repeats_are_not_simulated_on_a_record() -> None:
    with pytest.raises(InvalidStudy, match="trains each point 3 times, and a record has one run of each"):
        simulate([study({"lr": 0.1}, repeats=3)], hosts(1), response=RecordedMetrics())


def test_a_slot_stays_on_the_way_along_which_others_must_still_begin() -> None:
    """Three trials leave a trunk one after the other, all end at step 10: each begins once on another slot.

    These are made ready before. A slot that left the trunk with the first of the trials would have the others begin one
    after the other, 2 s later.
    """
    leaving = [schedules.piecewise([1.0, float(step)], milestones=[step]) for step in (2, 4, 6)]
    found = simulate(
        [grid({"lr": space.choice([schedules.constant(1.0), *leaving])}, max_steps=10)],
        [Host(name="host", slots=4)],
        costs=Costs(step_seconds=1.0, publish_seconds=0.5, load_seconds=0.5, setup_seconds=5.0),
    )
    started, published, loaded = 5.0, 0.5, 0.5
    assert found.makespan_seconds == started + 10 + (published + loaded) + published
    assert found.slot_seconds["setup"] == 4 * started
