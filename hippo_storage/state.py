"""A trainer's state as files, and back, bit for bit; nothing is ever unpickled.

``state.msgpack`` holds the structure and all plain data (`hippo_storage.state_data` lists the types), and
``tensors.safetensors`` the bytes of tensors and arrays (`hippo_storage.tensors`).

Saving has two halves. `capture` copies the state into one host buffer and is all that training waits for;
`write` puts the buffer into files, on another thread, while training goes on. What lies on a GPU may be under way
to the buffer when `capture` returns (`hippo_storage.device_copy`). Neither imports torch unless the state has tensors.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hippo_storage.errors import StateError
from hippo_storage.filling import fill
from hippo_storage.hashing import HashingWriter
from hippo_storage.host_memory import HostMemory, Need, allocate
from hippo_storage.manifest import FileEntry
from hippo_storage.reading_memory import StateMemory, new_memory
from hippo_storage.safetensors_file import TensorEntry, encode_header, read_header
from hippo_storage.state_data import Decoder, Encoder, dtype_from_plain, dtype_to_plain, pack, unpack
from hippo_storage.tensors import Collector, Part, array_of, tensor_of, torch_dtype
from hippo_storage.verify import in_words

if TYPE_CHECKING:
    from hippo_storage.device_copy import Transfer, Upload

FORMAT = 1
STRUCTURE = "state.msgpack"
TENSORS = "tensors.safetensors"

# What decoding raises over bytes that no encoder wrote.
_NO_STATE = (ValueError, KeyError, IndexError, TypeError, AttributeError, RuntimeError, OverflowError)


@dataclass(slots=True, kw_only=True, eq=False)
class Captured:
    """A state in host memory, apart from the trainer's own.

    Training waits while it is made, so what can be made of it later is.

    Attributes:
        body: What ``state.msgpack`` says.
        entries: What is in ``tensors.safetensors``; empty where the state has no tensor.
        memory: Host memory whose first `used_bytes` are the rest of that file.
        used_bytes: How much of it is in use.
        transfers: The copies from GPUs that may be under way.
    """

    body: dict[str, Any]
    entries: list[TensorEntry]
    memory: HostMemory
    used_bytes: int
    transfers: list[Transfer] = field(default_factory=list)

    def contents(self) -> dict[str, list[bytes | memoryview]]:
        """What is to be written into which file, piece by piece.

        Raises:
            StateError: It is more than the format, or the memory, has room for.
        """
        try:
            files: dict[str, list[bytes | memoryview]] = {STRUCTURE: [pack(self.body)]}
            if self.entries:
                files[TENSORS] = [encode_header(self.entries), self.memory.buffer[: self.used_bytes].data]
        except (ValueError, OverflowError, MemoryError) as error:
            reason = str(error) or type(error).__name__
            raise StateError("", f"the state cannot be encoded: {reason}.") from error
        return files

    def wait(self) -> float:
        """Waits until the buffer holds the state; any thread may.

        Returns:
            For how many seconds GPUs were kept from training.

        Raises:
            StateError: A GPU failed meanwhile.
        """
        try:
            return sum(transfer.wait() for transfer in self.transfers)
        except RuntimeError as error:
            raise StateError("", f"the GPU failed while the state was copied from it: {error}.") from error


def need_of(state: Any) -> Need:
    """How much memory capturing a state takes.

    Raises:
        StateError: The state holds something that cannot be saved; names where.
    """
    return _need(_walked(state)[1])


def capture(state: Any, into: HostMemory | None = None) -> Captured:
    """Copies a state into host memory.

    Args:
        state: Plain data, tensors and arrays, nested in dicts, lists and the like. It may be changed afterwards.
        into: Memory that may be overwritten, where it is large enough; None: new memory.

    Raises:
        StateError: The state holds something that cannot be saved; names where.
    """
    data, parts, leaves = _walked(state)
    # Wide elements first: so each tensor begins at a multiple of its element's width, without holes. Elements of an
    # array, texts for instance, may be 12 bytes wide: then what counts is the power of two in that. Those of a GPU, and
    # those of a type, side by side: then they are few copies.
    parts.sort(key=lambda part: (-(part.item_bytes & -part.item_bytes), part.is_on_gpu, part.dtype))
    entries, used_bytes = _layout(parts)
    need = _need(parts)
    memory = into if into is not None and into.serves(need) else allocate(need)
    transfers = _copy(parts, entries, memory)
    return Captured(
        body={"format": FORMAT, "data": data, "leaves": leaves},
        entries=entries,
        memory=memory,
        used_bytes=used_bytes,
        transfers=transfers,
    )


def write(captured: Captured, folder: Path) -> dict[str, FileEntry]:
    """Writes a captured state as files, hashing them on the way; they are complete, but not yet durable.

    Args:
        captured: What `capture` gave; not changed.
        folder: Where to; made if it lacks. It must not hold a state yet.

    Returns:
        The files, with their lengths and digests.

    Raises:
        StateError: It did not get here, as a GPU failed, or it cannot be encoded.
        StorageFull: No space is left; nothing of the state remains.
        StorageError: The disk failed.
    """
    captured.wait()
    contents = captured.contents()
    size_bytes = sum(len(piece) for pieces in contents.values() for piece in pieces)
    written: dict[str, FileEntry] = {}
    with in_words(f"saving a state in {folder}", size_bytes):
        folder.mkdir(parents=True, exist_ok=True)
        begun: list[Path] = []
        try:
            for name, pieces in contents.items():
                with HashingWriter(folder / name) as file:
                    begun.append(folder / name)
                    for piece in pieces:
                        file.write(piece)
                written[name] = file.entry
        except OSError:
            for path in begun:
                path.unlink(missing_ok=True)
            raise
    return written


def read(folder: Path, device: str = "cpu", memory: StateMemory | None = None) -> Any:
    """Reads a state back: the exact inverse of `capture` and `write`.

    Args:
        folder: Files that were verified (`Storage.fetch`).
        device: Where tensors go that were on an accelerator; those of the CPU stay there. By default all are
            left in host memory, from where loading them into modules and optimisers moves them.
        memory: What tensors in host memory are read into; None: new memory.

    Raises:
        StateError: The files are not a state, or need something that is not installed.
        StorageError: The disk failed.
        torch.OutOfMemoryError: The device has not enough memory.
    """
    with in_words(f"reading {folder}"):
        try:
            body = unpack((folder / STRUCTURE).read_bytes())
            if body["format"] > FORMAT:
                raise StateError(
                    "", f"the state in {folder} has format {body['format']}, newer than {FORMAT}.",
                    "Upgrade Hippo on this machine.",
                )  # fmt: skip
            leaves = _read_leaves(folder / TENSORS, body["leaves"], device, memory) if body["leaves"] else []

            def leaf(value: list[Any]) -> Any:
                return leaves[value[1]] if value[0] == "leaf" else _small_value(value)

            return Decoder(leaf).decode(body["data"])
        except _NO_STATE as error:
            if type(error).__name__ == "OutOfMemoryError":
                raise  # torch's, for the device; nothing is wrong with the files
            raise StateError("", f"the files in {folder} are not a state ({error}).") from error
        except ImportError as error:
            raise StateError("", f"the state in {folder} needs {error.name}.", "Install torch.") from error


def _layout(parts: list[Part]) -> tuple[list[TensorEntry], int]:
    entries = []
    start = 0
    for part in parts:
        entries.append(TensorEntry(name=part.name, dtype=part.dtype, shape=part.shape, start=start))
        start += part.size_bytes
    return entries, start


def _walked(state: Any) -> tuple[Any, list[Part], list[dict[str, Any]]]:
    """A state as plain data, the parts that are to be copied, and how leaves are views of these."""
    collector = Collector()

    def leaf(path: str, value: Any) -> list[Any] | None:
        number = collector.add(path, value)
        return _small_leaf(path, value) if number is None else ["leaf", number]

    data = Encoder(leaf).encode(state)
    return data, *collector.parts()


def _need(parts: list[Part]) -> Need:
    return Need(
        size_bytes=sum([part.size_bytes for part in parts]), from_gpus=any(part.is_on_gpu for part in parts)
    )


def _copy(parts: list[Part], entries: list[TensorEntry], memory: HostMemory) -> list[Transfer]:
    """Copies what is in host memory, and begins to copy what is on GPUs."""
    tensors = []
    for part, entry in zip(parts, entries, strict=True):
        if not isinstance(part.source, np.ndarray):
            tensors.append((part, entry.start))
        elif part.size_bytes:
            slot = memory.buffer[entry.start : entry.start + part.size_bytes]
            np.copyto(slot.view(part.source.dtype).reshape(part.source.shape), part.source)
    if not tensors:
        return []
    import torch

    from hippo_storage import device_copy
    from hippo_storage.side_by_side import Piece, copy_into

    target = torch.from_numpy(memory.buffer) if memory.pinned is None else memory.pinned
    on_host: list[Piece] = []
    on_gpus: list[Piece] = []
    for part, start in tensors:
        piece = Piece(part.source, start, start + part.size_bytes)
        (on_gpus if part.is_on_gpu else on_host).append(piece)
    copy_into(target, on_host)
    return device_copy.begin(on_gpus, target)


def _small_leaf(path: str, value: Any) -> list[Any] | None:
    if isinstance(value, np.dtype):
        return ["np.dtype", dtype_to_plain(value, path)]
    torch_module = sys.modules.get("torch")
    if torch_module is None:
        return None
    if isinstance(value, torch_module.Size):
        return ["torch.size", *value]
    if isinstance(value, torch_module.dtype):
        return ["torch.dtype", str(value).removeprefix("torch.")]
    if isinstance(value, torch_module.device):
        return ["torch.device", str(value)]
    return None


def _small_value(value: list[Any]) -> Any:
    tag, *rest = value
    if tag == "np.dtype":
        return dtype_from_plain(rest[0])
    import torch

    if tag == "torch.size":
        return torch.Size(rest)
    if tag == "torch.dtype":
        return torch_dtype(rest[0])
    if tag == "torch.device":
        return torch.device(rest[0])
    raise ValueError(f"an unknown kind of value: {tag!r}")


def _read_leaves(
    path: Path, leaves: list[dict[str, Any]], device: str, memory: StateMemory | None
) -> list[Any]:
    """Reads each part once, into memory of its own, and makes the leaves of them."""
    users = {leaf["part"]: leaf for leaf in leaves}
    data: dict[str, Any] = {}
    upload = _upload_to(device) if any(leaf.get("device") for leaf in leaves) else None
    with path.open("rb", buffering=0) as file:
        entries, _ = read_header(file, path.stat().st_size)
        for name, entry in entries.items():
            if users[name]["kind"] == "array":
                data[name] = np.empty(entry.size_bytes, np.uint8)
                fill(file, data[name])
            elif upload is not None and users[name].get("device"):
                data[name] = upload.read(file, entry.size_bytes)
            else:
                take = new_memory if memory is None else memory.take
                data[name] = take(entry.size_bytes)
                fill(file, data[name].numpy())
    if upload is not None:
        upload.finish()
    return [(array_of if leaf["kind"] == "array" else tensor_of)(leaf, data[leaf["part"]]) for leaf in leaves]


def _upload_to(device: str) -> Upload | None:
    """What brings tensors to a GPU; None where they are to stay in host memory."""
    import torch

    to = torch.device(device)
    if to.type == "cpu":
        return None
    from hippo_storage.device_copy import Upload

    return Upload(to)
