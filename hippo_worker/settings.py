"""What a worker is told when it is started: options, environment variables, files."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from hippo_core.errors import InvalidStudy, NotAllowed
from hippo_core.names import LONGEST_NAME, require_name
from hippo_wire.route import is_loopback
from hippo_worker.secrets import DEFAULT_NAME, Secrets

if TYPE_CHECKING:
    from hippo_wire.tls import Trust

DEFAULT_SERVER = "127.0.0.1:7440"
DEFAULT_CACHE = "4GiB"
MOST_SLOTS = 1024  #: each is a process of its own
MOST_SLOTS_PER_GPU = 48  #: processes that MPS lets share a GPU
FOR_TENSORS = (
    0.95  #: of a GPU's memory, where slots share it: beside tensors each has a context of CUDA's own
)
_POLL_SECONDS = 0.02
_UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """A worker's settings.

    Attributes:
        endpoint: The server; one that is still to come is waited for.
        name: The worker's name, by which a server knows it again.
        slots: How many places train at once; None: as many as share its GPUs, and without any one for each core.
        slots_per_gpu: How many slots share a GPU.
        labels: For people.
        data_folder: For caches, spool and trainers' data; one worker's alone.
        cache_bytes: How much of recent checkpoints is kept there.
        gpu_memory_fraction: How much of its GPU's memory each slot may take, above 0 and up to 1; None: what
            `memory_fraction` says.
        secrets_file: The worker's secrets; None: ``secrets.env`` in the data folder, where there is one.
        health_check: A shell command that tells by its exit code whether a slot's device is in order; None: GPUs are
            asked by their driver, and cores not at all.
        health_seconds: How often an idle or a broken slot is checked.
        drain_seconds: How long a worker that is told to end waits for its paths to save; what they have not saved by
            then is given back unsaved.
        page: Where its metrics are shown; None: nowhere.
        log_format: How it logs; ``auto``: text on a terminal, JSON elsewhere.
        idle_seconds: After how long without a lease it ends by itself; None: never.
        joins: Whether the endpoint's token is one to join with, for one of the worker's own.
    """

    endpoint: Endpoint | ComingServer
    name: str
    slots: int | None
    labels: Mapping[str, str]
    data_folder: Path
    cache_bytes: int
    slots_per_gpu: int = 1
    gpu_memory_fraction: float | None = None
    health_check: str | None = None
    health_seconds: float = 60.0
    drain_seconds: float = 120.0
    idle_seconds: float | None = None
    page: PageSettings | None = None
    log_format: Literal["auto", "json", "text"] = "auto"
    joins: bool = False
    secrets_file: Path | None = None

    def __post_init__(self) -> None:
        require_name(self.name)
        if self.slots is not None and self.slots < 1:
            raise InvalidStudy("slots", f"{self.slots} is too few", "Give at least 1.")
        if self.slots is not None and self.slots > MOST_SLOTS:
            raise InvalidStudy(
                "slots",
                f"{self.slots} is too many: each is a process of its own",
                f"Give at most {MOST_SLOTS}, and no more than the machine has cores or GPUs for.",
            )
        if not 1 <= self.slots_per_gpu <= MOST_SLOTS_PER_GPU:
            raise InvalidStudy(
                "slots-per-gpu",
                f"{self.slots_per_gpu} processes do not share a GPU",
                f"Give 1 to {MOST_SLOTS_PER_GPU}.",
            )
        fraction = self.gpu_memory_fraction
        if fraction is not None and not 0.0 < fraction <= 1.0:
            raise InvalidStudy(
                "gpu-memory-fraction",
                f"{fraction:g} is no part of a GPU's memory",
                "Give a number above 0, at most 1: 0.5 where two workers share a GPU.",
            )
        if fraction is not None and fraction * self.slots_per_gpu > 1.0:
            raise InvalidStudy(
                "gpu-memory-fraction",
                f"{self.slots_per_gpu} slots on a GPU with {fraction:g} of its memory each have more than there is",
                f"Give at most {1 / self.slots_per_gpu:.3g}, or fewer --slots-per-gpu.",
            )
        if self.secrets_file is not None:
            _require_file(self.secrets_file)

    @property
    def memory_fraction(self) -> float | None:
        """How much of its GPU's memory each slot may take; None: all there is.

        Where several share one and nothing else is said, equal parts of what CUDA itself leaves.
        """
        if self.gpu_memory_fraction is not None or self.slots_per_gpu == 1:
            return self.gpu_memory_fraction
        return FOR_TENSORS / self.slots_per_gpu

    @property
    def secrets(self) -> Secrets:
        """The worker's secrets."""
        return Secrets(self.secrets_file or self.data_folder / DEFAULT_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A server, and how it knows the worker.

    Attributes:
        server: ``host:port``, or several with commas between.
        token: The bearer token, of role ``worker``.
        trust: Whom to believe to be the server; None: nothing is encrypted.
    """

    server: str
    token: str = field(repr=False)
    trust: Trust | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComingServer:
    """A server of this machine that is being started: torch can be imported meanwhile.

    Attributes:
        file: Where it says its address once it is ready.
        token_file: The worker's token, which a server makes before it is ready.
        trust: Whom to believe to be the server; None: nothing is encrypted.
    """

    file: Path
    token_file: Path | None
    trust: Trust | None = None

    async def ready(self) -> Endpoint:
        """Waits for the server.

        Raises:
            NotAllowed: The token cannot be read.
        """
        while (address := self.address()) is None:  # noqa: ASYNC110 - nothing announces another process's file
            await asyncio.sleep(_POLL_SECONDS)
        token = read_token(self.token_file, os.environ)
        return Endpoint(server=address, token=token, trust=self.trust)

    def address(self) -> str | None:
        """What the file says; None where there is none. One that is started again may have another port."""
        try:
            address: str = json.loads(self.file.read_text())["grpc"]
        except FileNotFoundError:
            return None
        return address


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSettings:
    """Where the page is, and who may read its metrics.

    Attributes:
        host: The address to listen at; one that other machines reach needs a certificate.
        port: The port; 0: a free one.
        token_file: A file with the token; None: ``metrics.token`` in the data folder, made where it is not there.
        certificate: For TLS, PEM; None: nothing is encrypted.
        key: Its key, PEM.
    """

    host: str
    port: int
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        """Refuses to let others read along."""
        if (self.certificate is None) != (self.key is None):
            missing = "metrics-key" if self.key is None else "metrics-cert"
            raise InvalidStudy(missing, "is missing", "Give --metrics-cert and --metrics-key together.")
        if self.certificate is None and not is_loopback(self.host):
            raise InvalidStudy(
                "metrics-address",
                f"'{self.host}' can be reached from other machines, and there is no certificate",
                "Give --metrics-cert and --metrics-key, or listen at 127.0.0.1.",
            )


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of ``host:port``, ``[ipv6]:port``.

    Raises:
        InvalidStudy: It is neither.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise InvalidStudy(
            "metrics-address", f"{text!r} is no address", "Write HOST:PORT, as 127.0.0.1:7442."
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def default_name() -> str:
    """The host's name, with what a worker's name cannot hold replaced."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname()).lstrip("_.-")[:LONGEST_NAME] or "worker"


def default_data_folder() -> Path:
    """The folder ``worker`` of ``HIPPO_HOME``, which is the user's data folder unless set."""
    home = os.environ.get("HIPPO_HOME")
    if home:
        return Path(home).expanduser().absolute() / "worker"
    import platformdirs

    return Path(platformdirs.user_data_dir("hippo")) / "worker"


def secrets_of_home(file: Path | None) -> Secrets:
    """The secrets for what is trained here without a worker, to prove a trainer or a trial: those of the home's worker.

    Args:
        file: Another file.

    Raises:
        InvalidStudy: That one does not exist.
    """
    if file is not None:
        _require_file(file)
    return Secrets(file or default_data_folder() / DEFAULT_NAME)


def parse_labels(text: str) -> dict[str, str]:
    """Labels, as in ``rack=7,owner=ml``.

    Raises:
        InvalidStudy: A part is no ``name=value``.
    """
    labels: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, value = part.partition("=")
        if not name or not equals:
            raise InvalidStudy("labels", f"{part!r} is no label", "Write name=value, with commas between.")
        labels[name.strip()] = value.strip()
    return labels


def parse_seconds(text: str, field: str) -> float:
    """A time, as in ``90s``, ``5m`` or ``2h``; in seconds.

    Raises:
        InvalidStudy: It is no time above 0.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh])", text.strip())
    seconds = float(found[1]) * _UNIT_SECONDS[found[2]] if found else 0.0
    if not seconds:
        raise InvalidStudy(field, f"{text!r} is no time above 0", "Write 90s, 5m or 2h.")
    return seconds


def _require_file(secrets_file: Path) -> None:
    if not secrets_file.exists():
        raise InvalidStudy("secrets-file", f"{secrets_file} does not exist")


def read_token(file: Path | None, variables: Mapping[str, str]) -> str:
    """The token, from a file or from ``HIPPO_TOKEN``; never from an argument, which every user could read.

    Raises:
        NotAllowed: There is none.
    """
    if file is not None:
        try:
            token = file.expanduser().read_text().strip()
        except OSError as error:
            raise NotAllowed(
                f"the token file {file} cannot be read: {error.strerror}.",
                "hippo-server writes worker.token below its home at the first start.",
            ) from error
    else:
        token = variables.get("HIPPO_TOKEN", "").strip()
    if not token:
        raise NotAllowed(
            "there is no token.",
            "Give --token-file, or set HIPPO_TOKEN_FILE or HIPPO_TOKEN to a worker's token.",
        )
    return token
