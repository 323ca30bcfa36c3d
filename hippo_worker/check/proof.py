"""The order of experiments that prove a trainer, or show what does not survive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from hippo_worker.check.alterations import CLOCK, PROCESSORS
from hippo_worker.check.course import Course
from hippo_worker.check.experiment import Experiment, Result
from hippo_worker.check.judgement import (
    Problem,
    judge_apply,
    judge_evaluation,
    judge_failure,
    judge_repeat,
    judge_resumed,
    judge_saving,
)
from hippo_worker.check.processes import ExperimentDied, Zygote, Zygotes, together

OTHER_HASH_SEED = 4_242


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstance:
    """Something that a deterministic trainer does not depend on."""

    alterations: tuple[str, ...] = ()
    hash_seed: int = 0
    other_addresses: bool = False
    cause: str = ""
    remedy: str = ""


CIRCUMSTANCES = (
    Circumstance(
        alterations=(CLOCK,),
        cause="The training depends on the clock.",
        remedy="Take nothing from time or datetime into data, seeds or order.",
    ),
    Circumstance(
        alterations=(PROCESSORS,),
        cause="The training depends on the number of processors.",
        remedy="Take the number from options, or from Resources(cpus=), and not from os.cpu_count().",
    ),
    Circumstance(
        hash_seed=OTHER_HASH_SEED,
        cause="The training depends on hash(), or on the order of a set of text.",
        remedy="Sort what comes out of a set, and do not seed from hash().",
    ),
    Circumstance(
        other_addresses=True,
        cause="The training depends on addresses in memory: on id(), or on the order of a set of objects.",
        remedy="Sort what comes out of a set, and do not use id() for order or seeds.",
    ),
)
ALL_AT_ONCE = Circumstance(
    alterations=(CLOCK, PROCESSORS),
    hash_seed=OTHER_HASH_SEED,
    other_addresses=True,
    cause="It depends on its circumstances.",
)


class Proof:
    """Experiments on one trainer.

    Args:
        base: Code, program, folders and device; its values are replaced by the courses.
        courses: What to train; the first is proved in full.
        folder: A folder of its own for states and results.
        zygotes: Where processes come from.
    """

    def __init__(self, base: Experiment, courses: list[Course], folder: Path, zygotes: Zygotes) -> None:
        self._zygotes = zygotes
        self._courses = courses
        self._folder = folder
        self._base = replace(base, values=courses[0], saved=folder / "states")
        self._count = 0
        cpus = base.program.resources.cpus
        self._at_once = max(1, min(4, (os.cpu_count() or 1) // cpus)) if base.device == "cpu" else 1

    def run(self) -> Iterator[tuple[str, list[Problem]]]:
        """Each check's name with what it found; ends after one that makes the others meaningless."""
        steps = len(self._base.values)
        for each in (Circumstance(), ALL_AT_ONCE):
            # Both import torch meanwhile, the second while the first is at work.
            self._zygote_of(each).start()
        try:
            saved = replace(self._base, save=True, warm=tuple(range(steps - 1, -1, -1)))
            reference, plain = self._together([saved, self._base])
            found = self._judge_training(reference, plain)
            yield "train", found
            if found:
                return
            found = self._judge_saving(reference, plain)
            yield "save", found
            if found:
                return
            found = self._judge_circumstances(plain)
            yield "repeat", found
            if found:
                return
            yield from self._judge_trace(reference)
        except ExperimentDied as error:
            yield (
                "train",
                [Problem(check="train", step=0, message=f"{error}.", remedy="See what it printed.")],
            )

    def _judge_training(self, reference: Result, plain: Result) -> list[Problem]:
        if len(reference.runs) > 1:
            start = reference.runs[-1].start
            doing = f"After loading the state at step {start}" if start else "Training another trial"
            found = [judge_failure(reference, "warm", doing)]
        else:
            found = [judge_failure(reference, "train", "")]
        found += [judge_failure(plain, "train", "")] if found == [None] else []
        for course in self._courses[1:]:
            (other,) = self._together([replace(self._base, values=course)])
            found.append(judge_failure(other, "train", ""))
        return _those(found)

    def _judge_saving(self, reference: Result, plain: Result) -> list[Problem]:
        found = judge_saving(reference, plain)
        if found is None:
            return []
        (again,) = self._together([self._base])
        differing = judge_repeat(plain, again, "Two equal runs differ.", _UNSEEDED)
        if differing is not None:
            return [differing]
        # Saving is an innocent difference where any would do: it too moves what is made afterwards in memory.
        return self._judge_circumstances(plain) or [found]

    def _judge_circumstances(self, plain: Result) -> list[Problem]:
        altered = self._under(ALL_AT_ONCE)()
        if judge_repeat(plain, altered, "", "") is None and not altered.failure:
            return []
        singles = together([self._under(each) for each in CIRCUMSTANCES], self._at_once)
        pairs = list(zip(CIRCUMSTANCES, singles, strict=True))
        *causes, addresses = [judge_repeat(plain, result, each.cause, each.remedy) for each, result in pairs]
        # What depends on addresses differs also where the hashes do, as that is another process.
        named = [addresses] if addresses is not None else _those(causes)
        return _those(named) or _those(
            [judge_failure(altered, "repeat", ""), judge_repeat(plain, altered, ALL_AT_ONCE.cause, "")]
        )

    def _judge_trace(self, reference: Result) -> Iterator[tuple[str, list[Problem]]]:
        starts = range(1, len(self._base.values))
        without, again, *fresh = self._together(
            [
                replace(self._base, evaluate=False),
                replace(self._base, apply_again=True),
                *[replace(self._base, start=start) for start in starts],
            ]
        )
        yield "evaluate", _those([judge_failure(without, "evaluate", "Without evaluations") or
                                  judge_evaluation(reference, without)])  # fmt: skip
        yield "apply", _those([judge_failure(again, "apply", "With apply() called twice") or
                               judge_apply(reference, again)])  # fmt: skip
        resumed = []
        for start, result in zip(starts, fresh, strict=True):
            doing = f"Going on from the state at step {start} in a fresh process"
            resumed.append(
                judge_failure(result, "fresh", doing)
                or judge_resumed(reference, result.runs[0], result, True)
            )
        yield "fresh", _those(resumed)[:1]
        warm = [judge_resumed(reference, run, reference, False) for run in reference.runs[1:]]
        yield "warm", _those(warm)[:1]

    def _together(self, experiments: list[Experiment]) -> list[Result]:
        zygote = self._zygotes.get()
        return together(
            [partial(zygote.carry_out, each, self._answer()) for each in experiments], self._at_once
        )

    def _under(self, circumstance: Circumstance) -> Callable[[], Result]:
        experiment = replace(self._base, alterations=circumstance.alterations)
        return partial(self._zygote_of(circumstance).carry_out, experiment, self._answer())

    def _zygote_of(self, circumstance: Circumstance) -> Zygote:
        return self._zygotes.get(circumstance.hash_seed, int(circumstance.other_addresses))

    def _answer(self) -> Path:
        self._count += 1
        return self._folder / f"result{self._count}.json"


_UNSEEDED = (
    "Look for a generator without a seed (numpy.random.default_rng(), random.SystemRandom, os.urandom), a clock, "
    "id(), the order of a set, or threads."
)


def _those(found: Sequence[Problem | None]) -> list[Problem]:
    return [problem for problem in found if problem is not None]
