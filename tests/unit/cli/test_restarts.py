from __future__ import annotations

from hippo_client.local.restarts import RestartDelays


def test_at_once_then_half_a_second_doubling_to_five() -> None:
    delays = RestartDelays()
    assert not delays.is_waiting
    assert [delays.died() for _ in range(7)] == [0.0, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert delays.is_waiting


def test_a_step_committed_since_the_death_starts_over() -> None:
    delays = RestartDelays()
    delays.died()
    delays.died()
    delays.committed(500)
    assert delays.died() == 1.0, "those 500 were committed before"
    delays.committed(500)
    delays.committed(501)
    assert not delays.is_waiting
    assert delays.died() == 0.0


def test_a_server_that_counts_anew_does_not_hide_progress() -> None:
    delays = RestartDelays()
    delays.died()
    delays.committed(500)
    delays.committed(0)
    assert delays.is_waiting
    delays.committed(1)
    assert not delays.is_waiting
