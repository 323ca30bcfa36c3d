"""What is counted of the engine: commands, events, and what stages, slots and checkpoints came to."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterable, Sequence
from functools import cache

from hippo_core.billing import MICROSECONDS
from hippo_core.engine import events as ev
from hippo_core.engine.commands import MetricsReport, PublishedReport, Report, SaveFailedReport, StepsReport
from hippo_core.engine.engine import Engine
from hippo_core.engine.events import Event
from hippo_core.engine.states import FailureClass, LeaseState
from hippo_server.metrics.engine_gauges import EngineGauges
from hippo_server.metrics.stage_clock import StageClock
from hippo_wire.observing.families import LONG_SECONDS, Families

SAVE_SECONDS = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0)
#: How the life of a path ends, and what the stage that it was in then came to; of those that fail its failure tells.
RESULTS = {
    LeaseState.SAVING: "trained",
    LeaseState.COMPLETED: "trained",
    LeaseState.RELEASED: "released",
    LeaseState.ORPHANED: "orphaned",
    LeaseState.REVOKED: "revoked",
}
_COUNTED = frozenset(
    {
        ev.StepsTrained,
        ev.StudyCredited,
        ev.PathFailed,
        ev.LeaseStateChanged,
        ev.CheckpointPublished,
        ev.CheckpointLost,
    }
)
_METRICS_AND_STEPS = frozenset({MetricsReport, StepsReport})


class EngineCounters:
    """The counters and histograms.

    Args:
        made: Makes them.
        gauges: What the engine holds, which is told of what happens too.
    """

    def __init__(self, made: Families, gauges: EngineGauges) -> None:
        self._commands = made.counter("hippo_commands_total", "Commands that were decided.", ["command"])
        self._events = made.counter("hippo_events_total", "What happened, by kind of event.", ["event"])
        # There are few kinds, and to find one takes microseconds.
        self._command = cache(self._commands.labels)
        self._event = cache(self._events.labels)
        self._stage_wait = made.histogram(
            "hippo_stage_wait_seconds",
            "For how long what a path begins with was ready to be trained before a slot was given it, pauses after"
            " failures included. Counted anew when a server begins to lead, and when a study moves to workers of"
            " another environment.",
            LONG_SECONDS,
        )
        self._stage_seconds = made.histogram(
            "hippo_stage_duration_seconds",
            "Seconds of training and evaluation per stage that a slot had, whatever it came to.",
            LONG_SECONDS,
        )
        self._stage_results = made.counter(
            "hippo_stage_results_total",
            "What stages came to that slots began: trained, released (given back unfinished), failed, orphaned (their "
            "worker fell silent) or revoked; and whose fault a failure was.",
            ["result", "reason_class"],
        )
        for failure in FailureClass:  # an alert on an increase needs the 0 before the first
            self._stage_results.labels("failed", failure.value)
        for result in RESULTS.values():
            self._stage_results.labels(result, "")
        self._expired = made.counter(
            "hippo_leases_expired_total", "Leases that their workers did not renew in time."
        )
        self._fenced = made.counter(
            "hippo_fenced_writes_total", "Reports of leases that no longer stood, which were refused."
        )
        self._steps = made.counter("hippo_steps_trained_total", "Steps trained, those trained again too.")
        self._slot_seconds = made.counter(
            "hippo_slot_seconds_total",
            "Seconds of slots: used for steps that were new, lost to steps trained again, saved by sharing. Used and "
            "lost together are what training took; used and saved, what it would have taken without sharing. What is "
            "saved is estimated by what a step takes at the time, so that studies tell of a few percent more or less.",
            ["kind"],
        )
        self._gpu_seconds = made.counter(
            "hippo_gpu_seconds_total", "The same as hippo_slot_seconds_total, of the slots' GPUs.", ["kind"]
        )
        self._activity = made.counter(
            "hippo_step_seconds_total", "Slot seconds of steps, by what they were spent on.", ["activity"]
        )
        # Each report adds to these.
        self._stage_result = cache(self._stage_results.labels)
        self._slot_second = cache(self._slot_seconds.labels)
        self._gpu_second = cache(self._gpu_seconds.labels)
        self._step_second = cache(self._activity.labels)
        self._published = made.histogram(
            "hippo_checkpoint_publish_seconds",
            "Seconds from the moment that a path stops to save a state until the state is durable.",
            SAVE_SECONDS,
        )
        self._publish_failures = made.counter(
            "hippo_checkpoint_publish_failures_total",
            "Saves that will not come: for want of space (full), or for any other reason (error).",
            ["reason"],
        )
        for reason in ("full", "error"):
            self._publish_failures.labels(reason)
        self._checkpoint_bytes = made.counter(
            "hippo_checkpoint_bytes_total", "Bytes of checkpoints published."
        )
        self._corrupt = made.counter(
            "hippo_checkpoint_corrupt_total",
            "Checkpoints that were found corrupt when they were to be loaded.",
        )
        self._missing = made.counter(
            "hippo_checkpoint_missing_total", "Checkpoints that were not there when they were to be loaded."
        )
        self._gauges = gauges
        self._clock = StageClock()

    def command(self, name: str, count: int) -> None:
        """A command was decided; reports that came together count each."""
        self._command(name).inc(count)

    def granted(self, waits: Iterable[float]) -> None:
        """Paths were granted; what each begins with had been ready for so many seconds."""
        for seconds in waits:
            self._stage_wait.observe(seconds)

    def fenced(self) -> None:
        """A report of a lease that no longer stood was refused."""
        self._fenced.inc()

    def reported(self, report: Report) -> None:
        """A report was taken in that was not known before."""
        for item in report.items:
            if type(item) in _METRICS_AND_STEPS:  # most are
                continue
            if isinstance(item, PublishedReport):
                self._published.observe(item.total_seconds)
            elif isinstance(item, SaveFailedReport):
                self._publish_failures.labels("full" if item.full else "error").inc()

    def happened(self, events: Sequence[Event]) -> None:
        """Events were decided."""
        self._gauges.happened(events)
        for kind, count in Counts(map(type, events)).items():
            self._event(kind.__name__).inc(count)
        trained, credited = list[ev.StepsTrained](), list[ev.StudyCredited]()
        for event in events:
            if type(event) not in _COUNTED:
                continue
            match event:
                case ev.StepsTrained():
                    trained.append(event)
                    self._time(event)
                case ev.StudyCredited():
                    credited.append(event)
                case ev.PathFailed() if not event.died:  # else it was counted when its worker went
                    self._stage_results.labels("failed", event.failure.value).inc()
                case ev.LeaseStateChanged():
                    self._lease_changed(event)
                case ev.CheckpointPublished():
                    self._checkpoint_bytes.inc(event.size_bytes)
                case ev.CheckpointLost():
                    lost = self._corrupt if event.reason.startswith("corrupt") else self._missing
                    lost.inc()
        if trained:
            self._trained(trained)
        if credited:
            self._credited(credited)

    def _trained(self, events: Sequence[ev.StepsTrained]) -> None:
        self._steps.inc(sum(event.stop - event.start for event in events))
        self._step_second("training").inc(sum(event.train_seconds for event in events))
        self._step_second("evaluation").inc(sum(event.evaluate_seconds for event in events))

    def _time(self, event: ev.StepsTrained) -> None:
        before = self._clock.trained(event.fence, event.node, event.train_seconds + event.evaluate_seconds)
        if before is not None:
            self._stage_seconds.observe(before)
            self._stage_result("trained", "").inc()

    def _credited(self, events: Sequence[ev.StudyCredited]) -> None:
        used = lost = used_gpus = lost_gpus = 0.0
        for event in events:
            share = event.steps_retrained / event.steps_trained if event.steps_trained else 0.0
            used += event.billed * (1.0 - share)
            lost += event.billed * share
            used_gpus += event.billed_gpus * (1.0 - share)
            lost_gpus += event.billed_gpus * share
        self._slot_second("used").inc(used / MICROSECONDS)
        self._slot_second("lost").inc(lost / MICROSECONDS)
        self._gpu_second("used").inc(used_gpus / MICROSECONDS)
        self._gpu_second("lost").inc(lost_gpus / MICROSECONDS)

    def _lease_changed(self, event: ev.LeaseStateChanged) -> None:
        if event.state is LeaseState.ORPHANED:
            self._expired.inc()
        if event.state is LeaseState.TRAINING:  # it goes on after a silence
            return
        seconds = self._clock.ended(event.fence)
        if seconds is None:
            return
        self._stage_seconds.observe(seconds)
        if event.state in RESULTS:
            self._stage_result(RESULTS[event.state], "").inc()

    def look_at(self, engine: Engine) -> None:
        """Sets the gauges to what the engine holds now."""
        for seconds, gpu_seconds in self._gauges.look_at(engine):
            self._slot_seconds.labels("saved").inc(seconds)
            self._gpu_seconds.labels("saved").inc(gpu_seconds)
