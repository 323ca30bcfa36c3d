"""Protections taken out of the production code one by one: the simulation has to notice each.

A simulation that finds nothing shows little unless it would find something. Each row below names a protection, and
what stands in its place: a module's source is compiled with those words exchanged, in a process of its own, and seeds
are run until one fails. Which seed that was is printed; a protection whose absence no seed notices ends the run badly.

    python -m tests.simulation.mutations --seeds 1000

Some protections are not here, since no simulation could miss them. How long a standby waits for a silent leader only
spares take-overs: every write checks the term. That a leader falls silent which has not heard of its database keeps
fresh what is read, and nobody reads here. That reports come without a gap is a stream's doing already.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

CHECKED = 1000  #: seeds, unless told otherwise


@dataclass(frozen=True, slots=True)
class Mutation:
    """A protection, and its absence.

    Attributes:
        protection: What is taken out, in words.
        module: Where it is.
        old: Its source; these words stand once in the module.
        new: What stands in their place.
    """

    protection: str
    module: str
    old: str
    new: str


MUTATIONS = (
    Mutation(
        "a transaction checks the leader's term",
        "tests.simulation.database",
        "if self.leader is None or (self.checks_term and self.leader.term != term):",
        "if self.leader is None:",
    ),
    Mutation(
        "a worker does not listen to an earlier leader",
        "hippo_worker.connection",
        "if term < self._term:",
        "if False:",
    ),
    Mutation(
        "a report is taken in once",
        "hippo_core.engine.reports",
        "if command.number <= lease.report:\n"
        "        return Accepted(fence=lease.fence, number=lease.report, fresh=False)",
        "",
    ),
    Mutation(
        "what is told waits for its commit",
        "hippo_server.term",
        "        await self.commits.committed()\n",
        "",
    ),
    Mutation(
        "a request id has one answer",
        "hippo_server.answers",
        "return known.answer",
        "return None",
    ),
    Mutation(
        "a request id is of one request",
        "hippo_server.answers",
        "if (known.method, known.digest) != (request.method, request.digest):",
        "if False:",
    ),
    Mutation(
        "an engine whose commit failed is dropped",
        "hippo_server.commits",
        "            self._store.write(records, self._term, self._batch + 1)\n",
        "            with contextlib.suppress(Exception):\n"
        "                self._store.write(records, self._term, self._batch + 1)\n",
    ),
    Mutation(
        "who has a job for a writer that has ended hears of it",
        "hippo_server.commits",
        "        for _, result in jobs:\n            _settle(result, None, error)\n",
        "",
    ),
    Mutation(
        "a new leader gives every lease its full time",
        "hippo_core.engine.engine",
        "self.volatile.worker_deadlines[worker.name] = now + self.settings.lease_seconds",
        "self.volatile.worker_deadlines[worker.name] = now",
    ),
    Mutation(
        "an orphan ends when another slot takes its work",
        "hippo_core.engine.granting",
        "if not end_orphans(decision, choice.plan.id, path.stages) and not _grant(decision, choice):",
        "if not _grant(decision, choice):",
    ),
    Mutation(
        "a lease goes on in the life of the worker that holds it",
        "hippo_core.engine.workers",
        "lease.fence for lease in before if lease.incarnation == command.incarnation and lease.fence in held",
        "lease.fence for lease in before",
    ),
    Mutation(
        "metrics of a step are recorded once",
        "hippo_core.engine.reports",
        "if item.evaluated and item.step in node.metrics:",
        "if False:",
    ),
    Mutation(
        "what a granted path loads is not let go",
        "hippo_core.engine.holdings",
        "each.need = Need.LEASED",
        "each.need = Need.NOBODY",
    ),
    Mutation(
        "what a path has saved on its way stays while another is to load it",
        "hippo_core.engine.reports",
        "        if _is_to_be_loaded(decision, (number, step)):\n            continue\n",
        "",
    ),
    Mutation(
        "files are removed once it is committed that they may go",
        "hippo_server.removal",
        "            await term.settled()\n",
        "",
    ),
    Mutation(
        "a sweep spares what is recorded",
        "hippo_server.store.needed",
        "fence in self.writing or (node, step, fence) in self.named",
        "fence in self.writing",
    ),
    Mutation(
        "a sweep spares what a lease may still report",
        "hippo_server.store.needed",
        "fence > self.last_fence or fence in self.writing or ",
        "",
    ),
    Mutation(
        "reports that nobody has acknowledged are sent again",
        "hippo_worker.connection",
        "again = self._desk.unacknowledged()",
        "again: list[Report] = []",
    ),
    Mutation(
        "a lease that was dropped while its worker registered is not taken to be held",
        "hippo_worker.connection",
        "while held is None or self._desk.registration().leases != held.leases:",
        "while held is None:",
    ),
    Mutation(
        "a lease that is over is not begun again",
        "hippo_worker.daemon",
        "if message.fence in self._leases or message.fence in self._over:",
        "if message.fence in self._leases:",
    ),
    Mutation(
        "nothing is said of a lease that was dropped",
        "hippo_worker.lease",
        "if self.dropped.is_set() or isinstance(self.ending, FailedReport | ReleasedReport):",
        "if False:",
    ),
    Mutation(
        "states of a lease become durable in the order of their steps",
        "hippo_worker.publishing",
        "async with lease.publishing:",
        "if True:",
    ),
    Mutation(
        "a state is said to be kept once it is durable",
        "hippo_worker.publishing",
        "*storage.publish_all([asked.state for asked in taken], keep=True)\n        ]",
        """]
        from hippo_storage.manifest import Manifest
        from hippo_storage.storage import spooled_files
        for asked in taken:
            files = spooled_files(asked.state.folder, {})
            made = Manifest(location=asked.state.location, files=files, about={})
            outcomes.append(Published.of(made))""",
    ),
    Mutation(
        "cached files are looked at before they are used",
        "hippo_worker.checkpoints",
        "if path.stat().st_size != entry.size_bytes or digest_of(path) != entry.digest:",
        "if False:",
    ),
    Mutation(
        "a file's digest is looked at when it is fetched",
        "hippo_storage.verify",
        "    if digest != entry.digest:",
        "    if False:",
    ),
    Mutation(
        "a file's length is looked at when it is fetched",
        "hippo_storage.verify",
        "    if size_bytes != entry.size_bytes:",
        "    if False:",
    ),
    Mutation(
        "a checkpoint is the one that was recorded",
        "hippo_storage.manifest",
        "if digest is not None and blake3(data).hexdigest() != digest:",
        "if False:",
    ),
    Mutation(
        "a checkpoint's files are synced",
        "hippo_storage.local_publishing",
        "for file in (*each.manifest.files, MANIFEST):",
        "for file in (MANIFEST,):",
    ),
    Mutation(
        "a checkpoint's manifest is synced",
        "hippo_storage.local_publishing",
        "for file in (*each.manifest.files, MANIFEST):",
        "for file in each.manifest.files:",
    ),
    Mutation(
        "the folder of a checkpoint's files is synced",
        "hippo_storage.local_publishing",
        "        self._files.sync_folder(each.temporary)\n",
        "",
    ),
    Mutation(
        "the folders above a checkpoint are synced",
        "hippo_storage.local_publishing",
        "    def _sync_above(self, each: Publication) -> None:\n        for folder in self._above(each):",
        "    def _sync_above(self, each: Publication) -> None:\n        for folder in ():",
    ),
)


class Mutated(SourceFileLoader):
    """Loads a module with some of its words exchanged."""

    def __init__(self, name: str, path: str, mutation: Mutation) -> None:
        super().__init__(name, path)
        self._mutation = mutation

    def get_code(self, fullname: str) -> CodeType | None:
        return compile(exchanged(self._mutation), self.get_filename(fullname), "exec", dont_inherit=True)


class Finder:
    """Finds the one module that is to be loaded otherwise."""

    def __init__(self, mutation: Mutation) -> None:
        self._mutation = mutation

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != self._mutation.module:
            return None
        sys.meta_path.remove(self)
        file = str(source_of(name))
        return importlib.util.spec_from_file_location(name, file, loader=Mutated(name, file, self._mutation))


def source_of(module: str) -> Path:
    """The file of a module, which is not loaded for that."""
    root = Path(__file__).parents[2]
    return root.joinpath(*module.split(".")).with_suffix(".py")


def exchanged(mutation: Mutation) -> str:
    """The module's source without the protection.

    Raises:
        ValueError: It is not there, or not once: the row has to be written anew.
    """
    source = source_of(mutation.module).read_text()
    if source.count(mutation.old) != 1:
        raise ValueError(f"{mutation.module} has {mutation.old!r} {source.count(mutation.old)} times")
    return source.replace(mutation.old, mutation.new)


def run_one(mutation: Mutation, first: int, seeds: int) -> None:
    """Runs seeds without a protection, in this process, up to the first that notices."""
    sys.meta_path.insert(0, Finder(mutation))
    from tests.simulation.run import simulate

    for seed in range(first, first + seeds):
        verdict = simulate(seed)
        if verdict.violations:
            print(f"seed {seed}: {verdict.violations[0].strip()}")  # noqa: T201
            return
    sys.exit(1)


def main() -> None:
    """Takes each protection out."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutations")
    parser.add_argument("--seeds", type=int, default=CHECKED, help="try so many without each")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--only", default="", help="of the protections only those with these words")
    parser.add_argument("--inside", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside is not None:
        run_one(MUTATIONS[given.inside], given.first, given.seeds)
        return
    unnoticed = 0
    for number, mutation in enumerate(MUTATIONS):
        if given.only not in mutation.protection:
            continue
        command = [sys.executable, "-m", "tests.simulation.mutations", "--inside", str(number)]
        command += ["--first", str(given.first), "--seeds", str(given.seeds)]
        began = time.monotonic()
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        seen = found.stdout.strip() or "nobody notices" if found.returncode in (0, 1) else found.stderr[-300:]
        unnoticed += found.returncode != 0
        print(f"{mutation.protection}: {seen[:150]} ({time.monotonic() - began:.0f} s)", flush=True)  # noqa: T201
    sys.exit(unnoticed > 0)


if __name__ == "__main__":
    main()
