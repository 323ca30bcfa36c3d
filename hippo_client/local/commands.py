"""The command lines of the supervisor's children, and what of the environment they get."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass

from hippo_client.local.home import Home

# What would turn a child away from what the supervisor tells it: whose server, and where it listens.
_NOT_FOR_CHILDREN = (
    "HIPPO_SERVER",
    "HIPPO_SERVER_FILE",
    "HIPPO_TOKEN",
    "HIPPO_TOKEN_FILE",
    "HIPPO_HOST",
    "HIPPO_GRPC_PORT",
    "HIPPO_HTTP_PORT",
)


def server_command(home: Home, grpc_port: int, http_port: int) -> list[str]:
    """``hippo-server`` on the home; port 0 is any free one."""
    return [
        *_module("hippo_server.main"),
        f"--home={home.path}",
        f"--grpc-port={grpc_port}",
        f"--http-port={http_port}",
    ]


def worker_command(home: Home, slots: int | None) -> list[str]:
    """``hippo-worker`` for the home's server, started beside it; without ``slots`` as many as fit the machine."""
    command = [
        *_module("hippo_worker.main"),
        f"--server-file={home.server_file}",
        f"--token-file={home.worker_token_file}",
        f"--data-dir={home.worker_folder}",
    ]
    return command if slots is None else [*command, f"--slots={slots}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """How server and worker are started; other ones stand in for them in tests."""

    server: Callable[[Home, int, int], list[str]] = server_command
    worker: Callable[[Home, int | None], list[str]] = worker_command


def environment() -> dict[str, str]:
    """The environment of the children."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_FOR_CHILDREN}


def _module(name: str) -> list[str]:
    # -P: a folder that happens to be current must not shadow modules.
    return [sys.executable, "-P", "-m", name]
