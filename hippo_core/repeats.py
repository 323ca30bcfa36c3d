"""Repeats: a point is trained again with other seeds, which differ from step 0 on.

Repeat 0 of a trial is trained with the study's seed, as without repeats, and shares with all trials of the program.
Repeat r is trained with the seed + r. In the search plan that seed is one more value, in force from step 0: so repeats
part there from the others, and share among each other. A worker is told of it as the program's seed, and never as a
hyper-parameter.

A repeat has a number of its own: that of its trial, and above the 32nd bit which repeat it is. So have the repeats of a
probe, whose number has more above these bits (``hippo_core.probes``).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from hippo_core.formulas import Constant
from hippo_core.laws import Law, make
from hippo_core.program import Program
from hippo_core.sequence import Laws, Stretch
from hippo_core.values import Kind

SEED = "(seed)"  #: among the laws of a node, which has it only for repeats above 0
BITS = 32
MOST_REPEATS = 1000
REPEAT_MASK = (1 << 16) - 1 << BITS


def number_of(trial: int, repeat: int) -> int:
    """The number of a repeat of a trial, or of a probe."""
    return repeat << BITS | trial


def trial_of(number: int) -> int:
    """The number of the trial that a repeat, or a probe, belongs to."""
    return number & (1 << BITS) - 1


def repeat_of(number: int) -> int:
    """Which repeat of its trial, or of its probe, it is; 0: the first."""
    return (number & REPEAT_MASK) >> BITS


def first_of(number: int) -> int:
    """The number of the first of the repeats that it is one of: of a trial, or of a probe."""
    return number & ~REPEAT_MASK


def seed_of(seed: int, repeat: int) -> int:
    """The seed of a repeat, given the study's."""
    return (seed + repeat) % 2**32


def seed_schedule(seed: int, repeat: int) -> dict[str, list[Stretch]]:
    """What a repeat's sequence has beside its hyper-parameters."""
    if not repeat:
        return {}
    return {SEED: [(0, make(Constant(seed_of(seed, repeat)), 0, False, Kind.INT))]}


@lru_cache(maxsize=65_536)
def hyperparameter_laws(laws: Laws) -> Laws:
    """The laws of hyper-parameters alone."""
    if SEED not in laws.names:
        return laws
    return Laws.of({name: law for name, law in _by_name(laws).items() if name != SEED})


@lru_cache(maxsize=4096)
def with_seed(program: Program, seed: int) -> Program:
    """The program of a repeat, as a worker is told of it."""
    return replace(program, seed=seed)


def seed_in(laws: Laws) -> int | None:
    """The seed of the repeats that have these laws; None: they are no repeats, or are repeat 0."""
    law = _by_name(laws).get(SEED)
    return None if law is None else int(law.value(0))  # type: ignore[arg-type]


def _by_name(laws: Laws) -> dict[str, Law]:
    return dict(zip(laws.names, laws.laws, strict=True))
