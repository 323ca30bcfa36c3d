"""What the tests of metrics share: a server in a thread of its own, and Debian's Prometheus."""

import shutil

import pytest

from tests.integration.server.conftest import client, server, start_server

__all__ = ["client", "prometheus", "promtool", "server", "start_server"]


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed (Debian: prometheus)")
    return found


@pytest.fixture
def promtool() -> str:
    """The program."""
    return _program("promtool")


@pytest.fixture
def prometheus() -> str:
    """The program."""
    return _program("prometheus")
