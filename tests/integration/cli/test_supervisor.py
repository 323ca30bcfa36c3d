from __future__ import annotations

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hippo_client.local import Attachment, Home, keep_attached, record, running_server, shut_down
from hippo_core.errors import Conflict, NotAllowed, Unavailable
from tests.integration.cli.conftest import STAND_IN, Stage, kill, lives
from tests.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def test_attaching_starts_the_server_and_knows_its_token(stage: Stage) -> None:
    with stage.attach(worker=False) as attachment:
        assert attachment.token == "admin-secret"
        assert not attachment.stays
        address = running_server(stage.home)
        assert address is not None
        assert (attachment.server, attachment.http) == (address.grpc, address.http)
        assert stage.times("server", "up") == 1
        assert stage.times("worker", "up") == 0


def test_a_worker_starts_with_the_first_who_needs_one(stage: Stage) -> None:
    with stage.attach(worker=False), stage.attach(slots=3) as second, stage.attach(slots=5) as third:
        until(lambda: stage.times("worker", "up", "--slots=3"), "the worker")
        assert (second.slots, third.slots) == (3, 3)
        assert stage.times("worker", "up") == 1


def test_many_who_attach_at_once_get_one_supervisor(stage: Stage) -> None:
    with ThreadPoolExecutor(6) as threads:
        attachments = list(threads.map(lambda _: stage.attach(), range(6)))
    assert len({attachment.server for attachment in attachments}) == 1
    until(lambda: stage.times("worker", "up"), "the worker")
    assert (stage.times("server", "up"), stage.times("worker", "up")) == (1, 1)
    for attachment in attachments:
        attachment.close()


def test_when_the_last_has_detached_the_worker_drains_and_then_the_server_stops(stage: Stage) -> None:
    first, second = stage.attach(), stage.attach()
    until(lambda: stage.times("worker", "up"), "the worker")
    (stage.home.path / "worker-saves").touch()
    first.close()
    second.close()
    until(lambda: not _listens_for_clients(stage), "the drain")
    assert stage.times("server", "down") == 0
    (stage.home.path / "worker-saves").unlink()
    until(stage.ended, "the end")
    assert [happening[:2] for happening in stage.happenings()][-2:] == [
        ["worker", "down"],
        ["server", "down"],
    ]
    assert record.read(stage.home) is None


def test_who_comes_back_in_time_finds_everything_running(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINGER_SECONDS", "30")
    stage.attach().close()
    with stage.attach():
        assert stage.times("server", "up") == 1


def test_a_client_that_is_killed_has_detached(stage: Stage) -> None:
    client = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from hippo_client.local import attach;"
            "hold = attach(sys.argv[1], launch=sys.argv[2:]); print('attached', flush=True); time.sleep(600)",
            str(stage.home.path),
            *stage.launch,
        ],
        stdout=subprocess.PIPE,
    )
    with client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"attached\n"
        client.kill()
    until(stage.ended, "the end")
    assert stage.times("server", "down") == 1


def test_a_killed_server_starts_again_on_the_same_ports(stage: Stage) -> None:
    with stage.attach() as attachment:
        until(lambda: stage.times("worker", "up"), "the worker")
        kill(stage.pid("server"))
        until(lambda: stage.times("server", "up", attachment.server) == 2, "the second server")
        until(lambda: running_server(stage.home), "its listening")
        assert stage.times("worker", "up") == 1


def test_a_killed_worker_starts_again(stage: Stage) -> None:
    with stage.attach():
        until(lambda: stage.times("worker", "up"), "the worker")
        kill(stage.pid("worker"))
        until(lambda: stage.times("worker", "up") == 2, "the second worker")
        assert stage.times("server", "up") == 1


def test_a_worker_that_was_drained_stays_away_until_somebody_wants_one(stage: Stage) -> None:
    """1. The worker leaves in order, which is told. 2. Who needs none gets none. 3. Who needs one does."""
    with stage.attach() as first:
        until(lambda: stage.times("worker", "up"), "the worker")
        os.kill(stage.pid("worker"), signal.SIGTERM)
        heard: list[str] = []
        until(lambda: heard.extend(first.notices()) or heard, "the notice")  # type: ignore[func-returns-value]
        assert heard == [
            "This machine's worker was drained and has left. `hippo run STUDY.py` or `hippo up` starts it again."
        ]
        stage.attach(worker=False).close()
        assert stage.times("worker", "up") == 1
        with stage.attach(slots=2):
            until(lambda: stage.times("worker", "up", "--slots=2"), "the next worker")
            kill(stage.pid("worker"))
            until(lambda: stage.times("worker", "up", "--slots=2") == 2, "it after its death")


def test_a_server_that_ends_in_order_starts_again(stage: Stage) -> None:
    with stage.attach(worker=False) as attachment:
        os.kill(stage.pid("server"), signal.SIGTERM)
        until(lambda: stage.times("server", "up", attachment.server) == 2, "the second server")


