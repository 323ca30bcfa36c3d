"""S15, with large numbers: crowds of streams, slow connections and floods take neither memory nor the service away."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from pathlib import Path

import grpc
import httpx
import psutil
import pytest

from hippo_wire.v1 import study_pb2
from tests.integration.server.conftest import submit, upload
from tests.integration.server.test_process import connect, running

STREAMS, SLOW, FLOOD, HONEST = 1000, 200, 20_000, 200
MOST_BYTES = 300 << 20


@pytest.mark.soak
def test_crowds_cost_an_honest_caller_nothing(tmp_path: Path) -> None:
    """
    1. 1,000 watched studies of one token, of which 100 are let in; 200 connections that never finish their request
    2. a stranger calls 20,000 times, with messages of 64 KiB
    3. meanwhile 200 calls of another token are answered within half a second each, as their deadline asks
    4. the server has taken less than 300 MB
    """
    home = tmp_path / "home"
    with running(home) as process, contextlib.ExitStack() as open_:
        client = open_.enter_context(connect(home))
        upload(client)
        submit(client)
        said = json.loads((home / "server" / "server.json").read_text())
        token = (home / "server" / "admin.token").read_text().strip()
        crowd = open_.enter_context(grpc.insecure_channel(said["grpc"]))
        watch = crowd.unary_stream("/hippo.v1.StudyService/WatchStudy")
        request = study_pb2.WatchStudyRequest(name="study").SerializeToString()
        worker = (home / "server" / "worker.token").read_text().strip()
        streams = [watch(request, metadata=[("authorization", f"Bearer {token}")]) for _ in range(STREAMS)]
        host, port = said["http"].rsplit(":", 1)
        for _ in range(SLOW):
            slow = open_.enter_context(socket.create_connection((host, int(port)), 30))
            slow.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: ")
        stranger = open_.enter_context(grpc.insecure_channel(said["grpc"]))
        codes: set[grpc.StatusCode] = set()

        def flood() -> None:
            listed = stranger.unary_unary("/hippo.v1.StudyService/ListStudies")
            for _ in range(FLOOD):
                with contextlib.suppress(grpc.RpcError):
                    listed(os.urandom(1) * 65536, timeout=30)
                    raise AssertionError("a stranger is let in")

        flooding = threading.Thread(target=flood)
        flooding.start()
        describe = crowd.unary_unary("/hippo.v1.AdminService/GetServer")
        for _ in range(HONEST):
            describe(b"", timeout=0.5, metadata=[("authorization", f"Bearer {worker}")])
            assert httpx.get(f"http://{said['http']}/livez", timeout=5).status_code in {200, 429}
        flooding.join()
        for stream in streams:
            with contextlib.suppress(grpc.RpcError):
                next(stream)
                continue
            codes.add(stream.code())
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        assert sum(stream.is_active() for stream in streams) <= 100
        assert psutil.Process(process.pid).memory_info().rss < MOST_BYTES
