"""A day of three users on eight slots, in virtual time: what each had, when, and what fair shares would have been.

``python -m benchmarks.day`` prints the table of docs/explanation/fair-share.md. Ada, of weight 2, submits a large study
in the night and another at noon; Bo submits a study every two hours from eight on; Cy, of weight 1 as Bo, submits short
ones at odd times, and in the evening a long one. The studies of Bo and Cy train the same program, and begin alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from hippo_core import policies, samplers, schedules
from hippo_core.allowance import Allowance
from hippo_core.domain_calls import choice
from hippo_core.engine.decision import EngineSettings
from hippo_core.engine.events import Event, LeaseStopped, StepsTrained, StudyCredited
from hippo_core.objective import Objective
from hippo_core.program import Program
from hippo_core.simulation import Costs, Host, simulate
from hippo_core.space import Space
from hippo_core.study import StudySpec

HOUR = 3600.0
SLOTS = 8
WEIGHTS = {"ada": 2.0, "bo": 1.0, "cy": 1.0}
STEP_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Submission:
    """A study that somebody submits at an hour of the day."""

    user: str
    hour: float
    spec: StudySpec


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time in which the same users had something to train.

    Attributes:
        begin: In seconds.
        end: In seconds.
        there: Who had something to train all the time.
        used: Slot seconds by user.
    """

    begin: float
    end: float
    there: frozenset[str]
    used: dict[str, float]

    @property
    def total(self) -> float:
        """Slot seconds that were used."""
        return sum(self.used.values())


@dataclass(frozen=True, slots=True)
class Day:
    """What came of it.

    Attributes:
        stretches: In order, without gaps.
        billed: Microseconds of slots by user.
        trained: Microseconds of all steps that were trained.
        takeovers: How many paths yielded their slots to another user.
        steps_retrained: How many steps were trained twice for that.
    """

    stretches: tuple[Stretch, ...]
    billed: dict[str, int]
    trained: int
    takeovers: int
    steps_retrained: int


def submissions() -> list[Submission]:
    """Who submits what, when. Cy's first two studies begin as Bo's that run then."""
    bo = [
        Submission("bo", hour, _study(f"bo-{hour:g}", 24, 60, hour / 100))
        for hour in (8.0, 10.0, 12.0, 14.0, 16.0)
    ]
    return [
        Submission("ada", 0.0, _study("night", 200, 100, 0.1, seed=1)),
        *bo,
        Submission("cy", 9.3, _study("cy-9", 12, 30, 0.08)),
        Submission("cy", 12.5, _study("cy-12", 12, 30, 0.12)),
        Submission("cy", 15.2, _study("cy-15", 6, 30, 0.5)),
        Submission("ada", 12.0, _study("noon", 120, 90, 0.05, seed=1)),
        Submission("cy", 17.0, _study("evening", 40, 60, 0.6)),
    ]


def _study(name: str, trials: int, steps: int, rate: float, seed: int = 2) -> StudySpec:
    """Trials that have the first steps in common: as many for all studies that are so long, or half as long."""
    shared = 15 if seed == 2 else 25
    space = Space(
        {"lr": choice([schedules.piecewise([rate, rate / (2 + each)], [shared]) for each in range(trials)])}
    )
    return StudySpec(
        name=name,
        space=space,
        objectives=(Objective(metric="accuracy", maximize=True),),
        max_trials=trials,
        max_steps=steps,
        sampler=samplers.grid(),
        policy=policies.full(),
        program=Program(trainer="trainer:Trainer", code_digest="code", kinds=space.kinds, seed=seed),
    )


def run(given: Sequence[Submission] | None = None, settings: EngineSettings | None = None) -> Day:
    """Runs the day until all that was submitted is trained."""
    given = list(given or submissions())
    events: list[Event] = []
    found = simulate(
        [each.spec for each in given],
        [Host(name="pool", slots=SLOTS)],
        costs=Costs(step_seconds=STEP_SECONDS, save_seconds=1.0, load_seconds=1.0),
        arrivals=[each.hour * HOUR for each in given],
        users=[each.user for each in given],
        allowances={user: Allowance(weight=weight) for user, weight in WEIGHTS.items()},
        settings=settings,
        watch=events.append,
    )
    owners = {each.spec.name: each.user for each in given}
    presence: dict[str, list[tuple[float, float]]] = {}
    for each in given:
        ended = max(span.end / 1e9 for span in found.spans if span.study == each.spec.name)
        presence.setdefault(each.user, []).append((each.hour * HOUR, ended))
    spans = [(span.begin / 1e9, span.end / 1e9, owners[span.study]) for span in found.spans]
    billed: dict[str, int] = {}
    for event in events:
        if isinstance(event, StudyCredited):
            billed[event.user] = billed.get(event.user, 0) + event.billed
    return Day(
        stretches=tuple(_stretches(presence, spans)),
        billed=billed,
        trained=sum(
            round((event.train_seconds + event.evaluate_seconds) * 1_000_000)
            for event in events
            if isinstance(event, StepsTrained)
        ),
        takeovers=sum(isinstance(event, LeaseStopped) and "whose turn" in event.reason for event in events),
        steps_retrained=found.steps_retrained,
    )


def _stretches(
    presence: dict[str, list[tuple[float, float]]], spans: Sequence[tuple[float, float, str]]
) -> Iterator[Stretch]:
    """The day cut where somebody comes or has done."""
    cuts = sorted({time for times in presence.values() for pair in times for time in pair})
    for begin, end in pairwise(cuts):
        there = frozenset(
            user
            for user, times in presence.items()
            if any(first <= begin and end <= last for first, last in times)
        )
        used = dict.fromkeys(WEIGHTS, 0.0)
        for first, last, user in spans:
            used[user] += max(0.0, min(last, end) - max(first, begin))
        yield Stretch(begin, end, there, used)


def fair_share(stretch: Stretch, user: str) -> float:
    """The slots of a user by its weight, of those who had something to train."""
    if user not in stretch.there:
        return 0.0
    return SLOTS * WEIGHTS[user] / sum(WEIGHTS[each] for each in stretch.there)


def table(day: Day) -> str:
    """The stretches of at least ten minutes, as a table in Markdown."""
    lines = [
        "| from | to | has something to train | ada | bo | cy | slots used |",
        "|---|---|---|---|---|---|---|",
    ]
    for stretch in day.stretches:
        seconds = stretch.end - stretch.begin
        if seconds < 600:
            continue
        cells = [
            f"{stretch.used[user] / seconds:.2f} of {fair_share(stretch, user):.2f}"
            if user in stretch.there
            else "-"
            for user in WEIGHTS
        ]
        who = ", ".join(sorted(stretch.there)) or "nobody"
        begin, end = (
            f"{int(time // HOUR):02d}:{int(time % HOUR // 60):02d}" for time in (stretch.begin, stretch.end)
        )
        lines.append(
            f"| {begin} | {end} | {who} | {' | '.join(cells)} | {stretch.total / seconds:.2f} of {SLOTS} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Prints the day."""
    day = run()
    print(table(day))
    hours = {user: round(billed / 3.6e9, 2) for user, billed in sorted(day.billed.items())}
    together, trained = sum(day.billed.values()) / 3.6e9, day.trained / 3.6e9
    print(f"\nSlot hours billed: {hours}; together {together:.2f}, trained {trained:.2f}.")
    print(f"Paths that yielded to another user: {day.takeovers}; steps trained twice: {day.steps_retrained}.")


if __name__ == "__main__":
    main()