def test_a_killed_supervisor_takes_its_children_along_and_blocks_nobody(stage: Stage) -> None:
    with stage.attach():
        until(lambda: stage.times("worker", "up"), "the worker")
        kill(stage.supervisor_pid())
        with stage.attach():
            until(lambda: stage.times("worker", "up") == 2, "the second worker")
            assert stage.times("server", "up") == 2
            # The first server had stopped before the second came, and the first worker had gone.
            order = [happening[:2] for happening in stage.happenings()]
            assert order.index(["server", "down"]) < len(order) - 1 - order[::-1].index(["server", "up"])


def test_who_is_attached_notices_a_killed_supervisor_and_gets_another_as_it_was(stage: Stage) -> None:
    """1. Two are attached, one of them with a worker. 2. The supervisor is killed. 3. Both notice. 4. Both attach
    again: there is one supervisor, with a worker and on the same ports, whoever was first."""
    with stage.attach(slots=3) as first, stage.attach(worker=False) as second:
        until(lambda: stage.times("worker", "up"), "the worker")
        assert not first.is_lost
        kill(stage.supervisor_pid())
        for attachment in (first, second):
            until(lambda lost=attachment: lost.is_lost, "its being noticed")  # type: ignore[misc]
            with pytest.raises(Unavailable, match="supervisor was killed"):
                attachment.notices()
        with ThreadPoolExecutor(2) as threads:
            again = list(threads.map(lambda lost: lost.again(), (first, second)))
        until(lambda: stage.times("worker", "up", "--slots=3") == 2, "the second worker")
        assert {each.server for each in again} == {first.server}
        assert {each.http for each in again} == {first.http}
        assert stage.times("server", "up", first.server) == 2
        for each in again:
            each.close()


def test_one_that_was_to_stay_stays_and_keeps_its_worker_whoever_notices_its_death(stage: Stage) -> None:
    stage.attach(slots=2, stay=True).close()
    with stage.attach(worker=False) as watching:
        until(lambda: stage.times("worker", "up"), "the worker")
        kill(stage.supervisor_pid())
        until(lambda: watching.is_lost, "its being noticed")
        with watching.again() as again:
            assert again.stays
            until(lambda: stage.times("worker", "up", "--slots=2") == 2, "the second worker")


def test_who_is_attached_hears_of_an_end_in_order_and_does_not_start_anew(stage: Stage) -> None:
    with stage.attach() as attachment:
        assert shut_down(stage.home)
        heard: list[str] = []
        with pytest.raises(Unavailable, match=r"server has been ended\.") as ended:
            until(lambda: heard.extend(attachment.notices()), "the end")
        assert ended.value.hint == "Run again to resume."
        assert not attachment.is_lost
        with pytest.raises(Unavailable, match="has been ended"):
            keep_attached(attachment, lambda held: held.notices(), heard.append)
    assert stage.times("server", "up") == 1


def test_work_is_done_again_where_the_supervisor_is_killed_meanwhile(stage: Stage) -> None:
    servers: list[str] = []

    def work(attachment: Attachment) -> str:
        servers.append(attachment.server)
        if len(servers) == 1:
            kill(stage.supervisor_pid())
            until(attachment.notices, "its being noticed")
        return "done"

    told: list[str] = []
    assert keep_attached(stage.attach(worker=False), work, told.append) == "done"
    assert servers == [servers[0]] * 2
    assert told[0] == "the local supervisor was killed; another one takes over"


def test_what_a_killed_supervisor_left_behind_and_does_not_go_is_killed(stage: Stage) -> None:
    (stage.home.path / "server-is-stubborn").touch()
    stage.attach(worker=False)
    stubborn, supervisor = stage.pid("server"), stage.supervisor_pid()
    kill(supervisor)
    until(stage.ended, "the supervisor's death")
    assert lives(stubborn)
    record.end_leftovers(stage.home, grace_seconds=0.2)
    assert not lives(stubborn)


def test_the_last_to_detach_waits_until_everything_is_saved(stage: Stage) -> None:
    first, second = stage.attach(), stage.attach()
    until(lambda: stage.times("worker", "up"), "the worker")
    assert first.drain() is False
    assert stage.times("worker", "down") == 0
    said: list[str] = []
    assert second.drain(said.append) is True
    assert said == ["saving what runs"]
    assert (stage.times("worker", "down"), stage.times("server", "down")) == (1, 1)


def test_who_attaches_during_a_drain_waits_and_gets_a_new_server(stage: Stage) -> None:
    first = stage.attach()
    until(lambda: stage.times("worker", "up"), "the worker")
    (stage.home.path / "worker-saves").touch()
    leaving = threading.Thread(target=first.drain)
    leaving.start()
    until(lambda: not _listens_for_clients(stage), "the drain")
    said: list[str] = []
    with ThreadPoolExecutor(1) as threads:
        coming = threads.submit(stage.attach, tell=said.append)
        until(lambda: said, "the word that somebody saves")
        assert not coming.done()
        (stage.home.path / "worker-saves").unlink()
        with coming.result():
            assert stage.times("server", "up") == 2
    leaving.join()
    assert said[0] == "an earlier run is still saving; waiting for it"


