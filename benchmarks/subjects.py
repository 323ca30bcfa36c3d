"""The subjects of ``python -m benchmarks``, in the order in which they run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module

from benchmarks.figures import Found


@dataclass(frozen=True, slots=True)
class Subject:
    """Figures that are measured together, in a process of their own.

    Attributes:
        name: As given to the command.
        about: One line.
        module: Has ``measure() -> Iterator[Found]``, and ``prepare() -> None`` where there is what to prepare.
        gpu: Whether it is measured on a GPU, where there is one; from the others GPUs are hidden.
    """

    name: str
    about: str
    module: str
    gpu: bool = False

    def prepare(self) -> None:
        """Makes what is made once and counts for no limit, such as environments of others."""
        getattr(import_module(self.module), "prepare", lambda: None)()

    def measure(self) -> Iterator[Found]:
        """Measures; each figure is given as soon as it is known."""
        found: Iterator[Found] = import_module(self.module).measure()
        return found


SUBJECTS = (
    Subject("overhead", "one trial, nothing shared, against the bare loop", "benchmarks.overhead"),
    Subject(
        "scheduling", "the paper's studies in virtual time against lower bounds", "benchmarks.scheduling"
    ),
    Subject("checkpoints", "saving and loading, against a copy and against dd", "benchmarks.checkpoints"),
    Subject("gpu", "steps, states and resuming on a GPU, where there is one", "benchmarks.gpu", gpu=True),
    Subject("sharing", "the demo's grid on two slots against its lower bound", "benchmarks.sharing"),
    Subject("start-up", "from hippo run to the first training step", "benchmarks.start_up"),
    Subject(
        "handover", "how long a slot stands still between stages, paths and trials", "benchmarks.handover"
    ),
    Subject("parts", "where a millisecond goes: of a step, a checkpoint, a trial", "benchmarks.parts"),
    Subject("control", "trials and reports a second, latencies, round trips", "benchmarks.control"),
    Subject("peers", "Ray Tune, Optuna, Syne Tune and a bare loop on the same work", "benchmarks.peers"),
    Subject(
        "peers-control", "no-op trials of Optuna and Ray Tune, Optuna's latencies", "benchmarks.peers.control"
    ),
    Subject("pages", "opening the dashboard's pages of large studies", "benchmarks.pages"),
    Subject("take-over", "how long nobody leads when the leading server has gone", "benchmarks.take_over"),
    Subject("footprint", "what trials, reports and checkpoints take in the database", "benchmarks.footprint"),
    Subject("core", "the plan, the engine, planning and restarting by their size", "benchmarks.core"),
)
