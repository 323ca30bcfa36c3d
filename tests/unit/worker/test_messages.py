"""Frames between daemon and runner."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from hippo_worker.runner import messages

EVERY = (
    messages.Run(fence=1, order_json='{"fence": 123456789012345678901234567890}', logs="/logs/1"),
    messages.Prepare(order_json="{}"),
    messages.Offer(fence=1, node=2, step=3, is_on_path=True),
    messages.Stop(fence=1, save=True, reason="paused"),
    messages.Quit(),
    messages.Ready(),
    messages.Prepared(failure="ValueError: no data"),
    messages.Returned(fence=1),
    messages.Begun(fence=1),
    messages.Steps(fence=1, node=2, start=0, stop=3, train_seconds=0.5, evaluate_seconds=0.25),
    messages.Metrics(fence=1, node=2, step=3, metrics={"a": math.inf}, training={}, evaluated=True),
    messages.Written(
        fence=1, node=2, step=3, folder="/spool/ü", files={"state": [3, "0f"]}, blocked_seconds=0.1
    ),
    messages.NotWritten(fence=1, node=2, step=3, reason="full", full=True),
    messages.Answered(fence=1, node=2, step=3, will=False),
    messages.Trained(fence=1, holds=[2, 3]),
    messages.Failed(fence=1, failure="user", message="m", traceback="t", node=2, step=3),
    messages.Released(fence=1, reason="drained", holds=[2, 3]),
    messages.Settled(fence=1),
)


def test_every_message_comes_back_as_it_was() -> None:
    assert {type(message) for message in EVERY} == set(messages.Message.__args__)
    assert list(messages.FrameReader().messages(messages.encode(EVERY))) == list(EVERY)


@given(st.lists(st.integers(min_value=1, max_value=50), min_size=1), st.integers(min_value=1, max_value=5))
def test_frames_arrive_whole_however_the_bytes_are_cut(cuts: list[int], repeats: int) -> None:
    data = b"".join(messages.encode([message]) for message in EVERY * repeats)
    reader = messages.FrameReader()
    found: list[messages.Message] = []
    position = 0
    for cut in [*cuts, len(data)]:
        found += reader.messages(data[position : position + cut])
        position += cut
    assert found == list(EVERY * repeats)


def test_not_a_number_travels() -> None:
    sent = messages.Metrics(fence=1, node=1, step=1, metrics={"a": math.nan}, training={}, evaluated=True)
    (came,) = messages.FrameReader().messages(messages.encode([sent]))
    assert isinstance(came, messages.Metrics)
    assert math.isnan(came.metrics["a"])
