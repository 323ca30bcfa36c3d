"""How the seconds of trained steps are divided among the users who wait for them.

Each step is divided equally among the users who need it, and the part of a user equally among the studies by which
they do. Amounts are whole, so that they add up exactly: what is left over after rounding down goes, one each, to those
who lost most by it (the largest remainders; of equal ones, the lowest study first).
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

MICROSECONDS = 1_000_000


def divide(
    amount: int, start: int, stop: int, needs: Mapping[int, int], users: Mapping[int, str], otherwise: int
) -> dict[int, int]:
    """Divides an amount that steps ``start..stop-1`` took, each as much as another.

    Args:
        amount: What there is to divide, of 0 or more.
        start: The first step.
        stop: One past the last one.
        needs: By study, the furthest state that it needs.
        users: By study, whose it is.
        otherwise: The study that pays for steps that nobody needs.

    Returns:
        By study, in order; together just the amount. Studies that need none of the steps are left out.
    """
    needed = {study: min(stop, furthest) for study, furthest in needs.items() if furthest > start}
    if not needed:
        return {otherwise: amount}
    if len(needed) == 1 and stop in needed.values():
        return dict.fromkeys(needed, amount)
    shares: dict[int, Fraction] = {}
    begin = start
    for end in sorted({*needed.values(), stop}):
        here = [study for study, furthest in needed.items() if furthest >= end]
        part = Fraction(end - begin, stop - start)
        studies: dict[str, list[int]] = {}
        for study in here:
            studies.setdefault(users[study], []).append(study)
        for theirs in studies.values():
            for study in theirs:
                share = part / len(studies) / len(theirs)
                shares[study] = shares.get(study, Fraction(0)) + share
        if not here:
            shares[otherwise] = shares.get(otherwise, Fraction(0)) + part
        begin = end
    exact = {study: amount * shares[study] for study in sorted(shares)}
    found = {study: part.numerator // part.denominator for study, part in exact.items()}
    left = amount - sum(found.values())
    for study in sorted(exact, key=lambda each: (found[each] - exact[each], each))[:left]:
        found[study] += 1
    return found
