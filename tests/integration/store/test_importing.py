"""Archives come from rows as from the journal, and what is imported comes back from the rows as it was."""

from __future__ import annotations

import pytest

from hippo_core import policies
from hippo_core.engine import archive as archives
from hippo_core.engine.commands import DeleteStudy, ResumeStudy
from hippo_core.engine.states import StudyState
from hippo_core.engine.study_views import study_view
from hippo_server.store import Store
from tests.archived import study_events
from tests.integration.store.stored_cluster import StoredCluster
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_cluster import PIECES, expect_as_trained_alone, spec, submit
from tests.unit.engine.test_importing import bring, exported, run_for, shown


@pytest.mark.parametrize(
    "policy", [policies.full(), policies.asha(1, 3), policies.median_stopping()], ids=lambda each: each.name
)
def test_an_archive_made_of_rows_is_the_one_made_of_the_journal(
    store: Store, policy: policies.PolicySpec
) -> None:
    """1. Two studies share a plan. 2. One is exported while both run: from the rows, and from the journal. 3. Both
    archives come to equal engines."""
    cluster = StoredCluster(4, {"a": 2}, store)
    submit(cluster, spec("other", PIECES[:3]))
    submit(cluster, spec(rates=PIECES[:4], policy=policy, checkpoint_every=2))
    run_for(cluster, 350)
    cluster.write()
    study = cluster.engine.state.study_named("default", "study")
    assert study is not None
    snapshots = []
    for events in (store.study_events(study.id), study_events(cluster.journal, study.id)):
        target = Cluster(1, {"b": 1})
        bring(cluster, target, archives.read(b"".join(archives.write("study", events))))
        snapshots.append(target.engine.snapshot())
    assert snapshots[0] == snapshots[1]


@pytest.mark.parametrize("shares", [False, True])
def test_what_is_imported_comes_back_from_the_rows(store: Store, shares: bool) -> None:
    """1. A study comes beside others, one of its program or none. 2. The engine rebuilt from the rows equals the one
    that lived; so it does after each further thing. 3. It goes, and what was trained of it stays for others."""
    source = Cluster(1, {"a": 2})
    submit(source, spec(rates=PIECES[:4], checkpoint_every=2))
    run_for(source, 120)
    cluster = StoredCluster(2, {"b": 2}, store)
    submit(cluster, spec("beside", PIECES[2:5], seed=0 if shares else 7))
    run_for(cluster, 120)
    before = shown(source.engine)
    bring(source, cluster, archives.read(exported(source)))
    cluster.expect_equal_from_rows()
    assert shares or shown(cluster.engine) == before
    cluster.restart_server()
    bring(source, cluster, archives.read(exported(source)))
    cluster.expect_equal_from_rows()
    cluster.tell(ResumeStudy(project="default", name="study"))
    cluster.run()
    cluster.expect_equal_from_rows()
    for name in ("study", "beside"):
        expect_as_trained_alone(cluster, name)
        assert study_view(cluster.engine, "default", name).state is StudyState.COMPLETED
    cluster.tell(DeleteStudy(project="default", name="study"))
    cluster.expect_equal_from_rows()
