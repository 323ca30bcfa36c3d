"""Users' own policies: asked from outside, told the same after a loss, and what becomes of wrong answers."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies, samplers
from hippo_core.engine.commands import (
    AnswerPolicy,
    Command,
    ExtendStudy,
    ExtendTrial,
    FailPolicy,
    ForkTrial,
    PauseStudy,
    ResumeStudy,
    RetryTrials,
    StopStudy,
    StopTrial,
    SubmitStudy,
)
from hippo_core.engine.consultations import TRIES, ConsultPolicy
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import PolicyAnswered
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.errors import HippoError
from hippo_core.own_policy import Policy
from hippo_core.policies import Extend, Stop, Verdict
from hippo_core.policies.hosting import PolicyHost, Round
from hippo_core.study_changes import differences, extends
from tests.own_policies import Asha, Erratic
from tests.unit.engine import cluster as cluster_module
from tests.unit.engine.cluster import SETTINGS, Cluster, metric
from tests.unit.engine.test_cluster import FAULTS, PIECES, expect_as_trained_alone, spec, submit
from tests.unit.engine.test_proposals import spec as searched_spec

PROJECT = "default"
ASHA = policies.own("my_policy:Asha", {"reduction_factor": 2})
ERRATIC = policies.own("my_policy:Erratic", {"word": 1})
CLASSES = {"my_policy:Asha": Asha, "my_policy:Erratic": Erratic}


def cluster_of(workers: dict[str, int] | None = None, seed: int = 0) -> Cluster:
    cluster = Cluster(seed, {"a": 2, "b": 1} if workers is None else workers)
    cluster.policy_classes.update(CLASSES)
    return cluster


def running(
    policy: policies.PolicySpec = ASHA, workers: dict[str, int] | None = None, **made: Any
) -> Cluster:
    cluster = cluster_of(workers)
    submit(cluster, spec("study", PIECES, policy=policy, **made))
    return cluster


def the_study(cluster: Cluster, name: str = "study") -> Any:
    found = cluster.engine.state.study_named(PROJECT, name)
    assert found is not None
    return found


def reason(cluster: Cluster) -> str:
    return study_view(cluster.engine, PROJECT, "study").reason


def rounds_of(cluster: Cluster, name: str = "study") -> list[Round]:
    """The rounds that a study's policy has answered, as a process that begins anew is told them."""
    study = the_study(cluster, name)
    question = cluster.engine.policy_question(ConsultPolicy(study=study.id, number=0, failures=0), 0)
    return list(question.rounds[: len(study.answers)])


def expect_the_same_decisions(cluster: Cluster, name: str = "study") -> None:
    """A policy that is told the rounds once more decides in each what was carried out."""
    study = the_study(cluster, name)
    question = cluster.engine.policy_question(ConsultPolicy(study=study.id, number=0, failures=0), 0)
    made = cluster.policy_classes[question.policy.reference]()
    host = PolicyHost(made, question.context, question.policy.arguments)
    again = [host.answer(each) for each in question.rounds[: len(study.answers)]]
    assert again == cluster.verdicts.get(study.id, [])


def strike(cluster: Cluster, fault: str, worker: str) -> None:
    alone = {"restart_server", "lose_checkpoint", "lose_policies"}
    getattr(cluster, fault)(*([] if fault in alone else [worker]))


