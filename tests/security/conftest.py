"""What SECURITY.md's tests share: a server in a thread of its own, and its owner's connection."""

from tests.integration.server.conftest import client, server, start_server

__all__ = ["client", "server", "start_server"]
