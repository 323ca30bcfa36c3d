"""Becomes another program, tied to its parent's life and never as root. Run as a script, by its path.

PostgreSQL refuses to run as root, but a home or an installation of root's lies below folders of mode 0700
that no other user may pass. So the process takes another user's id and keeps one capability,
CAP_DAC_OVERRIDE, as an *ambient* one, which outlives the change of user and ``execve``: files and folders
are passed as root would pass them, and everything else that root may do is gone.

This is a program of its own, not a ``preexec_fn``: the server has threads, and Python code between fork and
exec can deadlock there.

The order matters: the kernel clears the parent-death signal when the user changes, and the ambient set when
the permitted one shrinks.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAPABILITY_VERSION_3 = 0x20080522

#: Exit status for "could not become what was asked", as a shell's for a command that cannot be run.
CANNOT = 126


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilitySet(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def _prctl(option: int, *arguments: int) -> None:
    """Calls prctl(2); every argument as an unsigned long, as the kernel reads them."""
    libc = ctypes.CDLL(None, use_errno=True)
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    if libc.prctl(option, *padded) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _keep_only(capability: int) -> None:
    """Makes ``capability`` the only one, in the permitted, effective and inheritable sets."""
    libc = ctypes.CDLL(None, use_errno=True)
    header = _CapabilityHeader(version=CAPABILITY_VERSION_3, pid=0)
    bit = 1 << capability
    sets = (_CapabilitySet * 2)(_CapabilitySet(effective=bit, permitted=bit, inheritable=bit))
    if libc.capset(ctypes.byref(header), ctypes.byref(sets)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def become(uid: int, gid: int) -> None:
    """Gives up root for ``uid`` and ``gid``, keeping CAP_DAC_OVERRIDE through the next ``execve``."""
    _prctl(PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    _keep_only(CAP_DAC_OVERRIDE)
    _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE)


def die_with(parent: int) -> None:
    """Has the kernel send SIGINT (PostgreSQL's fast shutdown) when the parent dies.

    Linux only. Elsewhere an orphan is stopped by the next start in the same home.
    """
    if sys.platform == "linux":
        _prctl(PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:  # it died before the signal was asked for
        raise SystemExit(CANNOT)


def main(arguments: list[str]) -> None:
    """Runs ``--parent PID [--user UID --group GID] -- COMMAND...``; returns never."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--user", type=int)
    parser.add_argument("--group", type=int)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    if options.user is not None:
        try:
            become(options.user, options.group)
        except OSError as error:
            sys.stderr.write(
                f"cannot run as user {options.user} with the capability CAP_DAC_OVERRIDE: {error.strerror}\n"
            )
            raise SystemExit(CANNOT) from error
    die_with(options.parent)
    os.umask(0o077)
    os.execv(options.command[0], options.command)


if __name__ == "__main__":
    main(sys.argv[1:])
