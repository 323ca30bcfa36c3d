"""Following a study through broken streams."""

import threading
import time
from types import SimpleNamespace

import pytest

import hippo_client as hippo
from hippo_client import watching
from hippo_client.errors import NotFound, Unavailable
from hippo_client.watching import SilentProgress, Watch, fold
from hippo_wire.v1 import study_pb2
from tests.unit.client import messages

WAITING, RUNNING = study_pb2.TRIAL_STATE_WAITING, study_pb2.TRIAL_STATE_RUNNING
RUNS, PAUSED = study_pb2.STUDY_STATE_RUNNING, study_pb2.STUDY_STATE_PAUSED
COMPLETED = study_pb2.STUDY_STATE_COMPLETED


class Recorder(SilentProgress):
    def __init__(self):
        self.shown = []

    def show(self, snapshot):
        self.shown.append(snapshot.study.state)


class Endless:
    """A stream on which nothing comes until it is cancelled."""

    def __init__(self):
        self.cancelled = threading.Event()

    def __iter__(self):
        return self

    def __next__(self):
        self.cancelled.wait(60)
        raise Unavailable("cancelled")

    def cancel(self):
        self.cancelled.set()


def test_messages_add_up_to_whole_snapshots():
    first, second = fold(
        iter(
            [
                messages.update(messages.trial(1), messages.trial(0)),
                messages.update(messages.trial(1, step=5)),
            ]
        )
    )
    assert list(first.trials) == [0, 1]
    assert first.changed == (0, 1)
    assert second.changed == (1,)
    assert (second.trials[0].step, second.trials[1].step) == (3, 5)
    assert first.trials[1].step == 3


def test_what_comes_in_parts_is_one_snapshot():
    parts = [
        study_pb2.WatchStudyResponse(trials=[messages.trial(1)], more=True),
        study_pb2.WatchStudyResponse(trials=[messages.trial(0)], more=True),
        messages.update(messages.trial(2), state=COMPLETED),
    ]
    (snapshot,) = fold(iter(parts))
    assert list(snapshot.trials) == [0, 1, 2]
    assert snapshot.changed == (0, 1, 2)
    assert snapshot.study.state == COMPLETED


def test_a_study_is_watched_until_it_has_ended(client, service):
    service.add(messages.study())
    service.watches = [[messages.update(messages.trial(0)), messages.update(state=COMPLETED)]]
    assert [snapshot.study.state for snapshot in client.watch("digits")] == [
        study_pb2.STUDY_STATE_RUNNING,
        COMPLETED,
    ]


def test_a_study_that_a_user_paused_is_watched_and_one_that_was_given_up_until_nothing_runs(client, service):
    """1. It runs. 2. A user pauses it, and it goes on. 3. The server gives it up; a slot still saves. 4. None does."""
    service.add(messages.study())
    service.watches = [
        [
            messages.update(messages.trial(0)),
            messages.update(state=PAUSED),
            messages.update(),
            messages.update(state=PAUSED, given_up=True, slots_busy=1),
            messages.update(state=PAUSED, given_up=True),
            messages.update(state=COMPLETED),
        ]
    ]
    states = [snapshot.study.state for snapshot in client.watch("digits")]
    assert states == [RUNS, PAUSED, RUNS, PAUSED, PAUSED]


def test_a_broken_stream_is_opened_again(client, service):
    """1. The server goes away in the middle. 2. It ends a stream too early. 3. It tells the end."""
    service.add(messages.study())
    service.watches = [
        [messages.update(messages.trial(0)), Unavailable("the server stops.")],
        [messages.update(messages.trial(0))],
        [messages.update(messages.trial(0), state=COMPLETED)],
    ]
    snapshots = list(client.watch("digits"))
    assert [snapshot.changed for snapshot in snapshots] == [(0,), (0,), (0,)]
    assert snapshots[-1].study.state == COMPLETED


def test_a_study_that_does_not_exist_is_not_found(client):
    with pytest.raises(NotFound):
        list(client.watch("nothing"))


