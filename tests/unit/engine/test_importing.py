"""A study that is brought into another engine is there what it was, shares there, and goes on as it would have."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import policies
from hippo_core.engine import archive as archives
from hippo_core.engine.archive import Archive
from hippo_core.engine.commands import (
    ChangeAccount,
    DeleteStudy,
    ExtendStudy,
    ForkTrial,
    ImportStudy,
    PlaceArchive,
    ResumeStudy,
    StopTrial,
)
from hippo_core.engine.commands.archives import Place, SavedState
from hippo_core.engine.engine import Engine
from hippo_core.engine.importing import Imported
from hippo_core.engine.states import StudyState, TrialState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.trial_detail import trial_detail
from hippo_core.engine.trial_views import TrialView
from hippo_core.errors import Conflict, InvalidStudy
from tests.archived import study_events
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import PIECES, distinct_prefixes, expect_as_trained_alone, spec, submit

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


@pytest.mark.parametrize("seed", range(4))
def test_what_comes_is_merged_with_what_others_have_trained(seed: int) -> None:
    """1. Studies of one program run here and elsewhere, and their schedules part at other steps. 2. One comes while
    those here run. 3. All end with what they would have come to alone; who waited for what came has it at once."""
    chosen = random.Random(seed)
    source, target = Cluster(seed, {"a": 2}), Cluster(seed + 10, {"b": 2})
    submit(source, spec("beside", chosen.sample(PIECES, 2)))
    submit(source, spec(rates=chosen.sample(PIECES, 3), checkpoint_every=chosen.choice([None, 2])))
    run_for(source, chosen.randrange(50, 400))
    for name in ("here", "there"):
        policy = policies.asha(1, 3) if name == "there" else policies.full()
        submit(target, spec(name, chosen.sample(PIECES, 3), policy=policy))
    run_for(target, chosen.randrange(10, 300))
    archive = archives.read(exported(source, checkpoints=seed % 2 == 0))
    bring(source, target, archive)
    target.restart_server()
    before = target.engine.snapshot()
    assert bring(source, target, archive).outcome == "unchanged"
    assert target.engine.snapshot()["nodes"] == before["nodes"]
    run_for(target, 50)
    if study_view(target.engine, "default", "study").state is StudyState.PAUSED:
        target.tell(ResumeStudy(project="default", name="study"))
    target.run()
    for name in ("study", "here", "there"):
        expect_as_trained_alone(target, name)
    steps = sum(node.trained - node.start for node in target.engine.state.nodes.values())
    assert steps >= distinct_prefixes(target, "study", "here", "there")


def test_what_came_with_checkpoints_is_not_trained_again_and_others_share_it() -> None:
    """1. A study that has ended comes with its checkpoints. 2. An equal one is done at once. 3. Extended, only the
    further steps are trained."""
    source, target = Cluster(1, {"a": 2}), Cluster(2, {"b": 1})
    submit(source, spec(rates=PIECES[:3]))
    source.run()
    found = bring(source, target, archives.read(exported(source)))
    assert found.steps == source.trained
    submit(target, spec("equal", rates=PIECES[:3]))
    target.run()
    assert target.trained == 0
    assert study_view(target.engine, "default", "equal").trial_counts == {"completed": 18}
    target.tell(ExtendStudy(project="default", name="study", max_steps=11))
    target.run()
    assert target.trained == distinct_prefixes(target, "study") - source.trained
    expect_as_trained_alone(target, "study")


def test_users_deeds_and_a_second_import_without_the_first_ones_checkpoints() -> None:
    """1. Trials are forked and stopped, and the study is changed. 2. It comes without checkpoints. 3. It comes again,
    with them: only they are new. 4. It has gone on since: the archive is still that of the same study."""
    source, target = Cluster(3, {"a": 2}), Cluster(4, {"b": 1})
    submit(source, spec(rates=PIECES[:3], checkpoint_every=2))
    run_for(source, 150)
    source.tell(StopTrial(project="default", name="study", trial=2))
    source.tell(ForkTrial(project="default", name="study", trial=0, at=4, hyperparameters={"lr": 0.5}))
    source.tell(ExtendStudy(project="default", name="study", max_steps=10))
    run_for(source, 60)
    bare, full = (archives.read(exported(source, checkpoints=each)) for each in (False, True))
    first = bring(source, target, bare)
    assert (first.outcome, first.checkpoints) == ("created", 0)
    assert shown(target.engine) == shown(source.engine)
    second = bring(source, target, full)
    assert (second.outcome, second.steps, second.checkpoints) == ("unchanged", 0, len(full.checkpoints))
    target.restart_server()
    target.tell(ResumeStudy(project="default", name="study"))
    target.run()
    third = bring(source, target, full)
    assert (third.outcome, third.steps) == ("unchanged", 0)
    expect_as_trained_alone(target, "study")


def test_a_metric_that_is_known_here_stands() -> None:
    """1. A study was trained here, and elsewhere with another metric at one state. 2. The state is marked, and all
    that people see is what is known here; also after a restart."""
    source, target = Cluster(1, {"a": 1}), Cluster(2, {"b": 1})
    for cluster, name in ((source, "study"), (target, "here")):
        submit(cluster, spec(name, rates=PIECES[:2]))
        cluster.run()
    lines = exported(source).split(b"\n")
    place = next(place for place, line in enumerate(lines) if b'"MetricsRecorded"' in line)
    changed = json.loads(lines[place])
    changed["metrics"]["accuracy"] = 0.123
    lines[place] = json.dumps(changed, separators=(",", ":")).encode()
    bring(source, target, archives.read(signed(lines[:-2])))
    for _ in range(2):
        marked = [node for node in target.engine.state.nodes.values() if node.not_reproducible]
        assert len(marked) == 1
        expect_as_trained_alone(target, "study")
        target.restart_server()


def signed(lines: list[bytes]) -> bytes:
    """An archive of these lines, with the digest that they have."""
    data = b"".join(line + b"\n" for line in lines)
    return data + json.dumps({"sha256": hashlib.sha256(data).hexdigest()}).encode() + b"\n"


def test_a_name_that_another_study_has_is_refused_and_another_name_may_be_given() -> None:
    source, target = Cluster(1, {"a": 1}), Cluster(2, {"b": 1})
    submit(source, spec(rates=PIECES[:2]))
    source.run()
    submit(target, spec(rates=PIECES[:3]))
    data = exported(source)
    for command in (PlaceArchive, partial(ImportStudy, place=None, saved={})):
        with pytest.raises(Conflict, match=r"submitted with other content.* --name"):
            target.tell(command(project="default", user="v", archive=archives.read(data)))
    assert bring(source, target, archives.read(data, "moved")).outcome == "created"
    expect_as_trained_alone(target, "moved")


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_studies": 1}, "may have 1"),
        ({"max_open_trials": 3}, "more trials are too many"),
        ({"max_checkpoint_bytes": 2}, "bytes of checkpoints"),
    ],
)
def test_limits_hold_for_what_comes_too(limits: Mapping[str, int], words: str) -> None:
    source, target = Cluster(1, {"a": 1}), Cluster(2, {"b": 1})
    submit(source, spec(rates=PIECES[:2], checkpoint_every=1))
    run_for(source, 60)
    submit(target, spec("there", rates=PIECES[:1], seed=5))
    target.tell(ChangeAccount(project="default", user="", changes=limits))
    before = target.engine.snapshot()
    with pytest.raises(Conflict, match=words):
        bring(source, target, archives.read(exported(source)))
    assert {**target.engine.snapshot(), "accounts": 0, "plans": 0, "last": 0, "nodes": 0} == {
        **before,
        "accounts": 0,
        "plans": 0,
        "last": 0,
        "nodes": 0,
    }


def test_an_import_that_is_cut_off_has_brought_nothing_that_anybody_sees() -> None:
    """1. Places are found, and then nothing comes. 2. Nothing is trained or kept, and no study is there; the number
    that was reserved is given to no lease. 3. The next try is as the first."""
    source, target = Cluster(1, {"a": 1}), Cluster(2, {"b": 1})
    submit(source, spec(rates=PIECES[:2], checkpoint_every=2))
    source.run()
    archive = archives.read(exported(source))
    place = target.tell(PlaceArchive(project="default", user="v", archive=archive))
    assert isinstance(place, Place)
    target.restart_server()
    assert target.engine.state.studies == {}
    assert not any(node.checkpoints or node.metrics for node in target.engine.state.nodes.values())
    submit(target, spec("other", rates=PIECES[:1], seed=3))
    run_for(target, 5)
    assert min(target.engine.state.leases) > place.fence
    assert bring(source, target, archive).outcome == "created"
    target.restart_server()
    target.run()
    expect_as_trained_alone(target, "study")


def test_a_plan_that_was_forgotten_meanwhile_is_not_gone_on_with() -> None:
    source, target = Cluster(1, {"a": 1}), Cluster(2, {"b": 1})
    for cluster, name in ((source, "study"), (target, "here")):
        submit(cluster, spec(name, rates=PIECES[:2], checkpoint_every=2))
        cluster.run()
    archive = archives.read(exported(source))
    place = target.tell(PlaceArchive(project="default", user="v", archive=archive))
    target.tell(DeleteStudy(project="default", name="here"))
    with pytest.raises(Conflict, match="Import it once more"):
        target.tell(ImportStudy(project="default", user="v", archive=archive, place=place, saved={}))
    bring(source, target, archive)
    expect_as_trained_alone(target, "study")


Json = dict[str, Any]


def _set(**fields: Any) -> Any:
    return lambda event: event.update(fields)


#: What no server has exported: the kind of an event, and what is done to the last one of it.
FORGED = [
    ("NodeCreated", _set(parent=99)),
    ("NodeCreated", _set(start=2**60)),
    ("NodeCreated", _set(laws={})),
    ("NodeCreated", _set(laws={"lr": ["constant", 3.0]})),
    ("NodeCreated", _set(plan=7)),
    ("StepsTrained", _set(stop=2**41)),
    ("StepsTrained", _set(stop=-1)),
    ("StepsTrained", _set(train_seconds=-5.0)),
    ("StepsTrained", _set(train_seconds="many")),
    ("MetricsRecorded", _set(step=500)),
    ("MetricsRecorded", _set(metrics={"accuracy": "good"})),
    ("MetricsRecorded", _set(metrics=[1])),
    ("CheckpointPublished", _set(step=0)),
    ("CheckpointPublished", _set(size_bytes=-1)),
    ("TrialCreated", _set(trial=400)),
    ("TrialCreated", _set(study=2)),
    ("TrialCreated", _set(assignment={"lr": 77})),
    ("TrialCreated", _set(max_steps=0)),
    ("TrialCreated", _set(max_steps=True)),
    ("TrialCreated", _set(fork={"trial": 0})),
    ("TrialCreated", _set(notes="none")),
    ("RequestOpened", _set(node=2)),
    ("RequestOpened", _set(step=2**50)),
    ("RequestClosed", _set(reached=400)),
    ("RequestClosed", _set(sequence=1)),
    ("RequestClosed", _set(state="open")),
    ("TrialStateChanged", _set(state="happy")),
    ("TrialStateChanged", _set(reason="a" * (1 << 21))),
    ("StudySubmitted", _set(program_key="0" * 64)),
    ("StudySubmitted", _set(spec={})),
    ("StudyCredited", _set(steps_retrained=10**9)),
    ("StudyPlanned", _set(plan=4)),
    ("PlanCreated", _set(environment="")),
    ("StudySubmitted", _set(event="StudyDeleted")),
    ("StudySubmitted", _set(event="LeaseGranted")),
]


@pytest.mark.parametrize(("kind", "forge"), FORGED, ids=lambda each: each if isinstance(each, str) else "")
def test_what_no_server_has_exported_is_refused_before_any_engine_hears_of_it(
    archived: bytes, kind: str, forge: Any
) -> None:
    lines = archived.split(b"\n")[:-2]
    place = max(place for place, line in enumerate(lines) if f'"event":"{kind}"'.encode() in line)
    event = json.loads(lines[place])
    forge(event)
    lines[place] = json.dumps(event).encode()
    with pytest.raises(InvalidStudy, match=r"^archive: "):
        archives.read(signed(lines))


@pytest.fixture(scope="module")
def archived() -> bytes:
    """A study in the middle."""
    cluster = Cluster(3, {"a": 2})
    submit(cluster, spec(rates=PIECES[:2], policy=policies.sha(1, 3), checkpoint_every=2))
    run_for(cluster, 200)
    return exported(cluster)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_bytes_that_are_no_archive_are_refused(archived: bytes, data: st.DataObject) -> None:
    """Cut, with a byte changed, a line left out or twice; with the right digest, and without."""
    lines = archived.split(b"\n")[:-2]
    place = data.draw(st.integers(0, len(lines) - 1))
    what = data.draw(st.sampled_from(["drop", "double", "garble", "cut"]))
    if what == "drop":
        del lines[place]
    elif what == "double":
        lines.insert(place, lines[place])
    elif what == "garble":
        at = data.draw(st.integers(0, len(lines[place]) - 1))
        lines[place] = (
            lines[place][:at] + data.draw(st.binary(min_size=1, max_size=3)) + lines[place][at + 1 :]
        )
    else:
        with pytest.raises(InvalidStudy):
            archives.read(archived[: data.draw(st.integers(0, len(archived) - 1))])
        return
    try:
        read = archives.read(signed(lines))
    except InvalidStudy:
        return
    target = Cluster(1, {"b": 1})  # what passes for one comes to a sound engine
    target.tell(ImportStudy(project="default", user="v", archive=read, place=None, saved={}))
    target.restart_server()
