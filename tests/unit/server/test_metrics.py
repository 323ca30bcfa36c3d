"""What the server counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from hippo_core import policies
from hippo_core.engine.commands import Command, CreateProject, RegisterWorker, SlotSpec, SubmitStudy
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import (
    CheckpointLost,
    Event,
    LeaseStateChanged,
    PathFailed,
    StepsTrained,
    StudyCredited,
)
from hippo_core.engine.states import FailureClass, LeaseState, TrialState
from hippo_core.space import choice
from hippo_server.metrics import Metrics
from hippo_storage.storage import Space
from tests.studies import grid
from tests.unit.engine.cluster import Cluster
from tests.unit.engine.test_blocked_storage import blocked_cluster
from tests.unit.engine.test_cluster import spec, submit


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Of a leader's page; None: it is not on it."""
    found = text_string_to_metric_families(metrics.page(leads=True).decode())
    samples = {
        (each.name, *sorted(each.labels.items())): each.value for family in found for each in family.samples
    }
    return samples.get((name, *sorted(labels.items())))


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


def trained(fence: int, node: int, seconds: float) -> StepsTrained:
    return StepsTrained(fence=fence, node=node, start=0, stop=2, train_seconds=seconds, evaluate_seconds=0.5)


def test_lost_checkpoints_are_counted_by_what_befell_them_and_from_nought(metrics: Metrics) -> None:
    names = ("hippo_checkpoint_corrupt_total", "hippo_checkpoint_missing_total")
    assert [value(metrics, name) for name in names] == [0.0, 0.0]
    for reason in ("corrupt: a: its digest is 1, not 2.", "missing: a lacks.", "corrupt: the manifest ..."):
        metrics.engine.happened([CheckpointLost(node=1, step=3, fence=7, reason=reason)])
    assert [value(metrics, name) for name in names] == [2.0, 1.0]


def test_results_of_stages_are_counted_from_nought(metrics: Metrics) -> None:
    """An increase over a window misses the first of a series that was not there."""
    for result in ("trained", "released", "orphaned", "revoked"):
        assert value(metrics, "hippo_stage_results_total", result=result, reason_class="") == 0.0
    for failure in FailureClass:
        assert value(metrics, "hippo_stage_results_total", result="failed", reason_class=failure.value) == 0.0


def test_workers_that_the_storage_blocks_are_told_while_it_does(metrics: Metrics) -> None:
    cluster = blocked_cluster()
    metrics.engine.look_at(cluster.engine)
    assert value(metrics, "hippo_workers_blocked") == 1.0
    cluster.run()
    metrics.engine.look_at(cluster.engine)
    assert value(metrics, "hippo_workers_blocked") == 0.0
    cluster.say_of_storage("a", "no answer")
    metrics.engine.look_at(cluster.engine)
    assert value(metrics, "hippo_workers_blocked") == 1.0


def test_a_stage_is_over_when_its_path_goes_on_to_another_node_or_ends(metrics: Metrics) -> None:
    """1. A lease trains nodes 1 and 2, another one node 3, where it fails. 2. Each stage has one result."""
    metrics.engine.happened([trained(7, 1, 1.0), trained(7, 1, 2.0), trained(8, 3, 10.0), trained(7, 2, 3.0)])
    assert value(metrics, "hippo_stage_results_total", result="trained", reason_class="") == 1.0
    assert value(metrics, "hippo_stage_duration_seconds_sum") == 4.0
    failed = PathFailed(
        fence=8, node=3, step=2, failure=FailureClass.MEMORY, count=1, message="full", traceback=""
    )
    metrics.engine.happened([LeaseStateChanged(fence=8, state=LeaseState.FAILED, reason="full"), failed])
    for state in (LeaseState.SAVING, LeaseState.COMPLETED):
        metrics.engine.happened([LeaseStateChanged(fence=7, state=state, reason="")])
    assert value(metrics, "hippo_stage_results_total", result="trained", reason_class="") == 2.0
    assert value(metrics, "hippo_stage_results_total", result="failed", reason_class="memory") == 1.0
    assert value(metrics, "hippo_stage_duration_seconds_sum") == 4.0 + 3.5 + 10.5
    assert value(metrics, "hippo_stage_duration_seconds_count") == 3.0


def test_a_stage_whose_worker_falls_silent_is_counted_once(metrics: Metrics) -> None:
    died = PathFailed(
        fence=7,
        node=1,
        step=2,
        failure=FailureClass.INFRASTRUCTURE,
        count=1,
        message="silent",
        traceback="",
        died="a",
    )
    lost = [
        LeaseStateChanged(fence=7, state=state, reason="")
        for state in (LeaseState.ORPHANED, LeaseState.EXPIRED)
    ]
    metrics.engine.happened([trained(7, 1, 1.0), lost[0], lost[1], died])
    assert value(metrics, "hippo_leases_expired_total") == 1.0
    assert value(metrics, "hippo_stage_results_total", result="orphaned", reason_class="") == 1.0
    assert value(metrics, "hippo_stage_results_total", result="failed", reason_class="infrastructure") == 0.0


def coming(worker: str, slots: int) -> RegisterWorker:
    return RegisterWorker(
        worker=worker,
        incarnation="1",
        host=worker,
        slots=tuple(
            SlotSpec(index=index, device="cpu", model="cpu", cpus=1, gpus=0) for index in range(slots)
        ),
        environment={"python": "3.11", "torch": "none", "cuda": None, "platform": "Linux"},
        leases=(),
    )


