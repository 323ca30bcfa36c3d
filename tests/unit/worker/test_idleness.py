"""When a worker has had nothing to do for long enough."""

from __future__ import annotations

import pytest

from hippo_worker.idleness import Idleness


def test_it_is_enough_after_the_time_and_not_before() -> None:
    idleness = Idleness(300.0)
    idleness.begin(1000.0)
    assert not idleness.enough(1299.9, leases=0, silent_seconds=0.0)
    assert idleness.enough(1300.0, leases=0, silent_seconds=0.0)


def test_what_happens_meanwhile_lets_it_count_anew() -> None:
    idleness = Idleness(300.0)
    idleness.begin(1000.0)
    idleness.begin(1200.0)
    assert not idleness.enough(1300.0, leases=0, silent_seconds=0.0)
    assert idleness.enough(1500.0, leases=0, silent_seconds=0.0)


@pytest.mark.parametrize(
    ("leases", "silent_seconds"), [(1, 0.0), (0, 0.1)], ids=["holds a lease", "no server"]
)
def test_a_worker_that_holds_something_or_reaches_no_server_is_not_idle(
    leases: int, silent_seconds: float
) -> None:
    idleness = Idleness(300.0)
    idleness.begin(1000.0)
    assert not idleness.enough(9999.0, leases=leases, silent_seconds=silent_seconds)


def test_it_does_not_count_before_a_server_knows_the_worker() -> None:
    assert not Idleness(300.0).enough(9999.0, leases=0, silent_seconds=0.0)


def test_without_a_limit_it_is_never_enough() -> None:
    idleness = Idleness(None)
    idleness.begin(0.0)
    assert not idleness.enough(1e12, leases=0, silent_seconds=0.0)