def test_up_stays_and_down_ends(stage: Stage) -> None:
    assert stage.attach(stay=True).stays
    attachment = stage.attach()
    assert attachment.stays
    assert attachment.drain() is False
    assert stage.times("server", "up") == 1
    assert shut_down(stage.home) is True
    assert stage.times("server", "down") == 1
    until(stage.ended, "the end")
    assert shut_down(stage.home) is False


def test_wanted_ports_are_taken(stage: Stage) -> None:
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        with stage.attach(worker=False, ports=(port, 0)) as attachment:
            assert attachment.server == f"127.0.0.1:{port}"


def test_pages_stay_where_browsers_found_them_unless_somebody_else_is_there(stage: Stage) -> None:
    """A browser's session is of one host and port."""
    stage.attach(worker=False).close()
    until(stage.ended, "the end")
    with stage.attach(worker=False) as attachment:
        again = attachment.http
    assert again == f"127.0.0.1:{stage.home.page_port_file.read_text().strip()}"
    until(stage.ended, "the second end")
    with socket.create_server(("127.0.0.1", int(again.rpartition(":")[2]))):
        stage.attach(worker=False).close()
        until(stage.ended, "the third end")
        assert again != f"127.0.0.1:{stage.home.page_port_file.read_text().strip()}"


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("Traceback\nOSError: no room\n", "server.log, ends with:\nTraceback\nOSError: no room"),
        (
            "noise\nerror[CONFLICT]: port 7440 is taken. Choose another.\nnoise\n",
            "start. port 7440 is taken.",
        ),
    ],
)
def test_a_server_that_cannot_start_is_told_with_its_own_words(log: str, told: str, stage: Stage) -> None:
    (stage.home.path / "server-fails").write_text(log)
    with pytest.raises(Unavailable, match=re.escape(told)):
        stage.attach()
    until(stage.ended, "the end")


def test_a_worker_that_keeps_dying_is_told_to_those_attached(stage: Stage) -> None:
    (stage.home.path / "worker-fails").touch()
    with stage.attach() as attachment:
        heard: list[str] = []
        until(lambda: heard.extend(attachment.notices()) or heard, "the notice")  # type: ignore[func-returns-value]
        assert "The worker ended 3 times with no step trained in between." in heard[0]
        assert "no such device" in heard[0]


def test_a_server_started_by_hand_is_left_alone(stage: Stage) -> None:
    command = [sys.executable, str(STAND_IN), "server", "--grpc-port=0", "--http-port=0"]
    with subprocess.Popen([*command, f"--home={stage.home.path}"]) as by_hand:
        until(lambda: running_server(stage.home), "the server")
        with pytest.raises(Conflict, match=f"process {by_hand.pid}"):
            stage.attach()
        by_hand.terminate()


def test_the_socket_is_private_and_short_whatever_the_home(tmp_path: Path, stage: Stage) -> None:
    deep = Stage(Home.at(tmp_path / ("deep" * 30) / ("deeper" * 30)))
    with deep.attach(worker=False):
        written = record.read(deep.home)
        assert written is not None
        assert len(str(written.socket)) < 104
        assert stat.S_IMODE(written.socket.parent.stat().st_mode) == 0o700
    until(deep.ended, "the end")


def test_the_sockets_folder_goes_with_the_supervisor(stage: Stage) -> None:
    with stage.attach(worker=False):
        written = record.read(stage.home)
        assert written is not None
        assert written.socket.exists()
    until(stage.ended, "the end")
    assert not written.socket.parent.exists()


def test_what_a_killed_supervisor_left_of_its_folder_the_next_one_removes(
    tmp_path: Path, stage: Stage
) -> None:
    killed = Stage(Home.at(tmp_path / "killed"))
    with killed.attach(worker=False):
        written = record.read(killed.home)
        assert written is not None
        kill(killed.supervisor_pid())
    until(lambda: not lives(killed.pid("server")), "the end of its server")
    assert written.socket.parent.exists()
    with stage.attach(worker=False):
        assert not written.socket.parent.exists()


def test_a_home_that_cannot_be_made_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NotAllowed, match="Set HIPPO_HOME to a folder of yours"):
        Stage(Home.at(tmp_path / "file" / "home")).attach()


def test_sigterm_ends_the_supervisor_in_order(stage: Stage) -> None:
    stage.attach(stay=True).close()
    os.kill(stage.supervisor_pid(), signal.SIGTERM)
    until(stage.ended, "the end")
    assert stage.times("server", "down") == 1


def _listens_for_clients(stage: Stage) -> bool:
    """Whether the worker has not yet been asked to end: a stand-in blocks SIGTERM's default until then."""
    log = (stage.home.logs / "supervisor.log").read_text()
    return "ending" not in log
