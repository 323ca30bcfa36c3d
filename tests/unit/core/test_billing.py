"""What steps cost is divided equally among those who wait for them, to the microsecond."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from hippo_core.billing import divide

OTHERWISE = 9


def exactly(
    amount: int, start: int, stop: int, needs: dict[int, int], users: dict[int, str]
) -> dict[int, Fraction]:
    """Step by step: who needs it, then which studies of theirs."""
    each = Fraction(amount, stop - start)
    found: dict[int, Fraction] = {}
    for step in range(start, stop):
        here = [study for study, furthest in needs.items() if furthest > step]
        payers = {users[study] for study in here}
        for study in here:
            theirs = [other for other in here if users[other] == users[study]]
            found[study] = found.get(study, Fraction(0)) + each / len(payers) / len(theirs)
        if not here:
            found[OTHERWISE] = found.get(OTHERWISE, Fraction(0)) + each
    return found


@given(
    st.integers(0, 10**9),
    st.integers(0, 20),
    st.integers(1, 12),
    st.dictionaries(st.integers(1, 6), st.integers(1, 40), max_size=6),
    st.lists(st.sampled_from(["ada", "bo", "cy"]), min_size=7, max_size=7),
)
def test_bills_add_up_and_each_is_within_a_microsecond_of_its_part(
    amount: int, start: int, length: int, needs: dict[int, int], whose: list[str]
) -> None:
    users = {study: whose[study] for study in needs}
    found = divide(amount, start, start + length, needs, users, OTHERWISE)
    expected = exactly(amount, start, start + length, needs, users)
    assert sum(found.values()) == amount
    assert set(found) == set(expected)
    for study, billed in found.items():
        assert abs(billed - expected[study]) < 1


def test_two_users_pay_half_each_however_many_studies_they_have() -> None:
    users = {1: "ada", 2: "ada", 3: "bo"}
    assert divide(1200, 0, 3, {1: 3, 2: 3, 3: 3}, users, OTHERWISE) == {1: 300, 2: 300, 3: 600}


def test_who_needs_the_first_steps_only_pays_for_no_others() -> None:
    assert divide(90, 3, 6, {1: 4, 2: 6}, {1: "ada", 2: "bo"}, OTHERWISE) == {1: 15, 2: 75}


def test_what_nobody_needs_is_paid_by_the_study_of_the_path() -> None:
    assert divide(90, 3, 6, {}, {}, OTHERWISE) == {OTHERWISE: 90}
    assert divide(90, 3, 6, {1: 4}, {1: "ada"}, OTHERWISE) == {1: 30, OTHERWISE: 60}