def test_a_path_has_waited_since_what_it_begins_with_could_be_trained(metrics: Metrics) -> None:
    """1. Four trials that share nothing are submitted to two slots. 2. Three seconds later another study asks for the
    same, and four after that one more slot comes, and trains the third. 3. The paths of the first two have not waited,
    and that one 7 s. 4. A server that is started again at 500 knows of the fourth from then on."""
    engine, known = Engine(), list[Event]()

    def waits(command: Command, now: float) -> tuple[float, ...]:
        outcome = engine.handle(command, now)
        known.extend(outcome.events)
        metrics.engine.granted(outcome.waits)
        return outcome.waits

    trials = grid({"lr": choice([0.1, 0.2, 0.3, 0.4])})
    assert waits(CreateProject(project="default"), 10.0) == ()
    assert waits(coming("a", 2), 10.0) == ()
    assert waits(SubmitStudy(project="default", user="ada", spec=trials), 10.0) == (0.0, 0.0)
    again = replace(trials, name="again")
    assert waits(SubmitStudy(project="default", user="ada", spec=again), 13.0) == ()
    assert waits(coming("b", 1), 17.0) == (7.0,)
    assert value(metrics, "hippo_stage_wait_seconds_count") == 3.0
    assert value(metrics, "hippo_stage_wait_seconds_sum") == 7.0
    engine = Engine.restore(known, engine.settings, 500.0)
    assert waits(coming("c", 1), 503.0) == (3.0,)


def credited(billed: int, trained: int, retrained: int) -> StudyCredited:
    return StudyCredited(
        study=1,
        project="default",
        user="u",
        steps_trained=trained,
        steps_retrained=retrained,
        seconds=0.0,
        billed=billed,
        billed_gpus=2 * billed,
        passed=0,
        project_passed=0,
    )


def test_slot_seconds_are_used_or_lost_and_never_both(metrics: Metrics) -> None:
    metrics.engine.happened([credited(8_000_000, 4, 1), credited(1_000_000, 0, 0)])
    assert value(metrics, "hippo_slot_seconds_total", kind="used") == 7.0
    assert value(metrics, "hippo_slot_seconds_total", kind="lost") == 2.0
    assert value(metrics, "hippo_gpu_seconds_total", kind="lost") == 4.0


def expect_trials_counted(metrics: Metrics, cluster: Cluster) -> None:
    """Each in its state, however little has changed since the last look."""
    trials = [trial for study in cluster.engine.state.studies.values() for trial in study.trials.values()]
    for state in TrialState:
        assert value(metrics, "hippo_trials", state=state.value) == sum(
            trial.state is state for trial in trials
        )


@pytest.mark.parametrize("policy", [policies.full(), policies.asha(min_steps=3, reduction_factor=3)])
def test_what_sharing_saves_only_grows_and_a_new_term_counts_nothing_twice(
    metrics: Metrics, policy: policies.PolicySpec
) -> None:
    """1. While a study trains, more is saved. 2. A server that is started again begins with what is known then."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec(policy=policy))
    metrics.engine.look_at(cluster.engine)
    saved, told = [0.0], len(cluster.journal)
    while cluster.engine.state.active:
        for _ in range(60):
            if cluster.engine.state.active:
                cluster.act()
        metrics.engine.happened(cluster.journal[told:])
        told = len(cluster.journal)
        metrics.engine.look_at(cluster.engine)
        expect_trials_counted(metrics, cluster)
        saved.append(value(metrics, "hippo_slot_seconds_total", kind="saved") or 0.0)
    assert saved == sorted(saved)
    assert saved[-1] > 0.0
    cluster.restart_server()
    metrics.engine.look_at(cluster.engine)
    assert value(metrics, "hippo_slot_seconds_total", kind="saved") == saved[-1]
    expect_trials_counted(metrics, cluster)
    assert value(metrics, "hippo_slots", state="idle") == 2.0


def test_what_is_not_known_is_not_exposed(metrics: Metrics) -> None:
    """A storage without a disk has no free bytes, not none; a server without certificates none that runs out."""
    metrics.encryption(None)
    assert value(metrics, "hippo_storage_free_bytes") is None
    assert value(metrics, "hippo_certificate_expiry_timestamp_seconds") is None
    assert value(metrics, "hippo_insecure_mode") == 1.0
    for free in (1, 2):
        metrics.space(Space(free_bytes=free, size_bytes=3))
        metrics.encryption(1.8e9)
    assert value(metrics, "hippo_storage_free_bytes") == 2.0
    assert value(metrics, "hippo_certificate_expiry_timestamp_seconds") == 1.8e9
    assert value(metrics, "hippo_insecure_mode") == 0.0


def test_a_server_that_stands_by_says_nothing_of_what_the_engine_held(metrics: Metrics) -> None:
    """It led once: sums over servers would count its studies twice."""
    metrics.engine.look_at(blocked_cluster().engine)
    assert b"hippo_scheduler_leader 1.0" in metrics.page(leads=True)
    page = metrics.page(leads=False)
    assert b"hippo_scheduler_leader 0.0" in page
    assert b"hippo_stages" not in page
