"""What was known when: the steps that were trained, by the barriers of the policies.

A barrier of a study is a moment at which it had nothing asked for any more and asked for something new: what comes
after was not known before, and nothing of it could begin. So the steps of each phase between barriers have a lower
bound of their own, and the study takes at least the sum, counted from when it came.

Studies that share take each other's steps over. Two bounds hold for several: that of all studies as one, whose barriers
are the moments at which none of them had anything asked for; and that of each study by itself, of the steps that no
other study ever asked for. The larger one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from hippo_core.engine.events import Event, RequestClosed, RequestOpened, StudySubmitted
from hippo_core.lease import State
from hippo_core.plan import Node
from hippo_core.simulation.bounds import Work
from hippo_core.simulation.costs import Clockwork

ALL = 0
"""Stands for all studies together; studies are numbered from 1."""

StudyPhase = tuple[int, int]
"""A study, or ``ALL``, and its phase."""

Asker = tuple[int, int, int]
"""A study, its phase, and the phase of all studies."""


@dataclass(slots=True)
class _Course:
    """The barriers of a study, or of all.

    Attributes:
        began: When it came, in ticks.
        phase: How many barriers there were.
        open: The trials with an open request.
    """

    began: int
    phase: int = 0
    open: dict[tuple[int, int], None] = field(default_factory=dict)

    def ask(self, trial: tuple[int, int]) -> None:
        """A request is opened."""
        if not self.open:
            self.phase += 1
        self.open[trial] = None


class Phases:
    """Follows the events of an engine.

    Args:
        nodes: The engine's.
    """

    def __init__(self, nodes: Mapping[int, Node]) -> None:
        self._nodes = nodes
        self._courses: dict[int, _Course] = {}
        self._asked: dict[int, dict[Asker, int]] = {}  # by node and asker: the furthest state

    def note(self, event: Event, now: int) -> None:
        """Takes an event in, in order and at its time."""
        match event:
            case StudySubmitted():
                self._courses.setdefault(ALL, _Course(now))
                self._courses[event.study] = _Course(now)
            case RequestOpened():
                trial = (event.study, event.trial)
                for study in (ALL, event.study):
                    self._courses[study].ask(trial)
                asker = (event.study, self._courses[event.study].phase, self._courses[ALL].phase)
                self._ask(self._nodes[event.node], event.step, asker)
            case RequestClosed():
                for study in (ALL, event.study):
                    self._courses[study].open.pop((event.study, event.trial), None)
            case _:
                return

    def count(self) -> int:
        """The most phases that a study had, or all studies together."""
        return max((course.phase for course in self._courses.values()), default=0)

    def bound(
        self,
        of_phase: Callable[[Sequence[Work], int], int],
        slots: int,
        work: Mapping[StudyPhase, Sequence[Work]],
    ) -> int:
        """The lower bound of the time of the last study's end, in ticks.

        Args:
            of_phase: The bound of the steps of one phase on some slots.
            slots: How many there are.
            work: All steps.
        """
        bounds = dict.fromkeys(self._courses, 0)
        for (study, _), steps in work.items():
            bounds[study] += of_phase(steps, slots)
        return max(
            (self._courses[study].began + bound for study, bound in bounds.items() if bound), default=0
        )

    def _ask(self, node: Node, step: int, asker: Asker) -> None:
        for each in node.ancestry():
            askers = self._asked.setdefault(each.id, {})
            askers[asker] = max(askers.get(asker, 0), step)
            step = each.start

    def work(self, clockwork: Clockwork, evaluate_every: Mapping[int, int]) -> dict[StudyPhase, list[Work]]:
        """The steps that were trained, by study and phase that they were first asked for in.

        Args:
            clockwork: What steps and evaluations take.
            evaluate_every: By plan: the states that are evaluated are its multiples.
        """
        found: dict[StudyPhase, list[Work]] = {}
        ends: dict[StudyPhase, dict[State, int]] = {}
        for number in sorted(self._asked, key=lambda each: (self._nodes[each].start, each)):
            node = self._nodes[number]
            base = (node.parent.id if node.parent is not None else number, node.start)
            for step, phases in self._steps(node):
                evaluation = clockwork.evaluate if (step + 1) % evaluate_every[node.plan] == 0 else 0
                duration = clockwork.step(node.laws, step) + evaluation
                for phase in phases:
                    known = ends.setdefault(phase, {})
                    earliest = known.get(base, 0)
                    found.setdefault(phase, []).append(Work(earliest, duration))
                    known[number, step + 1] = earliest + duration
                base = (number, step + 1)
        return found

    def _steps(self, node: Node) -> Iterator[tuple[int, list[StudyPhase]]]:
        """The steps of a node that were trained, with the phases that each counts in."""
        askers = self._asked[node.id]
        last = 0
        phases: list[StudyPhase] = []
        for step in range(node.start, min(node.trained, max(askers.values()))):
            if step >= last:
                there = {asker: furthest for asker, furthest in askers.items() if furthest > step}
                last = min(there.values())
                phases = [(ALL, min(together for _, _, together in there))]
                studies = {study for study, _, _ in there}
                if len(studies) == 1:
                    phases.append((studies.pop(), min(phase for _, phase, _ in there)))
            yield step, phases
