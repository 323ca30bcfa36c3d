"""Which checkpoints go first, and what a study keeps."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hippo_core.errors import InvalidStudy
from hippo_core.retention import Held, Keep, Need, first_to_go


def plainly(held: list[Held], excess: int) -> list[int]:
    """The same by brute force: after each that goes, all worths are computed anew from the whole list."""
    gone: list[int] = []
    while excess > 0:
        worths = []
        for index, each in enumerate(held):
            if index in gone or not each.need.may_go:
                continue
            seconds, ancestor = Fraction(each.seconds), each.ancestor
            while ancestor is not None and ancestor in gone:
                seconds += Fraction(held[ancestor].seconds)
                ancestor = held[ancestor].ancestor
            worths.append((each.need.chance * float(seconds) / max(1, each.size_bytes), index))
        if not worths:
            break
        _, least = min(worths)
        gone.append(least)
        excess -= held[least].size_bytes
    return gone


@st.composite
def forests(draw: st.DrawFn) -> list[Held]:
    """Checkpoints in trees, each after its ancestor; whole seconds, whose sums are exact."""
    held: list[Held] = []
    for index in range(draw(st.integers(0, 14))):
        ancestor = draw(st.none() | st.integers(0, index - 1)) if index else None
        held.append(
            Held(
                ancestor=ancestor,
                seconds=float(draw(st.integers(0, 40))),
                size_bytes=draw(st.integers(0, 9)),
                need=draw(st.sampled_from(Need)),
            )
        )
    return held


@given(held=forests(), excess=st.integers(0, 100))
def test_what_goes_first_is_what_brute_force_finds(held: list[Held], excess: int) -> None:
    assert first_to_go(held, excess) == plainly(held, excess)


@given(held=forests())
def test_what_may_not_go_stays_and_all_else_may(held: list[Held]) -> None:
    going = first_to_go(held, 10**9)
    assert sorted(going) == [index for index, each in enumerate(held) if each.need.may_go]


@pytest.mark.parametrize("size", [1, 100])
def test_of_a_chain_what_is_left_is_spread_out(size: int) -> None:
    """Ten states, one second apart: half of them go, and no two neighbours before all others have lost one."""
    held = [
        Held(ancestor=index - 1 if index else None, seconds=1.0, size_bytes=size, need=Need.NOBODY)
        for index in range(10)
    ]
    going = sorted(first_to_go(held, 5 * size))
    assert going == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(
    ("text", "keep"),
    [
        ("best", Keep(best=1)),
        ("best:1", Keep(best=1)),
        ("best:12", Keep(best=12)),
        ("ends", Keep(ends=True)),
        ("all", Keep(all=True)),
    ],
)
def test_keep_is_read_as_it_is_written(text: str, keep: Keep) -> None:
    assert Keep.parse(text) == keep
    assert Keep.parse(str(keep)) == keep


@pytest.mark.parametrize("given_", ["", "best:0", "best:x", "best:-1", "none", "ALL", None, 3, "best:1 "])
def test_what_keep_is_not(given_: object) -> None:
    with pytest.raises(InvalidStudy, match=r'^keep: .* Write "best", "best:3", "ends" or "all"\.$'):
        Keep.parse(given_)
