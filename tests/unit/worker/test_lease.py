"""A lease at its worker: what is said when, and when it is over."""

from __future__ import annotations

import pytest

from hippo_core.engine.commands import (
    AnsweredReport,
    FailedReport,
    ReleasedReport,
    SaveFailedReport,
    StepsReport,
    TrainedReport,
)
from hippo_core.engine.states import FailureClass
from tests.unit.worker.orders import make_lease, said

FAILED = FailedReport(failure=FailureClass.USER, message="m", traceback="", node=1, step=1)


def acknowledge_all(lease: object) -> None:
    outbox = lease.outbox  # type: ignore[attr-defined]
    while (report := outbox.take()) is not None:
        outbox.acknowledge(report.number)


def test_a_trained_path_is_over_when_its_last_save_is_known_and_all_is_acknowledged() -> None:
    lease = make_lease()
    lease.save_begins((1, 3))
    lease.save_ends((1, 3), kept=True)
    lease.say_end(TrainedReport())
    acknowledge_all(lease)
    assert not lease.settled
    assert not lease.over
    lease.save_begins((2, 5))
    assert not lease.settled
    lease.save_ends((2, 5), kept=True)
    assert lease.over


def test_the_end_may_be_saved_before_the_path_is_said_to_be_trained() -> None:
    lease = make_lease(save_points=())
    lease.save_begins((2, 5))
    lease.save_ends((2, 5), kept=True)
    assert lease.settled
    assert not lease.over
    lease.say_end(TrainedReport())
    acknowledge_all(lease)
    assert lease.over


@pytest.mark.parametrize("ending", [FAILED, ReleasedReport(reason="drained")])
def test_another_end_is_over_when_its_runner_says_that_no_more_saves_come(
    ending: FailedReport | ReleasedReport,
) -> None:
    lease = make_lease()
    lease.save_begins((1, 3))
    lease.no_more_saves()
    assert not lease.settled
    lease.save_ends((1, 3), kept=True)
    assert lease.settled
    lease.say_end(ending)
    acknowledge_all(lease)
    assert lease.over


def test_a_path_ends_once() -> None:
    lease = make_lease()
    lease.say_end(TrainedReport())
    lease.say_end(FAILED)
    assert said(lease) == [TrainedReport()]


def test_a_dropped_lease_says_nothing_more() -> None:
    lease = make_lease()
    lease.drop()
    lease.say(StepsReport(node=1, start=0, stop=1, train_seconds=0.0, evaluate_seconds=0.0))
    lease.say_end(TrainedReport())
    assert said(lease) == []
    assert lease.over


@pytest.mark.parametrize("ending", [FAILED, ReleasedReport(reason="drained")])
def test_nothing_is_said_after_such_an_end(ending: FailedReport | ReleasedReport) -> None:
    lease = make_lease()
    lease.say_end(ending)
    lease.say(AnsweredReport(node=1, step=1, will=False))
    assert said(lease) == [ending]


def test_offers_that_the_runner_left_open_are_answered_at_the_end_by_what_was_saved() -> None:
    lease = make_lease(save_points=())
    assert lease.offer((1, 1))
    assert lease.offer((1, 2))
    assert not lease.offer((1, 2))
    assert lease.offer((2, 5))
    lease.say(AnsweredReport(node=1, step=1, will=False))
    lease.save_begins((2, 5))
    lease.say_end(TrainedReport())
    assert said(lease) == [
        AnsweredReport(node=1, step=1, will=False),
        AnsweredReport(node=1, step=2, will=False),
        AnsweredReport(node=2, step=5, will=True),
        TrainedReport(),
    ]


@pytest.mark.parametrize(
    ("state", "will"), [((1, 1), True), ((1, 3), True), ((2, 3), False), ((2, 5), True), ((3, 4), False)]
)
def test_a_path_that_has_not_begun_will_save_whatever_lies_on_it(state: tuple[int, int], will: bool) -> None:
    lease = make_lease()
    lease.offer(state)
    lease.answer(state)
    assert said(lease) == [AnsweredReport(node=state[0], step=state[1], will=will)]
    assert (state in lease.promised) is (will or state in {(1, 3), (2, 5)})


def test_an_answer_that_a_state_will_be_saved_is_not_passed_on_where_it_was_lost() -> None:
    """The runner has written it and knows no more; its publication failed."""
    lease = make_lease()
    lease.save_begins((1, 2))
    lease.save_ends((1, 2), kept=False)
    lease.offer((1, 2))
    lease.say(AnsweredReport(node=1, step=2, will=True))
    assert said(lease) == [AnsweredReport(node=1, step=2, will=False)]
    assert (1, 2) not in lease.promised


def test_a_promised_state_that_was_never_written_is_given_up_when_the_last_save_is_known() -> None:
    """The server would wait for it for ever."""
    lease = make_lease()
    lease.say_end(TrainedReport())
    lease.save_begins((2, 5))
    lease.save_ends((2, 5), kept=True)
    trained, failed = said(lease)
    assert isinstance(trained, TrainedReport)
    assert (failed.node, failed.step) == (1, 3)
    assert lease.settled


def test_a_runner_that_is_gone_saves_nothing_more() -> None:
    lease = make_lease()
    lease.save_begins((1, 3))
    lease.say_end(TrainedReport())
    lease.lost_saves("killed")
    assert said(lease) == [TrainedReport(), SaveFailedReport(node=2, step=5, reason="killed")]
    assert not lease.settled
    lease.save_ends((1, 3), kept=True)
    assert lease.settled


def test_a_state_that_nobody_waits_for_gives_way_to_a_later_one() -> None:
    lease = make_lease()
    for state in ((1, 1), (1, 3), (2, 4)):
        lease.save_begins(state)
    assert lease.is_superseded((1, 1))
    assert not lease.is_superseded((1, 3)), "the server counts on it"
    assert not lease.is_superseded((2, 4))
    lease.save_ends((2, 4), kept=True)
    lease.save_ends((1, 3), kept=True)
    assert not lease.is_superseded((1, 1)), "no later one is waiting"


def test_the_position_is_the_step_that_is_being_trained() -> None:
    lease = make_lease()
    assert lease.position == (1, 0)
    told = ((1, 0, 2, (1, 2)), (1, 2, 3, (2, 3)), (2, 3, 4, (2, 4)), (2, 4, 5, (2, 4)))
    for node, start, stop, position in told:
        lease.say(StepsReport(node=node, start=start, stop=stop, train_seconds=0.0, evaluate_seconds=0.0))
        assert lease.position == position
