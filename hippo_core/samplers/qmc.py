"""Quasi-random points, which fill the space more evenly than random ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, islice
from typing import Any

from hippo_core.arguments import worded
from hippo_core.errors import InvalidStudy
from hippo_core.program import canonical_json
from hippo_core.samplers.random import TRIES
from hippo_core.samplers.sampler import Sampler
from hippo_core.space import Space
from hippo_core.values import Scalar

BITS = 53  #: of a float's fraction
FURTHER = 1_000_003  #: from one try of a trial to the next; above the number of a study's trials
REMEMBERED = 8192


@dataclass(frozen=True, slots=True)
class Qmc(Sampler):
    """The randomised Halton sequence.

    Owen: *A randomized Halton algorithm in R* (arXiv 1706.02808), algorithm 1: domain j has the j-th prime b as its
    base; the digits of the point's number in base b, leading zeros included, are permuted, each place by a random
    permutation of its own (pi_jk), and mirrored at the point. The permutations follow from the study's seed and the
    domain's name through SHA-256, so that any trial's point can be computed alone.
    """

    def point(self, space: Space, seed: int, number: int) -> Mapping[str, Scalar]:
        """Point ``number`` of the sequence; where it does not satisfy the constraints, one from much further on."""
        bases = dict(zip(sorted(space.domains), primes(), strict=False))
        for index in islice(count(number, FURTHER), TRIES):
            found = space.draw(lambda name, index=index: halton(index, bases[name], seed, name))  # type: ignore[misc]
            if space.satisfied(found):
                return found
        raise InvalidStudy(
            "space",
            f"{TRIES} tries for trial {number} do not satisfy the constraints",
            "Draw closer to them.",
        )

    def count(self, space: Space) -> int | None:
        """As many as wanted."""
        return None

    def check(self, space: Space, trials: int) -> None:
        """There are as many as wanted."""

    def to_json(self) -> dict[str, Any]:
        """``{"sampler": "qmc"}``."""
        return {"sampler": "qmc"}


def halton(index: int, base: int, seed: int, name: str) -> float:
    """The number of [0, 1) at an index of one domain's sequence."""
    value, weight, rest = 0.0, 1.0, index
    for place in range(math.ceil(BITS / math.log2(base))):
        rest, digit = divmod(rest, base)
        weight /= base
        value += _permutation(seed, name, base, place)[digit] * weight
    return min(value, 1.0 - 2.0**-BITS)


def primes() -> Iterator[int]:
    """2, 3, 5, ..."""
    found: list[int] = []
    for each in count(2):
        if all(each % prime for prime in found):
            found.append(each)
            yield each


@lru_cache(maxsize=REMEMBERED)
def _permutation(seed: int, name: str, base: int, place: int) -> tuple[int, ...]:
    words = canonical_json(("qmc", seed, name, place))

    def rank(digit: int) -> bytes:
        return hashlib.sha256(f"{words} {digit}".encode()).digest()

    return tuple(sorted(range(base), key=rank))


@worded("samplers.qmc", {"seed": "seed, which is the study's", "qmc_type": "no argument: it is Halton's"})
def qmc() -> Qmc:
    """Quasi-random points: as ``samplers.random()``, but spread more evenly; the study's seed decides them."""
    return Qmc()
