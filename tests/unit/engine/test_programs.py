"""Programs are listed with what was trained of them, and forgotten when all their studies have ended."""

from __future__ import annotations

import pytest

from hippo_core.engine.commands import ForgetProgram, PauseStudy, StopStudy
from hippo_core.engine.orders import RemoveCheckpoint
from hippo_core.engine.programs import ProgramView, program_views
from hippo_core.errors import Conflict, NotFound
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import expect_as_trained_alone, spec, submit


def views(cluster: Cluster) -> tuple[ProgramView, ...]:
    return program_views(cluster.engine.state, "default")


def kept(cluster: Cluster, plans: set[int]) -> dict[tuple[int, int, int], int]:
    """The size of each checkpoint of plans, by node, step and fence."""
    return {
        (node.id, step, fence): copy.size_bytes
        for node in cluster.engine.state.nodes.values()
        if node.plan in plans
        for step, copies in node.checkpoints.items()
        for fence, copy in copies.items()
    }


def test_programs_are_told_with_what_there_is_of_them() -> None:
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec("first"))
    submit(cluster, spec("second"))
    submit(cluster, spec("other", seed=7))
    cluster.run()
    found = {each.studies: each for each in views(cluster)}
    assert found.keys() == {("first", "second"), ("other",)}
    for names, view in found.items():
        study = cluster.engine.state.study_named("default", names[0])
        assert study is not None
        sizes = kept(cluster, {study.plan})
        assert (view.key, view.trainer) == (study.program_key, study.spec.program.trainer)
        assert view.environment == cluster.engine.state.plans[study.plan].environment != ""
        assert view.open_studies == ()
        assert view.nodes == len(cluster.engine.state.plans[study.plan].plan.nodes)
        assert (view.checkpoints, view.checkpoint_bytes) == (len(sizes), sum(sizes.values()))
        assert sizes
    assert program_views(cluster.engine.state, "elsewhere") == ()


def test_a_program_goes_with_all_that_is_its_own_and_an_equal_study_trains_anew() -> None:
    """1. Three studies of two programs. 2. One program is forgotten, by the beginning of its key: its studies and
    checkpoints go, the other's stay. 3. An equal study is trained as if it were the first."""
    cluster = Cluster(0, {"a": 2})
    for study in (spec("first"), spec("second"), spec("other", seed=7)):
        submit(cluster, study)
    cluster.run()
    state = cluster.engine.state
    first, other = (state.study_named("default", name) for name in ("first", "other"))
    assert first is not None
    assert other is not None
    going, staying = kept(cluster, {first.plan}), kept(cluster, {other.plan})
    assert cluster.tell(ForgetProgram(project="default", key=first.program_key[:20])) == 2
    assert set(state.names) == {("default", "other")}
    assert kept(cluster, {first.plan, other.plan}) == staying
    assert {
        (each.node, each.step, each.fence)
        for each in cluster.engine.wanted()
        if isinstance(each, RemoveCheckpoint)
    } == set(going)
    assert [each.studies for each in views(cluster)] == [("other",)]
    cluster.storage = {place: saved for place, saved in cluster.storage.items() if place not in going}
    submit(cluster, spec("again"))
    cluster.run()
    expect_as_trained_alone(cluster, "again")


@pytest.mark.parametrize("paused", [False, True])
def test_a_program_with_a_study_that_has_not_ended_stays(paused: bool) -> None:
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec("ended"))
    cluster.tell(StopStudy(project="default", name="ended"))
    submit(cluster, spec("open"))
    if paused:
        cluster.tell(PauseStudy(project="default", name="open"))
    (view,) = views(cluster)
    assert view.open_studies == ("open",)
    state = "paused" if paused else "running"
    with pytest.raises(Conflict, match=rf"studies that have not ended: 'open' \({state}\)\."):
        cluster.tell(ForgetProgram(project="default", key=view.key))
    assert views(cluster) == (view,)


def test_a_program_that_is_not_there_or_not_named_clearly_is_refused() -> None:
    cluster = Cluster(0, {"a": 1})
    for number in range(17):  # of so many keys two begin alike
        submit(cluster, spec(f"study-{number}", seed=number, rates=[0.1]))
        cluster.tell(StopStudy(project="default", name=f"study-{number}"))
    keys = [each.key for each in views(cluster)]
    common = next(key[0] for key in keys if sum(other[0] == key[0] for other in keys) > 1)
    count = sum(key[0] == common for key in keys)
    with pytest.raises(Conflict, match=f"the keys of {count} programs begin with '{common}'"):
        cluster.tell(ForgetProgram(project="default", key=common))
    for project, key in (("default", ""), ("default", "none"), ("elsewhere", keys[0])):
        with pytest.raises(NotFound, match="no study is of a program"):
            cluster.tell(ForgetProgram(project=project, key=key))
    assert len(views(cluster)) == 17
