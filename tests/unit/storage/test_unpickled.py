"""Nothing that lies in a checkpoint is ever unpickled, whatever it pretends to be."""

import ast
import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

import hippo_storage
from hippo_core.syntax import parse_module
from hippo_storage import state as states
from hippo_storage.errors import StateError

PACKAGES = sorted(
    path
    for name in ("core", "wire", "storage", "server", "worker", "client")
    for path in (Path(hippo_storage.__file__).parents[1] / f"hippo_{name}").rglob("*.py")
)
#: Readers of formats that run what they read, by module.
UNSAFE = {
    "pickle": {"load", "loads", "Unpickler"},
    "torch": {"load"},
    "np": {"load"},
    "numpy": {"load"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
}


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return os.system, (f"touch {self._mark}",)


def saved_by_torch(bomb: Bomb) -> bytes:
    target = io.BytesIO()
    torch.save({"bomb": bomb}, target)
    return target.getvalue()


def zipped(bomb: Bomb) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(bomb))
    return target.getvalue()


@pytest.mark.parametrize("name", [states.STRUCTURE, states.TENSORS])
@pytest.mark.parametrize("form", ["pickle", "torch", "zip"])
def test_a_pickle_in_a_files_place_is_refused_and_not_run(name: str, form: str, tmp_path: Path) -> None:
    states.write(states.capture({"weights": torch.ones(2)}), tmp_path / "state")
    bomb = Bomb(tmp_path / "ran")
    data = {"pickle": pickle.dumps, "torch": saved_by_torch, "zip": zipped}[form](bomb)
    pickle.loads(pickle.dumps(bomb))
    assert (tmp_path / "ran").exists(), "the bomb works"
    (tmp_path / "ran").unlink()
    (tmp_path / "state" / name).write_bytes(data)
    with pytest.raises(StateError):
        states.read(tmp_path / "state")
    assert not (tmp_path / "ran").exists()


def test_no_reader_of_pickles_is_called() -> None:
    found = []
    for path in PACKAGES:
        for node in ast.walk(parse_module(path.read_text())):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                unsafe = node.attr in UNSAFE.get(node.value.id, ())
            elif isinstance(node, ast.ImportFrom):
                unsafe = bool(UNSAFE.get(node.module or "", set()) & {alias.name for alias in node.names})
            else:
                continue
            if unsafe:
                found.append(f"{path}, line {node.lineno}")
    assert len(PACKAGES) > 300
    assert found == []
