"""S07. Files of a checkpoint that were made to run code, or to take memory, do neither: they are no state.

Reading them is what `Checkpoint.load` and a worker do once the digests agree: as if the writer itself had been evil.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
import torch

from hippo_storage import state
from hippo_storage.errors import StateError
from hippo_storage.state_data import pack


class Evil:
    """Unpickled, it makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)  # the pickle names it; nothing here calls it


def header(body: object, length: int | None = None, data: bytes = b"") -> bytes:
    """A file of tensors with this header."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(shape: object, start: object = 0, stop: object = 12, dtype: object = "F32") -> dict[str, object]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}}


def archive_of_torch(canary: Path) -> bytes:
    target = io.BytesIO()
    torch.save({"a": Evil(canary)}, target)
    return target.getvalue()


def array_of_objects(canary: Path) -> bytes:
    target = io.BytesIO()
    np.save(target, np.array([Evil(canary)], dtype=object), allow_pickle=True)
    return target.getvalue()


def zipped_pickle(canary: Path) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as opened:
        opened.writestr("data.pkl", pickle.dumps(Evil(canary)))
    return target.getvalue()


PICKLES: dict[str, Callable[[Path], bytes]] = {
    **{
        f"pickle of protocol {protocol}": lambda canary, protocol=protocol: pickle.dumps(
            Evil(canary), protocol
        )
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1)
    },
    "torch": archive_of_torch,
    "NumPy": array_of_objects,
    "zip": zipped_pickle,
    "extension type": lambda canary: msgpack.packb(msgpack.ExtType(1, pickle.dumps(Evil(canary)))),
    "extension type as data": lambda canary: msgpack.packb(
        {"format": 1, "leaves": [], "data": msgpack.ExtType(1, pickle.dumps(Evil(canary)))}
    ),
    "a type of another's": lambda canary: pack(
        {"format": 1, "leaves": [], "data": ["object", "os.system", f"touch {canary}"]}
    ),
}
HEADERS: dict[str, bytes] = {
    "longer than the file": header({}, 2**40),
    "as long as can be": b"\xff" * 8,
    "no JSON": header(b"\x80\x04cos\nsystem\n(S'touch canary'\ntR."),
    "a list": header([]),
    "nested deep": header(b"[" * 100_000),
    "more than there is": header(entry([2**40], 0, 2**42)),
    "product that overflows": header(entry([2**33, 2**33, 2**33], 0, 12), data=b"\0" * 12),
    "negative length": header(entry([-3], 0, 12), data=b"\0" * 12),
    "negative place": header(entry([3], -12, 0), data=b"\0" * 12),
    "place beyond": header(entry([3], 2**62, 2**62 + 12), data=b"\0" * 12),
    "length that is a text": header(entry("333", 0, 12), data=b"\0" * 12),
    "type of objects": header(entry([3], 0, 12, "O"), data=b"\0" * 12),
    "type that is a list": header(entry([3], 0, 12, ["F32"]), data=b"\0" * 12),
    "name twice": header(b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":[]}', data=b"\0" * 12),
}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """The files of a good state."""
    folder = tmp_path / "state"
    state.write(state.capture({"a": torch.ones(3)}), folder)
    return folder


@pytest.mark.parametrize("file", [state.STRUCTURE, state.TENSORS])
@pytest.mark.parametrize("kind", PICKLES)
def test_what_is_pickled_stays_so(kind: str, file: str, saved: Path, tmp_path: Path) -> None:
    (saved / file).write_bytes(PICKLES[kind](tmp_path / "canary"))
    with pytest.raises(StateError):
        state.read(saved)
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_are_believed_nothing(kind: str, saved: Path) -> None:
    """No memory is taken for what a header claims before it agrees with the file's length."""
    (saved / state.TENSORS).write_bytes(HEADERS[kind])
    with pytest.raises(StateError):
        state.read(saved)


def test_the_canary_sings_where_something_is_unpickled(tmp_path: Path) -> None:
    """What the tests above would find."""
    pickle.loads(PICKLES["pickle of protocol 2"](tmp_path / "canary"))
    assert (tmp_path / "canary").exists()
