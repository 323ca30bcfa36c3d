"""A study that went through anything, decided anew in the order of its record: the same decisions, to the words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from hippo_core import endings, policies, samplers, space
from hippo_core.engine import export
from hippo_core.engine.commands import Command, ExtendStudy, RetryTrials
from hippo_core.engine.events import RequestClosed, RequestOpened
from hippo_core.engine.states import TrialState
from hippo_core.errors import InvalidStudy
from hippo_core.simulation import Host, simulate
from hippo_core.simulation.recording import Recording
from hippo_core.simulation.replay import replay
from hippo_core.study import StudySpec
from tests.probing import known, scouts
from tests.studies import study
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import spec, submit


class Recorded(Cluster):
    """A cluster that notes which events each command brought."""

    def __init__(self, seed: int) -> None:
        self.commands: list[tuple[int, str]] = []
        super().__init__(seed, {"a": 2, "b": 1})

    def tell(self, command: Command) -> Any:
        first = len(self.journal)
        result = super().tell(command)
        self.commands += [(place, f"{first}") for place in range(first, len(self.journal))]
        return result

    def export(self) -> Any:
        """The study as the server writes it, without times."""
        number, count, head = export.study_record(self.engine, "default", "study")
        closed = [
            export.ClosedRequest(
                trial=event.trial,
                step=event.step,
                state=event.state,
                reached=event.reached,
                by_user=False,
                position=place,
                cause=cause,
                at=float(place),
            )
            for event, (place, cause) in zip(self.journal, self.commands, strict=True)
            if isinstance(event, RequestClosed) and event.study == number
        ]
        opened = [
            place
            for place, event in enumerate(self.journal)
            if isinstance(event, RequestOpened) and event.study == number
        ]
        document = {
            **head,
            "created": "2026-01-02T03:04:05+00:00",
            "trials": export.trial_records(self.engine, "default", "study", range(count)),
            "training": [],
            "leases": [],
            "creations": [],
            "arrivals": export.arrivals(closed, opened, 0.0),
        }
        return json.loads(json.dumps(document))


def trained(
    seed: int, policy: policies.PolicySpec, strike: Callable[[Cluster], None] | None = None
) -> Recording:
    return of(seed, spec(policy=policy), strike)


def of(seed: int, study: StudySpec, strike: Callable[[Cluster], None] | None) -> Recording:
    """A study that was trained, by chance, on two workers."""
    cluster = Recorded(seed)
    submit(cluster, study)
    if strike is not None:
        strike(cluster)
    cluster.run()
    return Recording.from_json(cluster.export())


def faults(cluster: Cluster) -> None:
    """Workers, runners and saves die on the way."""
    for fault in (cluster.kill_worker, cluster.kill_runner, cluster.fail_save):
        for _ in range(40):
            cluster.act()
        fault("a")


POLICIES = [
    policies.asha(min_steps=1, reduction_factor=2),
    policies.asha(min_steps=1, reduction_factor=3, brackets=2),
    policies.asha(min_steps=1, reduction_factor=2, compare="models"),
    policies.asha(min_steps=1, reduction_factor=2, stopping=True),
    policies.hyperband(min_steps=1, asynchronous=True),
    policies.sha(min_steps=1),
    policies.full(),
]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("strike", [None, faults], ids=["quiet", "faults"])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: json.dumps(policy.to_json()))
def test_in_the_order_of_its_record_every_decision_is_the_same(
    policy: policies.PolicySpec, strike: Callable[[Cluster], None] | None, seed: int
) -> None:
    """1. A study is trained in any order, reports come in lumps. 2. In the order in which ends were heard of, and with
    what was heard together, the engine asks for the same, in the same order, and stops for the same reasons."""
    assert replay(trained(seed, policy, strike)) == ()


def distinct_prefixes_of(recording: Recording) -> int:
    """Brute force over the values of all trials, without their probes, to the steps that they reached."""
    found = set()
    for trial in recording.trials:
        sequence = recording.sequence(trial)
        values = [tuple(sorted(sequence.values(step).items())) for step in range(trial.step)]
        found.update(tuple(values[: step + 1]) for step in range(trial.step))
    return len(found)


@pytest.mark.parametrize("strike", [None, faults], ids=["quiet", "faults"])
@pytest.mark.parametrize("waits", [False, True])
def test_probes_are_recorded_and_asked_for_again(
    waits: bool, strike: Callable[[Cluster], None] | None
) -> None:
    """1. A study whose trials are probed is decided anew the same. 2. Simulated on its record, it comes to the same."""
    with known():
        probed = spec(policy=scouts(steps=2, waits=waits))
        recording = of(2, probed, strike)
        assert [len(trial.probes) for trial in recording.trials] == [1] * 36
        assert {(probe.at, probe.to, probe.step) for trial in recording.trials for probe in trial.probes} == {
            (3, 5, 5)
        }
        assert len([each for each in recording.arrivals if each.probe]) == 36
        assert replay(recording) == ()
        if waits:  # else what goes on depends on the order, and may be what is not recorded
            hosts = [Host(name="h", slots=2)]
            simulated = simulate([probed], hosts, response=recording.metrics(), checked=True)
            assert simulated.steps_in_probes == simulated.steps_trained - distinct_prefixes_of(recording)
            assert simulated.steps_in_probes > 0
            states = {trial.trial: (trial.state, trial.value) for trial in simulated.studies[0].leaderboard}
            assert states == {
                trial.number: (trial.state.value, trial.history[trial.step]["accuracy"])
                for trial in recording.trials
            }


@pytest.mark.parametrize("strike", [None, faults], ids=["quiet", "faults"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_population_forks_the_same(asynchronous: bool, strike: Callable[[Cluster], None] | None) -> None:
    population = study(
        {"lr": space.loguniform(1e-4, 1e-1)},
        policy=policies.pbt(interval=3, asynchronous=asynchronous),
        max_trials=8,
        max_steps=9,
    )
    recording = of(1, population, strike)
    assert any(trial.parent is not None for trial in recording.trials)
    assert replay(recording) == ()


@pytest.mark.parametrize("strike", [None, faults], ids=["quiet", "faults"])
@pytest.mark.parametrize(
    ("sampler", "policy"),
    [
        (samplers.dehb(), policies.dehb()),
        (samplers.bohb(min_points=2), policies.hyperband(asynchronous=True)),
    ],
    ids=["dehb", "bohb"],
)
def test_searches_that_learn_are_decided_anew_on_the_points_that_they_had(
    sampler: samplers.Sampler, policy: policies.PolicySpec, strike: Callable[[Cluster], None] | None
) -> None:
    search = study(
        {"lr": space.loguniform(1e-4, 1e-1)}, sampler=sampler, policy=policy, max_trials=18, max_steps=9
    )
    recording = of(1, search, strike)
    assert replay(recording) == ()
    simulated = simulate(
        [search], [Host(name="h", slots=2)], response=recording.metrics(), proposals=recording.proposal
    )
    assert (simulated.trials, simulated.steps_retrained) == (18, 0)


@pytest.mark.parametrize(
    ("policy", "depends"),
    [
        (policies.sha(min_steps=1, reduction_factor=2), False),
        (policies.asha(min_steps=1, reduction_factor=2), True),
    ],
    ids=["sha", "asha"],
)
def test_whether_the_order_matters_is_the_policy_s(policy: policies.PolicySpec, depends: bool) -> None:
    """The first rung's ends come in reverse, each by itself, and then the others as they came."""
    departed = []
    for seed in range(4):
        recording = trained(seed, policy)
        firsts = [each for each in recording.arrivals if each.step == 1]
        others = [each for each in recording.arrivals if each.step > 1]
        turned = [replace(each, breath=-place) for place, each in enumerate(firsts)][::-1]
        departed.append(replay(replace(recording, arrivals=(*turned, *others))) != ())
    assert departed == [depends] * 4


