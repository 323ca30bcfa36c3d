"""What the step loop, its values, and the saves beside it add to a bare loop on the same device."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.figures import Figure
from benchmarks.gpu.paths import Size, train, train_bare
from hippo_worker.hosting.host import PathHost

SAVES = 5  #: on a path that is saved on its way


def measure(size: Size, rounds: int, device: str, spool: Path) -> Iterator[Figure]:
    """Each path of Hippo's stands between two bare loops; one is not saved before its end, the other is."""
    every = max(1, size.steps // SAVES)
    plain, saved, itself, blocked, seconds = [], [], [], [], []
    host = PathHost(device, 1)
    train(
        host, size, spool / "first"
    )  # kernels are chosen and memory is taken by the first steps of a process
    before = train_bare(size, device)
    for turn in range(rounds):
        _, took = train(host, size, spool / f"plain-{turn}")
        between = train_bare(size, device)
        notes, took_saved = train(host, size, spool / f"saved-{turn}", every=every)
        after = train_bare(size, device)
        plain.append(2 * took / (before + between))
        saved.append(2 * took_saved / (between + after))
        itself.append(2 * between / (before + after))
        blocked += [each * 1e3 for each in notes.blocked]
        seconds.append(1e3 * between / size.steps)
        before = after
    host.close()
    name = f"batch {size.batch_size}"
    yield Figure(f"{name}, a step of the bare loop", tuple(seconds), "ms")
    least = min(seconds)
    aim = 1.005 if least >= 50 else 1.01 if least >= 5 else 1.02
    yield Figure(
        f"{name}, under Hippo", tuple(plain), "x bare loop", aim, note="the rate is another at each step"
    )
    yield Figure(
        f"{name}, the bare loop itself", tuple(itself), "x bare loop", note="against those around it"
    )
    yield Figure(
        f"{name}, saved every {every} steps", tuple(saved), "x bare loop",
        note=f"{size.steps // every} saves in {size.steps} steps",
    )  # fmt: skip
    yield Figure(
        f"{name}, kept by a save", tuple(blocked), "ms", note="the host by calls, and the device by copying"
    )
