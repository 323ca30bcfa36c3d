"""How trials came to be: told of each, kept once for all that have it in common."""

from __future__ import annotations

from dataclasses import replace

from hippo_core import samplers, space
from hippo_core.engine.commands import EditStudy, ExtendStudy, ForkTrial
from hippo_core.engine.study import Study
from hippo_core.engine.trial import Origin
from hippo_core.study import StudySpec
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import spec, submit


def drawn_from(low: float, high: float, trials: int = 12) -> StudySpec:
    """A space of which only some points have a momentum."""
    searched = space.Space(
        {
            "optimizer": space.choice(
                [{"name": "sgd", "momentum": space.choice([0.8, 0.9])}, {"name": "adam"}]
            ),
            "lr": space.uniform(low, high),
        }
    )
    made = spec()
    program = replace(made.program, kinds=searched.kinds)
    return replace(made, space=searched, program=program, max_trials=trials, sampler=samplers.random())


def submitted(spec: StudySpec) -> tuple[Cluster, Study]:
    cluster = Cluster(seed=1, workers={"a": 1})
    submit(cluster, spec)
    (study,) = cluster.engine.state.studies.values()
    return cluster, study


def test_each_trial_has_what_was_drawn_for_it_and_shares_the_rest() -> None:
    """1. Points of a space have different names. 2. Each has its own draws. 3. Those with the same names share how they
    came to be. 4. Those of an extension have the extended study."""
    cluster, study = submitted(drawn_from(0.1, 0.2))
    cluster.tell(ExtendStudy(project="default", name="study", max_trials=24))
    trials = list(study.trials.values())
    assert [trial.assignment for trial in trials] == [study.spec.point(number) for number in range(24)]
    assert [trial.point for trial in trials] == [trial.assignment for trial in trials]
    origins: dict[object, Origin] = {}
    for trial in trials:
        of = study.spec if trial.number >= 12 else study.former[0]
        assert trial.spec == of
        assert (
            origins.setdefault((trial.spec.max_trials, tuple(trial.assignment)), trial.origin) is trial.origin
        )
    assert len(origins) == 4


def test_a_point_that_lies_elsewhere_now_is_told_as_such() -> None:
    """1. A study is edited, so that some of its points lie outside. 2. Edited back, they lie where they were drawn."""
    cluster, study = submitted(drawn_from(0.1, 0.2))
    before = study.spec
    kept = {number: trial.assignment for number, trial in study.trials.items()}
    cluster.tell(EditStudy(project="default", name="study", spec=drawn_from(0.15, 0.2)))
    for number, drawn in kept.items():
        inside = drawn["lr"] >= 0.15
        assert study.trials[number].assignment == drawn
        assert study.trials[number].point == (drawn if inside else None)
    assert {trial.point is None for number, trial in study.trials.items() if number in kept} == {True, False}
    cluster.tell(EditStudy(project="default", name="study", spec=before))
    assert [study.trials[number].point for number in kept] == list(kept.values())


def test_a_fork_has_an_origin_of_its_own_and_no_point() -> None:
    cluster, study = submitted(drawn_from(0.1, 0.2))
    while study.trials[0].reached < 1:
        cluster.act()
    command = ForkTrial(project="default", name="study", trial=0, at=1, hyperparameters={"lr": 0.5})
    number = cluster.tell(command)
    assert isinstance(number, int)
    fork = study.trials[number]
    assert fork.fork is not None
    assert fork.point is None
    assert study.trials[0].fork is None
