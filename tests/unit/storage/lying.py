"""An object store that fails, hangs and lies, each time that it is told to."""

from __future__ import annotations

import errno
import threading
from dataclasses import dataclass, field
from typing import Any

from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

#: What a store may do to an upload and say nothing. The bytes are another's, so that only a look at them tells.
SILENT = ("cut", "part lost", "bit flipped", "vanished")
#: What it may say of a call that had no effect.
LOUD = ("timed out", "foreign error", "no space", "no space, by status", "busy")
#: What it may say of a call that took effect.
UNHEARD = ("answer lost",)


class ServiceError(Exception):
    """An error of a store's own library, which is none of the system's.

    Args:
        status: The HTTP status that it tells of.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the service said {status}")
        self.response = {"ResponseMetadata": {"HTTPStatusCode": status}}


@dataclass(slots=True, kw_only=True)
class Fault:
    """What goes wrong, and with which call.

    Attributes:
        kind: One of those above, ``taken`` (another has won, in words that fsspec does not know), ``late`` (an upload
            is seen only after some looks) or ``hangs``.
        operation: ``upload``, ``open``, ``info``, ``find`` or ``remove``.
        key: What the key ends with; empty: any.
        count: So many calls.
    """

    kind: str
    operation: str = "upload"
    key: str = ""
    count: int = 1


@dataclass(slots=True)
class _Hidden:
    data: Any
    looks: int


class LyingStore(MemoryFileSystem):  # type: ignore[misc]
    """Objects in memory, each store with its own; honest until it is told of faults."""

    cachable = False

    def __init__(self) -> None:
        super().__init__()
        self.store: dict[str, Any] = {}
        self.pseudo_dirs = [""]
        self.faults: list[Fault] = []
        self.met: list[str] = []
        self.goes_on = threading.Event()
        self.hanging = threading.Semaphore(0)
        self._late: dict[str, _Hidden] = {}

    # Calls.

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **options: Any) -> None:
        key = self._strip_protocol(path)
        fault = self._fault("upload", key)
        if mode == "create" and (key in self.store or key in self._late):
            raise FileExistsError(key)
        self._loud(fault)
        self._put(key, value, fault)

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        key = self._strip_protocol(path)
        if mode == "wb":
            return _Upload(self, key)
        self._look(key)
        self._loud(self._fault("open", key))
        return super()._open(path, mode=mode, **options)

    def info(self, path: str, **options: Any) -> Any:
        key = self._strip_protocol(path)
        self._look(key)
        self._loud(self._fault("info", key))
        return super().info(path, **options)

    def find(self, path: str, **options: Any) -> Any:
        self._loud(self._fault("find", self._strip_protocol(path)))
        return [key for key in sorted(self.store) if key.startswith(f"{self._strip_protocol(path)}/")]

    def rm_file(self, path: str) -> None:
        key = self._strip_protocol(path)
        fault = self._fault("remove", key)
        self._loud(fault)
        if key not in self.store:
            raise FileNotFoundError(key)
        del self.store[key]
        self._unheard(fault)

    # What becomes of them.

    def upload(self, key: str, data: bytes) -> None:
        """What an upload in pieces came to, once it was ended."""
        fault = self._fault("upload", key)
        self._loud(fault)
        self._put(key, data, fault)

    def _put(self, key: str, data: bytes, fault: Fault | None) -> None:
        match fault.kind if fault is not None else "":
            case "cut":
                data = data[: len(data) // 2]
            case "part lost":
                data = data[: len(data) // 3] + data[2 * len(data) // 3 :]
            case "bit flipped" if data:
                data = data[:-1] + bytes([data[-1] ^ 1])
            case "vanished":
                return
        kept = MemoryFile(self, key, data)
        if fault is not None and fault.kind == "late":
            self._late[key] = _Hidden(kept, looks=2)
            return
        self.store[key] = kept
        self._unheard(fault)

    def _fault(self, operation: str, key: str) -> Fault | None:
        for fault in self.faults:
            if fault.operation == operation and key.endswith(fault.key) and fault.count > 0:
                fault.count -= 1
                self.met.append(fault.kind)
                return fault
        return None

    def _loud(self, fault: Fault | None) -> None:
        match fault.kind if fault is not None else "":
            case "timed out":
                raise TimeoutError("the store did not answer")
            case "foreign error":
                raise ServiceError(500)
            case "no space":
                raise OSError(errno.ENOSPC, "No space left on device")
            case "no space, by status":
                raise ServiceError(507)
            case "busy":
                raise OSError(errno.EIO, "a conflicting operation is in progress") from ServiceError(409)
            case "taken":
                raise OSError(errno.EINVAL, "a precondition failed") from ServiceError(412)
            case "hangs":
                self.hanging.release()
                self.goes_on.wait()

    def _unheard(self, fault: Fault | None) -> None:
        if fault is not None and fault.kind == "answer lost":
            raise TimeoutError("the answer was lost")

    def _look(self, key: str) -> None:
        hidden = self._late.get(key)
        if hidden is not None:
            hidden.looks -= 1
            if hidden.looks < 0:
                self.store[key] = self._late.pop(key).data


@dataclass
class _Upload:
    """A file that is written; the store learns of it when it is closed."""

    store: LyingStore
    key: str
    data: bytearray = field(default_factory=bytearray)

    def write(self, piece: Any) -> int:
        self.data += piece
        return len(piece)

    def __enter__(self) -> _Upload:
        return self

    def __exit__(self, *error: object) -> None:
        self.store.upload(self.key, bytes(self.data))
