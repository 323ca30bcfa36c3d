from __future__ import annotations

import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from hippo_client.local import Home, socket_folder
from hippo_client.local.socket_folder import own_folder, remove_deserted, socket_path
from hippo_core.errors import NotAllowed


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files, with nobody else in it."""
    folder = tmp_path_factory.mktemp("t")
    monkeypatch.setattr(socket_folder, "_parents", lambda: [folder])
    return folder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path / "home")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as made:
        yield made


def bind(listener: socket.socket, path: Path) -> None:
    listener.bind(str(path))
    listener.listen()


def test_the_folder_is_private_and_goes_at_the_end(place: Path, home: Home, listener: socket.socket) -> None:
    with own_folder(home) as path:
        bind(listener, path)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(place.iterdir()) == []


def test_what_a_killed_one_left_is_used_again(place: Path, home: Home, listener: socket.socket) -> None:
    left = socket_path(home)
    left.parent.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(left))
    with own_folder(home) as path:
        bind(listener, path)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert list(place.iterdir()) == []


def test_what_killed_ones_left_is_removed(place: Path, home: Home, listener: socket.socket) -> None:
    empty = socket_path(Home.at(home.path / "empty")).parent
    empty.mkdir()
    dead = socket_path(home)
    dead.parent.mkdir()
    bind(listener, dead)
    listener.close()
    remove_deserted()
    assert list(place.iterdir()) == []


def test_what_lives_or_is_somebody_elses_stays(place: Path, home: Home, listener: socket.socket) -> None:
    foreign = place / "hippo-0-of-another-program"
    foreign.mkdir()
    used = socket_path(Home.at(home.path / "used")).parent
    used.mkdir()
    (used / "notes").write_text("")
    link = socket_path(Home.at(home.path / "link")).parent
    link.symlink_to(foreign)
    unlocked = socket_path(Home.at(home.path / "unlocked"))
    unlocked.parent.mkdir()
    bind(listener, unlocked)
    with own_folder(home) as path:
        before = set(place.iterdir())
        remove_deserted()
        assert set(place.iterdir()) == before == {foreign, used, link, unlocked.parent, path.parent}
        assert unlocked.exists()
        assert (used / "notes").exists()


def test_a_folder_of_somebody_else_is_refused(place: Path, home: Home) -> None:
    socket_path(home).parent.symlink_to(place)
    with pytest.raises(NotAllowed, match="belongs to somebody else"), own_folder(home):
        pass


def test_nobody_loses_the_folder_to_one_who_clears_up(place: Path, home: Home) -> None:
    """One clears up again and again, while the other moves in, listens and moves out."""
    done = threading.Event()

    def clear_up() -> None:
        while not done.is_set():
            remove_deserted()

    other = threading.Thread(target=clear_up)
    other.start()
    try:
        for _ in range(100):
            with own_folder(home) as path, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
                bind(listener, path)
                assert path.exists()
    finally:
        done.set()
        other.join()
    assert list(place.iterdir()) == []
