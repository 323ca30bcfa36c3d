"""The runner's end of the socket: what is buffered when, and whom an instruction reaches."""

from __future__ import annotations

import json
import queue
import socket
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hippo_storage.manifest import FileEntry
from hippo_worker.hosting.link import OfferSavePoint, StopPath
from hippo_worker.runner import main as runner
from hippo_worker.runner import messages
from hippo_worker.runner.link import FLUSH_COUNT, PathLink, Wire
from hippo_worker.supplies import path_order
from tests.unit.worker.orders import make_lease


class Daemon:
    """The other end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._reader = messages.FrameReader()
        self._came: list[messages.Message] = []

    def say(self, *said: messages.Message) -> None:
        self.connection.sendall(messages.encode(said))

    def hear(self, count: int) -> list[messages.Message]:
        while len(self._came) < count:
            self._came += self._reader.messages(self.connection.recv(1 << 16))
        heard, self._came = self._came[:count], self._came[count:]
        return heard


def opened(wire: Wire, daemon: Daemon) -> PathLink:
    """The link of path 7, whose turn has come."""
    daemon.say(messages.Run(fence=7, order_json="{}", logs="l"))
    wire.orders.get(timeout=30.0)
    link = wire.begin(7, lambda node: None)
    assert link is not None
    return link


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Daemon, queue.Queue[str]]]:
    ours, theirs = socket.socketpair()
    ended: queue.Queue[str] = queue.Queue()
    wire = Wire(ours, on_end=lambda: ended.put("ended"))
    daemon = Daemon(theirs)
    theirs.settimeout(30.0)
    yield wire, daemon, ended
    theirs.close()
    assert ended.get(timeout=30.0) == "ended"
    ours.close()


def test_messages_come_in_order_by_themselves(ends: tuple[Wire, Daemon, queue.Queue[str]]) -> None:
    wire, daemon, _ = ends
    link = opened(wire, daemon)
    link.metrics(1, 1, {"a": 1.0}, {}, True)
    link.steps_trained(1, 0, 1, 0.5, 0.25)
    assert daemon.hear(2) == [
        messages.Metrics(fence=7, node=1, step=1, metrics={"a": 1.0}, training={}, evaluated=True),
        messages.Steps(fence=7, node=1, start=0, stop=1, train_seconds=0.5, evaluate_seconds=0.25),
    ]


def test_what_others_wait_for_takes_all_before_it_along(
    ends: tuple[Wire, Daemon, queue.Queue[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hippo_worker.runner.link.FLUSH_SECONDS", 3600.0)
    wire, daemon, _ = ends
    link = opened(wire, daemon)
    link.steps_trained(1, 0, 1, 0.5, 0.25)
    link.checkpoint_written(1, 1, Path("/x"), {"state": FileEntry(size_bytes=3, digest=64 * "0")}, 0.1)
    (data,) = messages.FrameReader().feed(daemon.connection.recv(1 << 16))
    assert [message[0] for message in data] == ["Steps", "Written"]


def test_many_messages_do_not_wait_for_the_clock(ends: tuple[Wire, Daemon, queue.Queue[str]]) -> None:
    wire, daemon, _ = ends
    link = opened(wire, daemon)
    for step in range(2 * FLUSH_COUNT):
        link.steps_trained(1, step, step + 1, 0.0, 0.0)
    starts = [
        message.start for message in daemon.hear(2 * FLUSH_COUNT) if isinstance(message, messages.Steps)
    ]
    assert starts == list(range(2 * FLUSH_COUNT))


def test_instructions_reach_the_path_in_training(ends: tuple[Wire, Daemon, queue.Queue[str]]) -> None:
    """
    1. a path in training takes what it is told, once
    2. what is told of it after its end reaches neither it nor the next one
    """
    wire, daemon, _ = ends
    link = opened(wire, daemon)
    daemon.say(
        messages.Offer(fence=7, node=1, step=2, is_on_path=True),
        messages.Stop(fence=7, save=True, reason="enough"),
        messages.Run(fence=8, order_json="[]", logs="l"),
    )
    assert wire.orders.get(timeout=30.0) == messages.Run(fence=8, order_json="[]", logs="l")
    assert link.flag[0] == 1
    assert link.instructions() == [OfferSavePoint(node=1, step=2), StopPath(save=True, reason="enough")]
    assert link.instructions() == []
    wire.close_path(7)
    following = wire.begin(8, lambda node: None)
    assert following is not None
    daemon.say(
        messages.Offer(fence=7, node=1, step=3, is_on_path=True),
        messages.Stop(fence=7, save=True, reason="late"),
        messages.Quit(),
    )
    assert wire.orders.get(timeout=30.0) is None
    assert link.instructions() == following.instructions() == []


def test_a_path_takes_what_it_was_offered_before_its_turn(
    ends: tuple[Wire, Daemon, queue.Queue[str]],
) -> None:
    wire, daemon, _ = ends
    daemon.say(
        messages.Run(fence=7, order_json="{}", logs="l"),
        messages.Offer(fence=7, node=1, step=2, is_on_path=True),
    )
    assert daemon.hear(1) == [messages.Answered(fence=7, node=1, step=2, will=True)]
    link = wire.begin(7, lambda node: None)
    assert link is not None
    assert link.flag[0] == 1
    assert link.instructions() == [OfferSavePoint(node=1, step=2)]


def test_a_path_whose_order_cannot_be_carried_out_has_not_begun(
    ends: tuple[Wire, Daemon, queue.Queue[str]], tmp_path: Path
) -> None:
    """1. A path's code is gone. 2. The runner dies of that, and has not said that the path has begun."""
    wire, daemon, _ = ends
    supplies: Any = SimpleNamespace(states=tmp_path, data_folder=tmp_path)
    order = path_order(make_lease(), supplies, code=tmp_path / "gone", start=None)
    daemon.say(messages.Run(fence=7, order_json=json.dumps(order.to_plain()), logs="l"))
    run = wire.orders.get(timeout=30.0)
    assert run is not None
    nothing: Any = None
    with pytest.raises(FileNotFoundError):
        runner._train(nothing, wire, nothing, run)
    wire.tell(messages.Ready(), now=True)
    assert daemon.hear(1) == [messages.Ready()]


def test_a_path_that_waits_for_its_turn_answers_at_once(
    ends: tuple[Wire, Daemon, queue.Queue[str]],
) -> None:
    """
    1. two paths are told, and the first one begins; the second one waits
    2. it answers an offer, and is given back, while the first one trains, and does not begin when its turn comes
    """
    wire, daemon, _ = ends
    daemon.say(*(messages.Run(fence=fence, order_json="{}", logs="l") for fence in (7, 8)))
    assert wire.orders.get(timeout=30.0).fence == 7
    link = wire.begin(7, lambda node: None)
    assert link is not None
    daemon.say(
        messages.Offer(fence=8, node=1, step=1, is_on_path=True),
        messages.Stop(fence=8, save=True, reason="enough"),
    )
    assert daemon.hear(2) == [
        messages.Answered(fence=8, node=1, step=1, will=True),
        messages.Returned(fence=8),
    ]
    assert link.instructions() == []
    assert wire.orders.get(timeout=30.0).fence == 8
    assert wire.begin(8, lambda node: None) is None


def test_quit_ends_the_orders(ends: tuple[Wire, Daemon, queue.Queue[str]]) -> None:
    wire, daemon, _ = ends
    daemon.say(messages.Quit())
    assert wire.orders.get(timeout=30.0) is None
