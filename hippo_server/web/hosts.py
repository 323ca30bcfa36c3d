"""Hosts as requests name them."""

from __future__ import annotations


def cookie_name(host: str) -> str:
    """What the cookie of a server is called: by its port, since browsers keep cookies of a host's ports together."""
    return f"hippo-{port_of(host) or 'session'}"


def name_of(host: str) -> str:
    """A host header's name, without the port."""
    if host.startswith("["):
        return host.partition("]")[0].removeprefix("[")
    return host.partition(":")[0]


def port_of(host: str) -> str:
    """A host header's port, where it has one."""
    return host.removeprefix(f"[{name_of(host)}]").removeprefix(name_of(host)).removeprefix(":")
