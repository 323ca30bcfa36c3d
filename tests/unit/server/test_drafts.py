"""When the rows of a draft are worked out: little by little as it is filled, the rest as it is written."""

from __future__ import annotations

from hippo_core.engine.events import StudyRan
from hippo_server.store import Record
from hippo_server.store.draft import MOST_EVENTS, Draft, Reach


def ran(times: int = 1) -> Record:
    """A study has run, so many times."""
    events = (StudyRan(study=1, seconds=0.5),) * times
    return Record(cause="Tick", events=events, answer=None, actor="server")


def filled(draft: Draft, records: int) -> Draft:
    """The draft, with so many records of one event more."""
    for _ in range(records):
        draft.append(ran())
    return draft


def test_rows_are_there_before_the_draft_is_written() -> None:
    """1. A draft is written. 2. The next one's rows are worked out as it is filled. 3. So are those of the one after
    that, though the one before it is not written yet.
    """
    reach = Reach(0, {})
    first = filled(Draft(1, 1), 1)
    second = Draft(1, 2, first)
    first.finish(reach)
    assert [_position(reach, second) for _ in range(3)] == [2, 3, 4]
    third = Draft(1, 3, second)
    assert [_position(reach, third) for _ in range(2)] == [5, 6]
    second.finish(reach)
    third.finish(reach)
    assert reach.position == 6


def _position(reach: Reach, draft: Draft) -> int:
    """How far rows reach when one more event is appended."""
    draft.append(ran())
    return reach.position


def test_what_has_piled_up_is_worked_out_little_by_little() -> None:
    """1. Much is appended while the draft before has no rows. 2. That one is written. 3. Each append works out no more
    than so many events, in order. 4. Whoever writes the draft works out what is left.
    """
    reach, piled = Reach(0, {}), 4 * MOST_EVENTS
    first = filled(Draft(1, 1), 1)
    second = filled(Draft(1, 2, first), piled)
    first.finish(reach)
    assert reach.position == 1
    assert [_position(reach, second) for _ in range(3)] == [1 + MOST_EVENTS * times for times in (1, 2, 3)]
    third = Draft(1, 3, second)
    assert _position(reach, third) == 1 + 3 * MOST_EVENTS
    second.finish(reach)
    assert reach.position == 1 + piled + 3
    assert _position(reach, third) == 1 + piled + 3 + 2


def test_a_large_record_is_worked_out_by_whoever_writes_it() -> None:
    """And so is what comes behind it; one that is just not large is worked out at once."""
    reach = Reach(0, {})
    first = filled(Draft(1, 1), 1)
    second = Draft(1, 2, first)
    first.finish(reach)
    second.append(ran(MOST_EVENTS))
    assert reach.position == 1 + MOST_EVENTS
    second.append(ran(MOST_EVENTS + 1))
    assert _position(reach, second) == 1 + MOST_EVENTS
    second.finish(reach)
    assert reach.position == 1 + 2 * MOST_EVENTS + 2
