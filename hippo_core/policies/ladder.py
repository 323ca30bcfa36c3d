"""Ladders and brackets: at which steps a trial is compared, and where it enters.

After L. Li et al., "Hyperband: A Novel Bandit-Based Approach to Hyperparameter Optimization" (JMLR 18(185), 2018),
section 3, algorithm 1. Their symbols: r is ``min_steps``, R is ``max_steps``, eta is ``reduction_factor``; a ladder
has s_max + 1 rungs. Their bracket s is bracket s_max - s here: bracket b enters at rung b, so that bracket 0 compares
most often and the last one not at all. A bracket is dealt its share of n_s = ceil((s_max + 1) / (s + 1) * eta**s).
"""

from __future__ import annotations

from hippo_core.errors import InvalidStudy
from hippo_core.policies.policy import round_up


def rungs(min_steps: int, reduction_factor: int, max_steps: int, evaluate_every: int) -> tuple[int, ...]:
    """The steps at which trials are compared: min_steps * reduction_factor**k below max_steps, and max_steps.

    Args:
        min_steps: The first of them.
        reduction_factor: The ratio from one to the next.
        max_steps: The last of them, a multiple of ``evaluate_every``.
        evaluate_every: They are rounded up to its multiples.
    """
    found: list[int] = []
    step = min_steps
    while round_up(step, evaluate_every) < max_steps:
        rounded = round_up(step, evaluate_every)
        if not found or rounded > found[-1]:
            found.append(rounded)
        step *= reduction_factor
    return (*found, max_steps)


class Brackets:
    """Deals trials out to brackets as they come, so that each has its share at any time.

    Args:
        reduction_factor: That of the ladders.
        most: How many brackets there are at most; None: one for each rung.
    """

    def __init__(self, reduction_factor: int, most: int | None) -> None:
        self._reduction_factor = reduction_factor
        self._most = most
        self._dealt: dict[int, list[int]] = {}  # by the number of rungs: how many trials each bracket has

    def next(self, rung_count: int) -> int:
        """The bracket of the next trial, whose ladder has so many rungs: the one that lacks most of its share."""
        shares = bracket_shares(self._reduction_factor, rung_count, self._most)
        dealt = self._dealt.setdefault(rung_count, [0] * len(shares))
        total, coming = sum(shares), sum(dealt) + 1
        lacks = [share * coming - total * has for share, has in zip(shares, dealt, strict=True)]
        bracket = lacks.index(max(lacks))
        dealt[bracket] += 1
        return bracket


def bracket_shares(reduction_factor: int, rung_count: int, most: int | None) -> list[int]:
    """n_s of each bracket, the one of most comparisons first."""
    count = rung_count if most is None else min(most, rung_count)
    return [
        -(-rung_count * reduction_factor**above // (above + 1))
        for above in range(rung_count - 1, rung_count - 1 - count, -1)
    ]


def check_ladder(
    name: str,
    min_steps: int,
    reduction_factor: int,
    most_brackets: int | None,
    max_steps: int | None,
    evaluate_every: int,
) -> list[str]:
    """Checks that there is a rung below the last one, and one for each bracket.

    Returns:
        Which rungs are rounded up.

    Raises:
        InvalidStudy: There is no such rung.
    """
    if max_steps is None:
        return _rounding(name, min_steps, reduction_factor, min_steps + 1, evaluate_every)
    first = round_up(min_steps, evaluate_every)
    if first >= max_steps:
        raise InvalidStudy(
            "policy.min_steps",
            f"the first rung, step {first}, must lie below max_steps, {max_steps}",
            "Lower min_steps, raise max_steps, or use policies.full().",
        )
    ladder = rungs(min_steps, reduction_factor, max_steps, evaluate_every)
    if most_brackets is not None and most_brackets > len(ladder):
        raise InvalidStudy(
            "policy.brackets",
            f"{most_brackets} brackets need as many rungs; there are {len(ladder)}: "
            f"{', '.join(map(str, ladder))}",
            f"Give at most {len(ladder)}.",
        )
    return _rounding(name, min_steps, reduction_factor, max_steps, evaluate_every)


def _rounding(name: str, step: int, reduction_factor: int, below: int, every: int) -> list[str]:
    moved = []
    while step < below:
        if step % every:
            moved.append(f"{step} -> {round_up(step, every)}")
        step *= reduction_factor
    if not moved:
        return []
    return [f"{name}'s rungs are rounded up to multiples of evaluate_every={every}: {', '.join(moved)}"]
