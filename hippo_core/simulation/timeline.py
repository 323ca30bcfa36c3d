"""When what was trained for whom, and what it cost: of a study that was exported."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from hippo_core.engine.states import ENDED_TRIAL_STATES, LeaseState
from hippo_core.simulation.recorded_parts import RecordedLease, RecordedTrial
from hippo_core.simulation.recording import Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """Steps of a node that a lease trained, and when: seconds since the study's submission.

    The rows know when a lease began and ended, and how long each of its stretches took. These are laid one after the
    other: of a path that came to its end, the last one ends where saving began, as starting may have taken long; of one
    that was lost, the first begins where a slot has started on average.

    Attributes:
        lease: The lease.
        node: The node.
        start: The first step.
        stop: One past the last.
        fresh: The first step that nobody had trained before; ``stop`` where all had been.
        begin: When the first step began.
        end: When the last one ended.
    """

    lease: RecordedLease
    node: int
    start: int
    stop: int
    fresh: int
    begin: float
    end: float

    def moment(self, step: int) -> float:
        """When the state of a step was there; of ``start``, when training began."""
        done = (step - self.start) / (self.stop - self.start)
        return self.begin + done * (self.end - self.begin)


@dataclass(frozen=True, slots=True, kw_only=True)
class Savings:
    """Steps by the time, straight lines in between.

    Attributes:
        seconds: Since the study's submission.
        trained: Steps trained until then.
        alone: Steps that trials had reached by then: what training each of them alone would have taken.
    """

    seconds: tuple[float, ...]
    trained: tuple[float, ...]
    alone: tuple[float, ...]


class Timeline:
    """What an export tells of times.

    Args:
        recording: The study.
    """

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """What was trained, in the order of the leases."""
        by_fence: dict[int, list[tuple[int, int, int, float]]] = defaultdict(list)
        for node, found in self._recording.training.items():
            for start, stop, train, evaluate, fence in found:
                if fence in self._recording.leases:
                    by_fence[fence].append((start, node, stop, train + evaluate))
        trained: dict[int, int] = {}
        laid: list[Stretch] = []
        for fence in sorted(by_fence):
            lease = self._recording.leases[fence]
            for start, node, stop, begin, end in self._laid(lease, sorted(by_fence[fence])):
                fresh = min(stop, max(start, trained.get(node, 0)))
                trained[node] = max(stop, trained.get(node, 0))
                laid.append(
                    Stretch(lease=lease, node=node, start=start, stop=stop, fresh=fresh, begin=begin, end=end)
                )
        return tuple(laid)

    def _laid(
        self, lease: RecordedLease, parts: Sequence[tuple[int, int, int, float]]
    ) -> Iterator[tuple[int, int, int, float, float]]:
        """Parts of a lease with their times, which are within those of the lease."""
        took = sum(seconds for *_, seconds in parts)
        begin, scale = lease.granted + (self._recording.start_seconds or 0.0), 1.0
        if lease.ended is not None:
            if lease.state in (LeaseState.COMPLETED, LeaseState.RELEASED):
                begin = lease.ended - took - (self._recording.save_seconds or 0.0)
            begin = max(lease.granted, min(begin, lease.ended - took))
            scale = min(1.0, (lease.ended - begin) / took) if took else 1.0
        for start, node, stop, seconds in parts:
            end = begin + seconds * scale
            yield start, node, stop, begin, end
            begin = end

    @cached_property
    def over(self) -> float:
        """When the last of the trials ended; where one has not, when the last thing happened that is recorded."""
        ends = [self.ended(trial) for trial in self._recording.trials]
        known = [end for end in ends if end is not None]
        return max(known) if known and len(known) == len(ends) else self.end

    @cached_property
    def end(self) -> float:
        """When the last thing happened that is recorded, also for other studies."""
        return max(
            [
                0.0,
                *(each.seconds for each in self._recording.arrivals),
                *(lease.ended or lease.granted for lease in self._recording.leases.values()),
                *(each.end for each in self.stretches),
            ]
        )

    def begun(self, trial: RecordedTrial) -> float | None:
        """When the first step of a trial was trained; where it was there already, when the trial was made.

        When the end of one became known is known exactly, and its steps came one after the other before that. None:
        nothing of it is there.
        """
        if not trial.step:
            return None
        stretches = [
            stretch
            for node, start, stop in trial.path
            for stretch in self._by_node.get(node, ())
            if stretch.start < stop and start < stretch.stop
        ]
        if not stretches:
            return self._created(trial)
        first = min(stretches, key=lambda each: each.begin)
        begin, known = first.begin, self._last_arrival.get(trial.number)
        if known is not None and trial.state in ENDED_TRIAL_STATES:
            begin = max(first.lease.granted, min(begin, known - self.seconds(trial)[0]))
        return max(self._created(trial), begin)

    def ended(self, trial: RecordedTrial) -> float | None:
        """When the last that a trial came to was known; None: it has not ended."""
        if trial.state not in ENDED_TRIAL_STATES:
            return None
        return max(self._last_arrival.get(trial.number, 0.0), self.begun(trial) or self._created(trial))

    def moment(self, trial: RecordedTrial, step: int) -> float | None:
        """When the state of a trial at a step was there; None: nobody recorded it."""
        for node, start, stop in trial.path:
            if start < step <= stop:
                for stretch in self._by_node.get(node, ()):
                    if stretch.start < step <= stretch.stop:
                        # What a trial came to was known when it ended, so that its states were there.
                        ended = self.ended(trial)
                        return min(stretch.moment(step), math.inf if ended is None else ended)
        return None

    def seconds(self, trial: RecordedTrial) -> tuple[float, float]:
        """Of slots, what training the steps of a trial took: all of them, and those that other trials have, too."""
        whole = shared = 0.0
        for node, start, stop in trial.path:
            furthest = self._furthest_other(node, trial.number)
            whole += self._took(node, start, stop)
            shared += self._took(node, start, min(stop, furthest))
        return whole, shared

    def trials_through(self, node: int, step: int) -> int:
        """How many trials have a step of a node."""
        return sum(step < stop for stop in self._stops.get(node, {}).values())

    def savings(self) -> Savings:
        """How the steps trained for the study, and those that trials have reached, grew.

        The last of each are the study's counts. How they grew is told by what leases trained while a trial was there
        that goes through it: what was trained earlier, later, or beyond all trials, was trained for another study. In
        proportion to it stands what no lease tells of: steps that were trained for trials when these were stopped, of
        probes, and of repeats.
        """
        trained: list[tuple[float, float, int]] = []
        alone: list[tuple[float, float, int]] = []
        created = {each.number: self._created(each) for each in self._recording.trials}
        ended = {each.number: self.ended(each) for each in self._recording.trials}
        for stretch in self.stretches:
            stops = self._stops.get(stretch.node, {})
            there = [
                created[trial]
                for trial, stop in stops.items()
                if stop > stretch.start and ((until := ended[trial]) is None or stretch.begin < until)
            ]
            if there:
                last = min(stretch.stop, max(stops.values()))
                begin, end = max(stretch.begin, min(there)), stretch.moment(last)
                if end > begin:
                    trained.append((begin, end, last - stretch.start))
            for trial, stop in stops.items():
                last = min(stop, stretch.stop)
                if last <= stretch.fresh:
                    continue
                begin, end = stretch.moment(stretch.fresh), stretch.moment(last)
                alone.append((max(begin, created[trial]), max(end, created[trial]), last - stretch.fresh))
        moments = sorted({0.0, self.over, *(time for line in (*trained, *alone) for time in line[:2])})
        # A moment at which something jumps is there twice: before and after.
        jumps = {begin for begin, end, _ in (*trained, *alone) if end <= begin}
        moments = [each for moment in moments for each in [moment] * (1 + (moment in jumps))]
        return Savings(
            seconds=tuple(moments),
            trained=_grown(moments, trained, self._recording.steps_trained),
            alone=_grown(moments, alone, self._recording.steps_without_sharing),
        )

    def _created(self, trial: RecordedTrial) -> float:
        return self._recording.creations.get(trial.number, 0.0)

    @cached_property
    def _last_arrival(self) -> Mapping[int, float]:
        return {each.trial: each.seconds for each in self._recording.arrivals if not each.probe}

    @cached_property
    def _by_node(self) -> Mapping[int, Sequence[Stretch]]:
        found: dict[int, list[Stretch]] = defaultdict(list)
        for stretch in self.stretches:
            found[stretch.node].append(stretch)
        return found

    @cached_property
    def _stops(self) -> Mapping[int, Mapping[int, int]]:
        """By node, how far each trial goes in it."""
        found: dict[int, dict[int, int]] = defaultdict(dict)
        for trial in self._recording.trials:
            for node, _, stop in trial.path:
                found[node][trial.number] = stop
        return found

    @cached_property
    def _two_furthest(self) -> Mapping[int, Sequence[tuple[int, int]]]:
        return {
            node: sorted(((stop, trial) for trial, stop in stops.items()), reverse=True)[:2]
            for node, stops in self._stops.items()
        }

    def _furthest_other(self, node: int, number: int) -> int:
        """How far another trial goes in a node; 0: none does."""
        return next((stop for stop, trial in self._two_furthest.get(node, ()) if trial != number), 0)

    def _took(self, node: int, start: int, stop: int) -> float:
        """What the steps of a node took when they were first trained."""
        total, done = 0.0, start
        for first, last, train, evaluate, _ in self._recording.training.get(node, ()):
            begin, end = max(first, done), min(last, stop)
            if begin < end:
                total += (train + evaluate) * (end - begin) / (last - first)
                done = end
        return total


def _grown(
    moments: Sequence[float], lines: Sequence[tuple[float, float, int]], whole: int
) -> tuple[float, ...]:
    """At each moment what has grown until then, ``whole`` at the last: each line from its begin to its end, evenly."""
    first = {moment: index for index, moment in reversed([*enumerate(moments)])}
    last = {moment: index for index, moment in enumerate(moments)}
    slopes, jumps = [0.0] * (len(moments) + 1), [0.0] * (len(moments) + 1)
    for begin, end, amount in lines:
        if end > begin:
            slopes[first[begin]] += amount / (end - begin)
            slopes[first[end]] -= amount / (end - begin)
        else:
            jumps[last[begin]] += amount
    total, slope, before = 0.0, 0.0, moments[0]
    told = sum(amount for *_, amount in lines)
    scale = whole / told if told else 0.0
    found = []
    for index, moment in enumerate(moments):
        total += slope * (moment - before) + jumps[index]
        slope, before = slope + slopes[index], moment
        found.append(round(total * scale, 6))
    return (*found[:-1], float(whole))
