"""Limits of users and projects, decided by the engine: never passed, whatever happens, and nothing is lost by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hippo_core import samplers, space
from hippo_core.engine.commands import (
    ChangeAccount,
    Command,
    CreateProject,
    DeleteProject,
    EnqueueTrial,
    ResumeStudy,
    StopStudy,
    SubmitStudy,
)
from hippo_core.engine.engine import Result
from hippo_core.engine.quotas import open_trials
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import study_view
from hippo_core.engine.turns import slots_in_use
from hippo_core.errors import Conflict, NotFound
from tests.studies import study
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import FAULTS, PIECES, expect_as_trained_alone, spec


def allow(cluster: Cluster, project: str, user: str, **changes: Any) -> None:
    cluster.tell(CreateProject(project=project))
    cluster.tell(ChangeAccount(project=project, user=user, changes=changes))


def learning(name: str, trials: int = 6) -> Any:
    return study(
        {"lr": space.loguniform(1e-4, 1e-1)},
        name=name,
        max_trials=trials,
        max_steps=5,
        sampler=samplers.tpe(),
    )


def strike(cluster: Cluster, fault: str, worker: str) -> None:
    getattr(cluster, fault)(*([worker] if fault not in {"restart_server", "lose_checkpoint"} else []))


class WithinLimits(Cluster):
    """A cluster that looks, after every command, whether limits are passed."""

    limits: Mapping[tuple[str, str], int] = {}  #: slots at once
    open_trials = 0  #: of bo

    def tell(self, command: Command) -> Result:
        result = super().tell(command)
        state = self.engine.state
        used = slots_in_use(state)
        for owner, most in self.limits.items():
            assert used.get(owner, 0) <= most
        if self.limits:
            assert open_trials(state, state.accounts["default", "bo"]) <= self.open_trials
        return result


@settings(max_examples=25, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(1, 2),
    st.lists(st.tuples(st.integers(1, 80), st.sampled_from(FAULTS), st.sampled_from(["a", "b"])), max_size=6),
)
def test_no_limit_is_passed_whatever_happens_and_all_is_trained(
    seed: int, slots: int, project_slots: int, trials: int, faults: list[tuple[int, str, str]]
) -> None:
    """1. Users and a project have limits of slots, one of open trials. 2. Things go wrong. 3. All is trained, exactly;
    at no moment was a limit passed."""
    cluster = WithinLimits(seed, {"a": 3, "b": 2})
    limits = {("default", "ada"): slots, ("default", ""): project_slots}
    for (project, user), most in limits.items():
        allow(cluster, project, user, max_slots=most)
    allow(cluster, "default", "bo", max_open_trials=trials)
    cluster.limits, cluster.open_trials = limits, trials
    cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("adas", PIECES[:3])))
    cluster.tell(SubmitStudy(project="default", user="bo", spec=learning("bos")))
    cluster.tell(SubmitStudy(project="default", user="bo", spec=learning("bos-too")))
    cluster.tell(SubmitStudy(project="other", user="cy", spec=spec("cys", PIECES[2:4])))
    for actions, fault, worker in faults:
        for _ in range(actions):
            if cluster.engine.state.active:
                cluster.act()
        strike(cluster, fault, worker)
    cluster.run()
    for project, name in (("default", "adas"), ("default", "bos"), ("default", "bos-too"), ("other", "cys")):
        assert study_view(cluster.engine, project, name).state is StudyState.COMPLETED
        expect_as_trained_alone(cluster, name, project)


def test_a_further_study_is_refused_until_one_has_ended() -> None:
    cluster = Cluster(0, {"a": 1})
    allow(cluster, "default", "ada", max_studies=1)
    cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("first", PIECES[:1])))
    with pytest.raises(Conflict, match="has 1 studies that run or are paused, and may have 1"):
        cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("second", PIECES[:1])))
    cluster.tell(SubmitStudy(project="default", user="bo", spec=spec("bos", PIECES[:1])))
    cluster.tell(StopStudy(project="default", name="first"))
    cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("second", PIECES[:1])))
    point = {"lr": PIECES[0], "batch": 32, "m": 0.9}
    with pytest.raises(Conflict):  # to take the first up again is one too many
        cluster.tell(EnqueueTrial(project="default", name="first", point=point))
    cluster.run()


def test_slot_seconds_that_are_used_up_pause_studies_which_go_on_where_they_were() -> None:
    cluster = Cluster(3, {"a": 2})
    allow(cluster, "default", "ada", max_slot_seconds=0.1)
    cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("adas", PIECES[:3])))
    cluster.run()
    account = cluster.engine.state.accounts["default", "ada"]
    found = study_view(cluster.engine, "default", "adas")
    assert found.state is StudyState.PAUSED
    assert account.billed >= 100_000
    assert "user ada has used" in found.reason
    with pytest.raises(Conflict, match="has used"):
        cluster.tell(ResumeStudy(project="default", name="adas"))
    allow(cluster, "default", "ada", max_slot_seconds=None)
    cluster.tell(ResumeStudy(project="default", name="adas"))
    cluster.run()
    assert study_view(cluster.engine, "default", "adas").state is StudyState.COMPLETED
    expect_as_trained_alone(cluster, "adas")


def test_a_project_that_keeps_too_many_bytes_begins_nothing_further() -> None:
    cluster = Cluster(0, {"a": 1})
    allow(cluster, "default", "", max_checkpoint_bytes=0)
    with pytest.raises(Conflict, match="keeps 0 bytes of checkpoints, and may keep 0"):
        cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("adas", PIECES[:1])))
    allow(cluster, "default", "", max_checkpoint_bytes=None)
    cluster.tell(SubmitStudy(project="default", user="ada", spec=spec("adas", PIECES[:1])))
    allow(cluster, "default", "", max_checkpoint_bytes=0)
    while slots_in_use(cluster.engine.state):  # what has begun goes on
        cluster.act()
    for _ in range(50):
        cluster.act()
    found = study_view(cluster.engine, "default", "adas")
    assert found.state is StudyState.RUNNING
    assert found.reason.startswith("project default keeps ")
    assert found.reason.endswith(" bytes of checkpoints, and may keep 0 (max_checkpoint_bytes)")
    allow(cluster, "default", "", max_checkpoint_bytes=10**9)
    cluster.run()
    assert study_view(cluster.engine, "default", "adas").state is StudyState.COMPLETED


def test_a_project_that_is_not_there_is_not_found_and_one_with_studies_stays() -> None:
    cluster = Cluster(0, {"a": 1})
    with pytest.raises(NotFound, match="there is no project 'vision'"):
        cluster.tell(ChangeAccount(project="vision", user="", changes={"weight": 2.0}))
    with pytest.raises(NotFound):
        cluster.tell(DeleteProject(project="vision"))
    cluster.tell(SubmitStudy(project="vision", user="ada", spec=spec("adas", PIECES[:1])))
    with pytest.raises(Conflict, match="has the study 'adas'"):
        cluster.tell(DeleteProject(project="vision"))
