"""Reports that come together are decided together, and come to what they come to one after the other."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hippo_core import policies
from hippo_core.engine.commands import AskAhead, Reports, SubmitStudy, Tick
from hippo_core.engine.events import LeaseGranted, ReportAccepted
from hippo_core.engine.reports import Accepted, Reported
from hippo_core.engine.states import WorkerState
from hippo_core.errors import Stale, Unavailable
from tests.unit.engine.cluster import SETTINGS, Cluster, Running, SimulatedWorker
from tests.unit.engine.test_cluster import expect_as_trained_alone, spec, submit


class TogetherCluster(Cluster):
    """Its workers report all that they have to report of all slots at once."""

    most = 0

    def report(self, worker: SimulatedWorker, running: Running) -> None:
        told = [each for each in worker.running.values() if each.has_news]
        self.most = max(self.most, len(told))
        reports = tuple(each.report(worker.name, str(worker.incarnation)) for each in told)
        result = self.tell(Reports(reports=reports))
        assert isinstance(result, Reported)
        for each, taken in zip(told, result.taken, strict=True):
            over = each.done and not each.spool and not each.has_news
            if over or isinstance(taken, Stale):
                del worker.running[each.order.fence]


@pytest.mark.parametrize("policy", [policies.full(), policies.asha(min_steps=1), policies.sha(min_steps=1)])
@pytest.mark.parametrize("seed", range(4))
def test_trials_are_as_trained_alone_whose_reports_are_decided_together(
    seed: int, policy: policies.PolicySpec
) -> None:
    cluster = TogetherCluster(seed, {"a": 3, "b": 2})
    cluster.tell(AskAhead(worker="a", incarnation="1", slot=0, count=4))
    submit(cluster, spec(policy=policy))
    cluster.run()
    assert cluster.most > 1
    expect_as_trained_alone(cluster, "study")


def test_what_follows_from_reports_that_come_together_follows_once() -> None:
    """1. Two slots train. 2. Both paths end in one message. 3. Leases are granted after both were taken in."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec())
    reports = Reports(reports=tuple(each.report("a", "1") for each in trained(cluster, "a")))
    events = cluster.engine.handle(reports, cluster.now).events
    accepted = [place for place, event in enumerate(events) if isinstance(event, ReportAccepted)]
    granted = [place for place, event in enumerate(events) if isinstance(event, LeaseGranted)]
    assert len(accepted) == len(granted) == 2
    assert max(accepted) < min(granted)


def test_it_is_told_which_events_are_of_which_report() -> None:
    """A report that is refused has none; what follows from all of them is of none."""
    cluster = Cluster(0, {"a": 2})
    submit(cluster, spec())
    first, second = (each.report("a", "1") for each in trained(cluster, "a"))
    outcome = cluster.engine.handle(Reports(reports=(first, replace(first, number=9), second)), cluster.now)
    assert isinstance(outcome.result, Reported)
    before = 0
    for report, upto in zip((first, None, second), outcome.result.upto, strict=True):
        accepted = [event.fence for event in outcome.events[before:upto] if isinstance(event, ReportAccepted)]
        assert accepted == ([] if report is None else [report.fence])
        before = upto
    assert any(isinstance(event, LeaseGranted) for event in outcome.events[before:])


def test_a_report_that_is_refused_among_others_is_refused_alone() -> None:
    """1. Of three reports one is of no lease that stands, and one comes too soon. 2. The third is taken in. 3. Once."""
    cluster = Cluster(0, {"a": 2})
    cluster.tell(SubmitStudy(project="default", user="u", spec=spec()))
    first, second = trained(cluster, "a")
    second.number += 1
    report, early = first.report("a", "1"), second.report("a", "1")
    stale = first.report("a", "before")
    reports = Reports(reports=(stale, early, report))
    result = cluster.tell(reports)
    assert isinstance(result, Reported)
    refused, missed, taken = result.taken
    assert isinstance(refused, Stale)
    assert isinstance(missed, Unavailable)
    assert taken == Accepted(fence=report.fence, number=1)
    again = cluster.tell(Reports(reports=(report,)))
    assert isinstance(again, Reported)
    assert isinstance(again.taken[0], Stale)  # its lease has ended by it


def given_up() -> tuple[Cluster, Running]:
    """A worker that was not heard of for long, and what it has trained meanwhile."""
    cluster = Cluster(0, {"a": 1})
    submit(cluster, spec())
    (running,) = trained(cluster, "a")
    cluster.now += 2 * SETTINGS.lease_seconds
    cluster.tell(Tick())
    assert cluster.engine.state.workers["a"].state is WorkerState.LOST
    assert running.order.fence in cluster.engine.state.orphans
    return cluster, running


def test_a_worker_that_returned_by_a_report_is_given_up_again_where_nothing_follows() -> None:
    cluster, running = given_up()
    cluster.tell(running.report("a", "1"))
    assert cluster.engine.state.workers["a"].state is WorkerState.LIVE
    cluster.now += 2 * SETTINGS.lease_seconds
    cluster.tell(Tick())
    assert cluster.engine.state.workers["a"].state is WorkerState.LOST


def test_a_report_that_is_refused_brings_no_worker_back() -> None:
    """What is refused leaves no event that would have to be kept."""
    cluster, running = given_up()
    running.number += 1
    with pytest.raises(Unavailable):
        cluster.tell(running.report("a", "1"))
    assert cluster.engine.state.workers["a"].state is WorkerState.LOST


def trained(cluster: Cluster, name: str) -> list[Running]:
    """What a worker's slots run, trained to its end and saved."""
    worker = cluster.workers[name]
    cluster.receive(worker)
    for running in worker.running.values():
        while not running.done:
            cluster.train(worker, running)
        while running.spool:
            cluster.publish(running)
    return list(worker.running.values())
