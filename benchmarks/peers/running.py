"""One run of one system: in a folder of its own, watched, and removed afterwards."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import processes
from benchmarks.peers import notes
from benchmarks.peers.environments import HERE, ROOT, python_of

SYSTEMS = HERE / "systems"
Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class System:
    """A system that trains the workload.

    Attributes:
        name: As figures are called.
        command: From the part ("grid" or "asha") and a folder: what trains it.
        prepare: From the folder: what makes a database there beforehand; empty: there is none.
        afterwards: What ends the system where the command leaves it running; it is watched, too.
        parts: What it can do.
        environment: The one of ``requirements/`` that it needs; empty: Hippo's own.
    """

    name: str
    command: Callable[[str, Path], Command]
    prepare: Callable[[Path], Command] = lambda folder: ()
    afterwards: tuple[Command, ...] = ()
    parts: tuple[str, ...] = ("grid", "asha")
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """Bytes.

    Attributes:
        calls: Given to write calls.
        dirtied: Of pages of files, as the kernel accounts for them.
        device: By the disk, for anybody.
    """

    calls: int
    dirtied: int
    device: int


@dataclass(frozen=True, slots=True)
class Run:
    """What a run came to.

    Attributes:
        epochs: As the workload noted them.
        wall_seconds: From the command to its end.
        start_up_seconds: From the command to the first epoch.
        wind_down_seconds: From the last epoch to the command's end.
        processor_seconds: Of all processes.
        peak_bytes: Of memory, of all processes together (PSS).
        written: By all processes, in the three ways in which ``observe`` counts.
        preparation: The same, of making the database; ``None`` where there is none.
        preparation_seconds: That making the database took.
        files: That are left.
        left_bytes: That they take on disk.
        said: The versions that the system told.
    """

    epochs: notes.Epochs
    wall_seconds: float
    start_up_seconds: float
    wind_down_seconds: float
    processor_seconds: float
    peak_bytes: int
    written: Written
    preparation: Written | None
    preparation_seconds: float
    files: int
    left_bytes: int
    said: str


def run(system: System, part: str) -> Run:
    """Runs a system once.

    Raises:
        RuntimeError: It failed; with the end of what it said.
    """
    with _folder() as folder:
        prepared = None
        if before := system.prepare(folder):
            prepared = _observe(folder, "prepare", before, system.afterwards)
        observed = _observe(folder, part, system.command(part, folder), system.afterwards)
        epochs = notes.read(folder / "notes")
        log = (folder / f"{part}.log").read_text(errors="replace")
        files = [each for each in folder.rglob("*") if each.is_file() and not each.is_symlink()]
        said = [line.partition(": ")[2] for line in log.splitlines() if line.startswith("versions: ")]
        return Run(
            epochs=epochs,
            wall_seconds=observed["ended"] - observed["began"],
            start_up_seconds=epochs.first - observed["began"],
            wind_down_seconds=observed["ended"] - epochs.last,
            processor_seconds=observed["processor_seconds"],
            peak_bytes=observed["peak_bytes"],
            written=_written(observed),
            preparation=_written(prepared) if prepared else None,
            preparation_seconds=prepared["ended"] - prepared["began"] if prepared else 0.0,
            files=len(files),
            left_bytes=sum(each.stat().st_blocks * 512 for each in files),
            said=", ".join(said),
        )


def _observe(folder: Path, name: str, command: Command, afterwards: tuple[Command, ...]) -> dict[str, Any]:
    plan = folder / f"{name}.plan.json"
    result, log = folder / f"{name}.result.json", folder / f"{name}.log"
    said = {
        "command": list(command),
        "afterwards": [list(each) for each in afterwards],
        "environment": {
            "CUDA_VISIBLE_DEVICES": "",
            "HIPPO_HOME": str(folder / "home"),
            "PEERS_NOTES": str(folder / "notes"),
            "PEERS_PART": name,
            "PYTHONDONTWRITEBYTECODE": "",  # Hippo as it is when it is installed, with its bytecode
            "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)]),
            "SYNETUNE_FOLDER": str(folder),
        },
        "log": str(log),
        "result": str(result),
    }
    plan.write_text(json.dumps(said))
    subprocess.run([sys.executable, str(HERE / "observe.py"), str(plan)], check=True)
    observed: dict[str, Any] = json.loads(result.read_text())
    if observed["exit_code"] != 0:
        ending = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise RuntimeError(f"{command[0]} exits {observed['exit_code']}:\n{ending}")
    return observed


def _written(observed: dict[str, Any]) -> Written:
    return Written(observed["written_bytes"], observed["dirtied_bytes"], observed["device_bytes"])


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="peers-"))
    (folder / "notes").mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _script(environment: str, script: str) -> Callable[[str, Path], Command]:
    """A script in a peer's environment, which is told the part and the folder."""
    return lambda part, folder: (
        str(python_of(environment)),
        str(SYSTEMS / script),
        part,
        str(folder),
    )


def with_postgres(folder: Path, *command: str) -> Command:
    """A command with a database beside it, whose address it finds in `PEERS_DATABASE`."""
    return sys.executable, str(SYSTEMS / "with_postgres.py"), str(folder / "home"), *command


def _hippo(part: str, folder: Path) -> Command:
    study = folder / "study"
    study.mkdir()
    for each in (HERE / "workload.py", *(SYSTEMS / "hippo").glob("*.py")):
        shutil.copy(each, study)
    return *processes.HIPPO, "run", str(study / "study.py"), "--slots", "2"


def _hippo_stopping(part: str, folder: Path) -> Command:
    return "env", "PEERS_STOPPING=1", *_hippo(part, folder)


BARE = System("bare loop", _script("bare", "bare_loop.py"), parts=("grid",), environment="bare")
HIPPO = System(
    "Hippo",
    _hippo,
    # The first command that needs a server makes the database.
    prepare=lambda folder: (*processes.HIPPO, "study", "ls"),
    afterwards=((*processes.HIPPO, "down"),),
)
HIPPO_STOPPING = replace(HIPPO, name="Hippo that stops", command=_hippo_stopping, parts=("asha",))
OPTUNA = System(
    "Optuna",
    lambda part, folder: with_postgres(folder, *_script("optuna", "optuna_study.py")(part, folder)),
    prepare=lambda folder: with_postgres(folder, "true"),
    environment="optuna",
)
RAY = System("Ray Tune", _script("ray", "ray_tune.py"), environment="ray")
SYNE_TUNE = System("Syne Tune", _script("syne-tune", "syne_tune_search.py"), environment="syne-tune")

PEERS = (OPTUNA, RAY, SYNE_TUNE)
ALL = (BARE, HIPPO, HIPPO_STOPPING, *PEERS)
