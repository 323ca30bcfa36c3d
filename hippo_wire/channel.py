"""How a channel to a server is opened: its options, and the metadata that say who calls."""

from __future__ import annotations

from hippo_core.errors import NotAllowed
from hippo_wire.versions import HEADER, own_version

LARGEST_MESSAGE_BYTES = 64 << 20


def channel_options() -> list[tuple[str, int]]:
    """How channels behave: a server that comes back is found again within seconds, a dead one is noticed."""
    return [
        ("grpc.max_receive_message_length", LARGEST_MESSAGE_BYTES),
        ("grpc.max_send_message_length", LARGEST_MESSAGE_BYTES),
        ("grpc.initial_reconnect_backoff_ms", 100),
        (
            "grpc.min_reconnect_backoff_ms",
            1000,
        ),  # how long a connection may take, TLS included, at the first try
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.enable_retries", 0),  # tried again here, and nowhere else
        ("grpc.enable_http_proxy", 0),  # the server is on this machine
    ]


def token_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that carry a bearer token.

    Raises:
        NotAllowed: It cannot be one.
    """
    if not (token.isascii() and token.isprintable()):
        raise NotAllowed("the token holds characters that no token has.", "Is it the right file?")
    return (("authorization", f"Bearer {token}"),)


def caller_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that each call carries: the token, and the version of who calls.

    Raises:
        NotAllowed: It cannot be a token.
    """
    return (*token_metadata(token), (HEADER, own_version()))


__all__ = ["LARGEST_MESSAGE_BYTES", "caller_metadata", "channel_options", "token_metadata"]