@settings(max_examples=40)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from([*FAULTS, "restart_server", "lose_policies"]),
            st.sampled_from(["a", "b"]),
        ),
        max_size=8,
    ),
    st.sampled_from([ASHA, ERRATIC]),
    st.sampled_from([1, 3]),
)
def test_after_any_faults_every_history_is_exact_and_every_decision_the_policys(
    seed: int, faults: list[tuple[int, str, str]], policy: policies.PolicySpec, evaluate_every: int
) -> None:
    """1. Studies run, faults strike, processes of policies are lost. 2. All ends, is exact, and was decided by them."""
    cluster = cluster_of(seed=seed)
    submit(cluster, spec("first", PIECES[:3], policy=policy, evaluate_every=evaluate_every))
    for count, fault, worker in faults:
        for _ in range(count):
            cluster.act()
        strike(cluster, fault, worker)
    submit(cluster, spec("second", PIECES, policy=policy, evaluate_every=evaluate_every))
    cluster.run()
    cluster.restart_server()
    for name in ("first", "second"):
        expect_as_trained_alone(cluster, name)
        expect_the_same_decisions(cluster, name)
        states = {trial.state for trial in the_study(cluster, name).trials.values()}
        assert states <= {TrialState.COMPLETED, TrialState.STOPPED}
        assert the_study(cluster, name).state in {StudyState.COMPLETED, StudyState.FAILED}