def test_a_study_that_is_deleted_meanwhile_is_not_found(client, service):
    service.add(messages.study())
    service.watches = [[messages.update(), NotFound("there is no study digits.")]]
    with pytest.raises(NotFound):
        list(client.watch("digits"))


def test_a_server_out_of_reach_for_too_long_is_given_up():
    def refuse():
        raise Unavailable("cannot reach it.")

    with Watch(refuse, give_up_seconds=0.0) as watch, pytest.raises(Unavailable, match="cannot reach it"):
        list(watch.snapshots())


def test_a_quiet_study_may_lose_its_server_for_as_long_as_any(monkeypatch):
    """1. Nothing changes for two minutes. 2. The server goes away. 3. It comes back within the time."""
    now = 0.0
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now))

    class Script:
        def __init__(self, responses):
            self._responses = responses

        def __iter__(self):
            return self._responses

        def cancel(self):
            pass

    def quiet():
        nonlocal now
        yield messages.update(messages.trial(0))
        now += 120.0
        raise Unavailable("the server stops.")

    streams = [Script(quiet()), Script(iter([messages.update(state=COMPLETED)]))]
    with Watch(lambda: streams.pop(0)) as watch:
        states = [found.study.state for found in watch.snapshots() if found is not None]
    assert states[-1] == COMPLETED


def test_while_nothing_comes_there_is_time_for_other_things():
    stream = Endless()
    with Watch(lambda: stream) as watch:
        assert next(watch.snapshots()) is None
    assert stream.cancelled.is_set()


def test_leaving_ends_the_thread():
    before = set(threading.enumerate())  # some of which may end meanwhile
    with Watch(Endless) as watch:
        next(watch.snapshots())
        (thread,) = set(threading.enumerate()) - before
    assert not thread.is_alive()


def test_waiting_can_end_by_time():
    began = time.monotonic()
    with Watch(Endless) as watch, pytest.raises(TimeoutError, match=r"has not ended within 0.05 s"):
        list(watch.snapshots(timeout=0.05))
    assert time.monotonic() - began < 30


def test_wait_shows_and_returns_the_handle(client, service):
    service.add(messages.study())
    service.watches = [[messages.update(), messages.update(state=COMPLETED)]]
    handle, progress = client.study("digits"), Recorder()
    assert handle.wait(progress) is handle
    assert progress.shown == [study_pb2.STUDY_STATE_RUNNING, COMPLETED]
    assert "completed" in repr(handle)


def test_what_is_known_is_shown_again_while_nothing_comes(client, service):
    """1. The study comes. 2. Nothing comes for a while: it is shown again, unchanged. 3. It ends."""
    service.add(messages.study())
    again, changed = threading.Event(), []

    class Patient(SilentProgress):
        def show(self, snapshot):
            changed.append(snapshot.changed)
            if len(changed) == 2:
                again.set()

    def stream():
        yield messages.update(messages.trial(0))
        assert again.wait(60)
        yield messages.update(state=COMPLETED)

    service.watches = [stream()]
    client.study("digits").wait(Patient())
    assert changed[:2] == [(0,), ()]


def test_wait_without_progress_is_silent(client, service, capsys):
    service.add(messages.study())
    service.watches = [[messages.update(state=COMPLETED)]]
    client.study("digits").wait(progress=False)
    assert capsys.readouterr() == ("", "")


def test_wait_with_progress_tells_on_standard_error(client, service, capsys):
    service.add(messages.study())
    service.watches = [[messages.update(messages.trial(0), state=COMPLETED)]]
    client.study("digits").wait()
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err


def test_closing_the_client_while_watching_raises_nothing_strange(server, service):
    service.add(messages.study())
    service.watches = [[messages.update(state=COMPLETED)]]
    with hippo.Client(server.address, "the-token") as client:
        snapshots = client.watch("digits")
        assert next(snapshots).study.state == COMPLETED
        snapshots.close()
