"""A study that is brought into another engine is there what it was, shares there, and goes on as it would have."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hippo_core import policies
from hippo_core.engine import archive as archives
from hippo_core.engine.archive import Archive
from hippo_core.engine.commands import (
    ImportStudy,
    PlaceArchive,
    ResumeStudy,
)
from hippo_core.engine.commands.archives import Place, SavedState
from hippo_core.engine.engine import Engine
from hippo_core.engine.importing import Imported
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_views import TrialView, trial_detail
from tests.archived import study_events
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import distinct_prefixes, expect_as_trained_alone, spec, submit

POLICIES = [
    policies.full(),
    policies.asha(min_steps=1, reduction_factor=3),
    policies.sha(min_steps=1, reduction_factor=2),
    policies.hyperband(1, 3),
    policies.patience(2),
    policies.median_stopping(),
]


def exported(cluster: Cluster, name: str = "study", *, checkpoints: bool = True) -> bytes:
    study = cluster.engine.state.study_named("default", name)
    assert study is not None
    events = study_events(cluster.journal, study.id)
    if not checkpoints:
        events = [event for event in events if type(event).__name__ != "CheckpointPublished"]
    return b"".join(archives.write(name, events))


def bring(source: Cluster, target: Cluster, archive: Archive, project: str = "default") -> Imported:
    """Imports an archive, and with it the files of its checkpoints."""
    place = target.tell(PlaceArchive(project=project, user="v", archive=archive))
    assert isinstance(place, Place)
    saved = {}
    for (node, step), here in place.nodes.items():
        there = archive.checkpoints[node, step]
        target.storage[here, step, place.fence] = source.storage[node, step, there.fence]
        saved[node, step] = SavedState(size_bytes=there.size_bytes, digest="d")
    found = target.tell(ImportStudy(project=project, user="v", archive=archive, place=place, saved=saved))
    assert isinstance(found, Imported)
    return found


def shown(engine: Engine, name: str = "study") -> dict[str, Any]:
    """What people see of a study, but for what is one server's own: numbers of nodes and fences, and its state."""
    view = study_view(engine, "default", name)
    study = engine.state.study_named("default", name)
    assert study is not None
    trials = [trial_detail(engine, "default", name, number) for number in sorted(study.trials)]
    return {
        "best": [(each.number, each.step, each.metrics) for each in view.best_trials],
        "savings": replace(view.savings, seconds_saved=0.0, seconds_trained=0.0),
        "spec": view.spec,
        "trials": [
            (_rested(each.trial), each.history, each.training, each.values, each.repeats) for each in trials
        ],
        "probes": {number: probe.fork for number, probe in study.probes.items()},
        "closings": [replace(each, sequence=0) for each in study.closings],
    }


def _rested(trial: TrialView) -> TrialView:
    """A trial whether or not a slot is training it."""
    if trial.state not in {TrialState.RUNNING, TrialState.WAITING}:
        return trial
    return replace(trial, state=TrialState.WAITING, reason="")


def run_for(cluster: Cluster, actions: int) -> None:
    for _ in range(actions):
        if cluster.engine.state.active:
            cluster.act()


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.name)
def test_a_study_is_there_what_it_was_and_goes_on_as_it_would_have(policy: policies.PolicySpec) -> None:
    """1. A study runs for a while, and is exported. 2. It comes paused, with the same trials, metrics, best and
    savings; the engine rebuilt from its journal equals it. 3. Resumed, it ends as if it had been trained there."""
    source, target = Cluster(1, {"a": 2}), Cluster(2, {"b": 1})
    submit(source, spec(policy=policy, checkpoint_every=2))
    run_for(source, 300)
    archive = archives.read(exported(source))
    before = shown(source.engine)
    found = bring(source, target, archive)
    assert found.outcome == "created"
    assert shown(target.engine) == before
    study = target.engine.state.study_named("default", "study")
    assert study is not None
    assert study.user == "v"
    assert study.billed == 0
    target.restart_server()
    assert shown(target.engine) == before
    if study_view(target.engine, "default", "study").state is StudyState.PAUSED:
        target.tell(ResumeStudy(project="default", name="study"))
    target.run()
    expect_as_trained_alone(target, "study")
    view = study_view(target.engine, "default", "study")
    assert view.state is StudyState.COMPLETED
    assert view.savings.steps_trained - view.savings.steps_retrained >= distinct_prefixes(target, "study")