def test_who_was_displaced_before_a_slot_took_it_is_not_promoted_anew() -> None:
    """1. ASHA promotes the best of twelve. 2. Heard of one after the other, others stand on the way; as nothing was
    trained for them, nothing departs."""
    cluster = Recorded(0)
    rates = [0.001 * 2**power for power in range(12)]
    submit(cluster, spec("before", rates))
    cluster.run()
    submit(cluster, spec(rates=rates, policy=policies.asha(min_steps=1, reduction_factor=3)))
    cluster.run()
    recording = Recording.from_json(cluster.export())
    assert replay(recording) == ()
    apart = tuple(replace(each, breath=place) for place, each in enumerate(recording.arrivals))
    assert replay(replace(recording, arrivals=apart)) == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"state": "running"}, "has not ended by itself"),
        ({"state": "stopped"}, "has not ended by itself"),
    ],
)
def test_what_did_not_end_by_itself_is_not_replayed(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidStudy, match=said):
        replay(replace(trained(0, policies.full()), **changes))


def test_what_a_user_has_said_is_not_replayed() -> None:
    recording = trained(0, policies.full())
    steered = replace(recording.arrivals[0], by_user=True)
    added = replace(recording.trials[0], by_user=True)
    for changed in (
        replace(recording, arrivals=(steered, *recording.arrivals[1:])),
        replace(recording, trials=(added, *recording.trials[1:])),
    ):
        with pytest.raises(InvalidStudy, match="a user has added or extended"):
            replay(changed)


def test_what_an_ending_has_ended_is_not_replayed() -> None:
    search = replace(spec(policy=policies.asha(1, 3)), endings=(endings.target(0.5),))
    recording = of(0, search, None)
    assert recording.ending == "target"
    with pytest.raises(InvalidStudy, match=r"endings\.target has ended the study"):
        replay(recording)


def test_an_ending_that_has_not_come_changes_nothing() -> None:
    assert replay(of(0, replace(spec(policy=policies.sha(1, 3)), endings=(endings.target(2.0),)), None)) == ()


def test_what_was_extended_is_not_replayed() -> None:
    """1. A study ends. 2. It may be trained further."""

    def extend(cluster: Cluster) -> None:
        cluster.run()
        cluster.tell(ExtendStudy(project="default", name="study", max_steps=27))

    with pytest.raises(InvalidStudy, match="has extended or edited the study"):
        replay(trained(0, policies.asha(min_steps=1), extend))


def test_what_was_retried_is_not_replayed() -> None:
    def fail_and_retry(cluster: Cluster) -> None:
        trials = cluster.engine.state.studies[1].trials.values()
        while not any(trial.state is TrialState.FAILED for trial in trials):
            cluster.act()
            cluster.fail_training("a")
        cluster.run()
        cluster.tell(RetryTrials(project="default", name="study"))

    with pytest.raises(InvalidStudy, match="has retried failed trials"):
        replay(trained(0, policies.asha(min_steps=1), fail_and_retry))


def test_a_policy_that_watches_is_not_replayed() -> None:
    with pytest.raises(InvalidStudy, match="watches every evaluation"):
        replay(trained(0, policies.median_stopping(min_steps=1)))