@pytest.mark.parametrize("seed", range(8))
def test_no_decision_changes_over_commands_failures_and_divergence(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1. Some evaluations are not finite, some steps raise. 2. Users pause, stop, extend, fork, retry. 3. Whatever
    comes between, each decision is the one that follows from what the policy was told.
    """

    def evaluate(self: Any, model: str) -> dict[str, float]:
        return {"accuracy": metric(model) if metric(model[::-1]) > 0.03 else float("nan")}

    monkeypatch.setattr(cluster_module.Hashes, "evaluate", evaluate)
    chosen = random.Random(seed)
    cluster = cluster_of(seed=seed)
    submit(cluster, spec("study", PIECES[:4], policy=ERRATIC))
    given: dict[str, Any] = {"project": PROJECT, "name": "study"}
    commands: list[Callable[[int], Command]] = [
        lambda _: PauseStudy(**given),
        lambda _: ResumeStudy(**given),
        lambda _: ExtendStudy(**given, max_steps=chosen.randrange(9, 14)),
        lambda _: StopStudy(**given),
        lambda _: RetryTrials(**given),
        lambda trial: StopTrial(**given, trial=trial),
        lambda trial: ExtendTrial(**given, trial=trial, to=chosen.randrange(1, 14)),
        lambda trial: ForkTrial(
            **given, trial=trial, at=chosen.randrange(4), hyperparameters={"lr": chosen.choice([0.3, 0.4])}
        ),
        lambda _: FailPolicy(
            study=the_study(cluster).id, number=len(the_study(cluster).answers), reason="out of temper"
        ),
    ]
    done = 0
    for _ in range(40):
        for _ in range(chosen.randrange(12)):
            if cluster.engine.state.active:
                cluster.act()
        strike(cluster, chosen.choice(["restart_server", "lose_policies", "fail_training"]), "a")
        trial = chosen.randrange(len(the_study(cluster).trials))
        try:
            cluster.tell(chosen.choice(commands)(trial))
            done += 1
        except HippoError:
            continue
        expect_the_same_decisions(cluster)
    assert done > 15
    if the_study(cluster).state is StudyState.PAUSED:
        cluster.tell(ResumeStudy(**given))
    cluster.run()
    expect_the_same_decisions(cluster)


@pytest.mark.parametrize("seed", range(4))
def test_a_copy_of_ashas_rule_decides_as_asha(seed: int) -> None:
    """1. A study runs under the user's copy. 2. The built-in one, told the same, decides the same in each round."""
    cluster = cluster_of(seed=seed)
    submit(cluster, spec("study", PIECES, policy=ASHA))
    cluster.run()
    built_in = policies.asha(1, 2).build((True,), 1, 0)
    scores: dict[tuple[int, int], Any] = {}
    for told, verdicts in zip(rounds_of(cluster), cluster.verdicts[the_study(cluster).id], strict=True):
        for call in told.calls:
            match call:
                case ("added", trial, max_steps):
                    built_in.added(trial, max_steps)
                case ("reported", trial, step, values):
                    scores[trial, step] = values
                case ("observed", trial, step):
                    built_in.observed(trial, step, scores[trial, step], trial)
        decided: set[tuple[int, int]] = set()
        while followed := built_in.decide():
            for each in followed:
                assert isinstance(each, Extend)
                decided.add((each.trial, each.to))
                built_in.requested(each.trial, each.to)
        if not decided and told.finish:
            decided = {(each.trial, each.to) for each in built_in.finish()}  # type: ignore[union-attr]
            for trial, step in decided:
                built_in.requested(trial, step)
        assert {(each.trial, each.to) for each in verdicts} == decided  # type: ignore[union-attr]
    assert the_study(cluster).state is StudyState.COMPLETED
    promoted = [trial for trial in the_study(cluster).trials.values() if trial.reached > 1]
    assert 0 < len(promoted) < len(the_study(cluster).trials)


@pytest.mark.parametrize("seed", range(3))
def test_a_restart_at_any_moment_asks_the_same(seed: int) -> None:
    cluster = cluster_of(seed=seed)
    submit(cluster, spec("study", PIECES, policy=ERRATIC))
    asked = 0
    while cluster.engine.state.active:
        rebuilt = Engine.restore(cluster.journal, SETTINGS, cluster.now)
        assert rebuilt.wanted() == cluster.engine.wanted()
        for wanted in cluster.consultations_wanted():
            asked += 1
            assert rebuilt.policy_question(wanted, 0) == cluster.engine.policy_question(wanted, 0)
        cluster.act()
    assert asked > 5


def test_a_trial_waits_while_its_policy_is_asked_and_rests_when_it_has_answered() -> None:
    """1. A trial comes to its rung. 2. Nobody says that it rests before the policy has answered. 3. Then it does."""
    cluster = running(policies.own("my_policy:Asha", {"reduction_factor": 100}), {"a": 1})
    study = the_study(cluster)
    cluster.ask(study.id)
    cluster.answer(study.id)
    worker = cluster.workers["a"]
    while not (wanted := cluster.consultations_wanted()):
        cluster.receive(worker)
        path = next(iter(worker.running.values()))
        while not path.done:
            cluster.train(worker, path)
        while path.spool:
            cluster.publish(path)
        cluster.report(worker, path)
    observed = [trial for trial in study.trials.values() if trial.reached == 1]
    assert observed
    assert {trial.state for trial in observed} == {TrialState.WAITING}
    cluster.ask(wanted[0].study)
    cluster.answer(wanted[0].study)
    assert {trial.state for trial in observed} == {TrialState.PAUSED}


def test_a_study_is_complete_only_when_its_policy_was_asked_whether_anything_follows() -> None:
    """1. No trial comes to its end by the rule alone. 2. When nothing is open the policy is asked, and sends one on."""
    cluster = running(policies.own("my_policy:Asha", {"reduction_factor": 100}))
    cluster.run()
    study = the_study(cluster)
    assert study.state is StudyState.COMPLETED
    states = [trial.state for trial in study.trials.values()]
    assert states.count(TrialState.COMPLETED) == 1
    assert states.count(TrialState.STOPPED) == len(states) - 1
    last = [event for event in cluster.journal if isinstance(event, PolicyAnswered)][-1]
    assert last.finish
    assert last.mark == len(study.history)


class Choosy(Policy):
    """Trains so many trials to their end, and never asks for the others."""

    def setup(self, *args: Any, trials: int = 0, to: int = 0) -> None:
        self.wanted, self.to = trials, to

    def decide(self) -> list[Verdict]:
        chosen = [trial for trial in self.trials.values() if trial.number < self.wanted and trial.step == 0]
        return [Extend(trial.number, self.to or trial.max_steps, "chosen") for trial in chosen]


@pytest.mark.parametrize(
    ("arguments", "state", "why"),
    [
        ({"trials": 2}, StudyState.COMPLETED, ""),
        (
            {},
            StudyState.FAILED,
            "no trial completed; the policy my_policy:Choosy asked for nothing more; 6 trials were never begun",
        ),
        (
            {"trials": 5, "to": 1},
            StudyState.FAILED,
            "no trial completed; the policy my_policy:Choosy asked for nothing more; 1 trial was never begun",
        ),
    ],
)
def test_trials_that_a_policy_never_asked_for_are_stopped_when_the_study_ends(
    arguments: dict[str, int], state: StudyState, why: str
) -> None:
    """1. The policy asks for none or few of the trials. 2. No trial is open after the end, and it is said why."""
    cluster = cluster_of()
    cluster.policy_classes["my_policy:Choosy"] = Choosy
    submit(cluster, spec("study", PIECES[:1], policy=policies.own("my_policy:Choosy", arguments)))
    cluster.run()
    cluster.restart_server()
    study = the_study(cluster)
    assert (study.state, study.reason) == (state, why)
    others = [trial for trial in study.trials.values() if trial.number >= arguments.get("trials", 0)]
    assert others
    assert {(trial.state, trial.reason) for trial in others} == {
        (TrialState.STOPPED, "its policy asked for nothing of it")
    }


def test_a_trial_that_was_never_begun_is_taken_up_when_the_study_goes_on() -> None:
    """1. A study ends with trials never begun. 2. It is raised, and its policy asks for them: they are trained."""

    class Late(Policy):
        def decide(self) -> list[Verdict]:
            wanted = [trial for trial in self.trials.values() if trial.number == 0 or trial.max_steps > 9]
            return [Extend(trial.number, trial.max_steps, "it is time") for trial in wanted]

    cluster = cluster_of()
    cluster.policy_classes["my_policy:Late"] = Late
    submit(cluster, spec("study", PIECES[:1], policy=policies.own("my_policy:Late", {})))
    cluster.run()
    states = [trial.state for trial in the_study(cluster).trials.values()]
    assert states == [TrialState.COMPLETED] + [TrialState.STOPPED] * (len(states) - 1)
    cluster.tell(ExtendStudy(project=PROJECT, name="study", max_steps=12))
    cluster.run()
    assert {trial.state for trial in the_study(cluster).trials.values()} == {TrialState.COMPLETED}
    expect_the_same_decisions(cluster)


def test_without_a_worker_the_study_says_what_it_waits_for() -> None:
    cluster = running(workers={})
    assert reason(cluster) == "no worker is there"
    cluster = running(workers={"a": 1})
    assert reason(cluster) == "the policy my_policy:Asha is being asked"


def test_trials_of_a_sampler_that_learns_come_while_the_policy_is_asked() -> None:
    cluster = cluster_of()
    cluster.tell(
        SubmitStudy(
            project=PROJECT, user="u", spec=searched_spec(policy=ASHA, sampler=samplers.tpe(), max_trials=9)
        )
    )
    cluster.run()
    study = the_study(cluster)
    assert (study.state, len(study.trials)) == (StudyState.COMPLETED, 9)
    expect_the_same_decisions(cluster)


def answer(cluster: Cluster, *verdicts: Verdict, **changes: Any) -> Any:
    study = the_study(cluster)
    made = {"study": study.id, "number": len(study.answers), "mark": len(study.history), "max_trials": 1}
    return cluster.tell(AnswerPolicy(**{**made, "finish": False, "verdicts": verdicts, **changes}))


UNFIT = [
    (Extend(99, 1, ""), "there is no trial 99"),
    (Extend(0, 2, ""), "2 is no positive multiple of evaluate_every=3"),
    (Extend(0, 0, ""), "0 is no positive multiple"),
    (Extend(0, 12, ""), "may be trained up to step 9"),
    (Stop(-1, ""), "there is no trial -1"),
]


@pytest.mark.parametrize(("verdict", "words"), UNFIT)
def test_what_cannot_be_carried_out_counts_as_a_failure_and_nothing_of_it_is(
    verdict: Verdict, words: str
) -> None:
    cluster = running(workers={"a": 1}, evaluate_every=3)
    assert not answer(cluster, Extend(1, 3, "it begins"), verdict)
    assert reason(cluster).startswith("the policy my_policy:Asha has failed once: ")
    assert words in reason(cluster)
    assert reason(cluster).endswith("It is asked again")
    assert not the_study(cluster).open
    assert [wanted.failures for wanted in cluster.consultations_wanted()] == [1]


def test_after_three_failures_in_a_row_the_study_pauses_until_it_is_resumed() -> None:
    """1. Two failures, an answer: forgotten. 2. Three: it pauses, says why, over a restart. 3. Resumed: asked anew."""
    cluster = running()
    study = the_study(cluster)
    for _ in range(2):
        cluster.tell(FailPolicy(study=study.id, number=0, reason="ValueError: no in my_policy.py:7"))
    cluster.ask(study.id)
    cluster.answer(study.id)
    while not cluster.consultations_wanted():
        cluster.act()
    for _ in range(TRIES):
        assert the_study(cluster).state is StudyState.RUNNING
        cluster.tell(FailPolicy(study=study.id, number=1, reason="ValueError: no in my_policy.py:7"))
    cluster.restart_server()
    assert the_study(cluster).state is StudyState.PAUSED
    assert the_study(cluster).reason == (
        "the policy my_policy:Asha has failed 3 times in a row: ValueError: no in my_policy.py:7. Correct it and "
        "submit the study under another name, which shares what was trained; where the worker was at fault, hippo "
        "study resume study tries again"
    )
    assert study_view(cluster.engine, PROJECT, "study").given_up
    assert cluster.consultations_wanted() == []
    cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    assert [wanted.failures for wanted in cluster.consultations_wanted()] == [0]
    cluster.run()
    assert the_study(cluster).state is StudyState.COMPLETED


def test_what_was_overtaken_has_no_effect() -> None:
    """1. A policy is asked. 2. A user stops a trial. 3. The answer extends it and another: only the other goes on."""
    cluster = running(workers={"a": 1})
    cluster.ask(the_study(cluster).id)
    cluster.tell(StopTrial(project=PROJECT, name="study", trial=0))
    cluster.answer(the_study(cluster).id)
    trials = the_study(cluster).trials
    assert trials[0].state is TrialState.STOPPED
    assert trials[0].target is None
    assert trials[1].target == 1


@pytest.mark.parametrize("changes", [{"number": 1}, {"study": 9}, {"mark": 99}, {"mark": -1}])
def test_an_answer_to_what_was_not_asked_changes_nothing(changes: dict[str, int]) -> None:
    cluster = running(workers={"a": 1})
    before = cluster.engine.snapshot()
    assert not answer(cluster, Extend(0, 1, ""), **changes)
    assert cluster.engine.snapshot() == before


def test_a_paused_study_takes_no_answer_and_asks_again_when_it_is_resumed() -> None:
    cluster = running(workers={"a": 1})
    cluster.tell(PauseStudy(project=PROJECT, name="study"))
    assert cluster.consultations_wanted() == []
    assert not answer(cluster, Extend(0, 1, ""))
    assert not the_study(cluster).open
    cluster.tell(ResumeStudy(project=PROJECT, name="study"))
    assert answer(cluster, Extend(0, 1, ""))
    assert list(the_study(cluster).open) == [0]


def test_other_code_of_the_policy_is_another_study_of_the_same_program() -> None:
    earlier = spec("study", PIECES, policy=policies.own("my_policy:Asha", {}, "a"))
    later = replace(earlier, policy=policies.own("my_policy:Asha", {}, "b"))
    assert later.program.key == earlier.program.key
    assert differences(later, earlier) == ['policy.code: "a" -> "b"']
    assert not extends(later, earlier)
