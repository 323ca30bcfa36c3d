"""Who has taken on to make which point."""

from __future__ import annotations

from hippo_server.asks import LAPSE_SECONDS, Asks


def test_what_one_has_taken_on_others_do_not_get_until_it_is_answered_or_lapses() -> None:
    """1. Three points are wanted; two askers take them. 2. A third gets none. 3. One is answered, and wanted no more.
    4. A minute later the others are free again.
    """
    asks = Asks()
    first = asks.take(1, "first", 2, 3, 0.0)
    second = asks.take(1, "second", 2, 3, 1.0)
    assert (len(first), len(second)) == (2, 1)
    assert len({*first, *second}) == 3
    assert asks.take(1, "third", 1, 3, 2.0) == []
    assert asks.next_lapse(1) == LAPSE_SECONDS
    asks.answered(first[0])
    assert asks.take(1, "third", 1, 2, 2.0) == []
    assert asks.take(1, "third", 5, 2, LAPSE_SECONDS) == ["third.0"]
    assert asks.take(1, "fourth", 5, 2, LAPSE_SECONDS + 1.0) == ["fourth.0"]
    assert asks.next_lapse(1) == 2 * LAPSE_SECONDS


def test_a_repeated_request_gets_what_it_holds() -> None:
    asks = Asks()
    first = asks.take(1, "first", 2, 3, 0.0)
    assert asks.take(1, "first", 2, 3, 1.0) == first
    asks.answered(first[0])
    assert asks.take(1, "first", 2, 3, 1.0) == first[1:]


def test_studies_are_apart() -> None:
    asks = Asks()
    assert asks.take(1, "first", 9, 2, 0.0) == ["first.0", "first.1"]
    assert asks.take(2, "second", 9, 2, 0.0) == ["second.0", "second.1"]
    assert asks.next_lapse(3) is None


def test_where_fewer_are_wanted_than_are_taken_nobody_gets_any() -> None:
    asks = Asks()
    asks.take(1, "first", 3, 3, 0.0)
    assert asks.take(1, "second", 1, 1, 0.0) == []


def test_what_was_never_asked_is_no_matter() -> None:
    Asks().answered("nothing")
