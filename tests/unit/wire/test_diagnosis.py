"""Looking for why no call comes through, where the other side is no help."""

from __future__ import annotations

import gc
import socket
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from hippo_wire.tls import Trust, diagnosis

RESETS = struct.pack("ii", 1, 0)  # lingering for no time: to close is to reset


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESETS)


def end(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_WR)
    connection.recv(1 << 16)


def babble(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    connection.recv(1 << 16)


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Answers one connection, and gives its address."""

    def serve() -> None:
        connection, _ = listening.accept()
        with connection:
            answer(connection)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize("answer", [reset, end, babble])
@pytest.mark.parametrize("trust", [None, Trust()])
def test_a_server_that_is_not_one_leaves_no_connection_open(
    answer: Callable[[socket.socket], None], trust: Trust | None
) -> None:
    gc.collect()  # what other tests left
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(10):
            with server(answer) as address:
                found = diagnosis(address, trust)
            assert found is None or trust is not None
        gc.collect()
    assert [str(each.message) for each in told] == []
