"""torch's settings that decide bits are a trainer's state, and no other trainer's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hippo_worker.hosting.host import PathHost
from hippo_worker.hosting.link import Trained
from hippo_worker.hosting.numerics import capture_numerics, restore_numerics
from hippo_worker.hosting.order import StartFrom
from tests.unit.hosting.memory_link import MemoryLink
from tests.unit.hosting.orders import Values, make_order
from tests.unit.hosting.untouched import untouched

ROUNDED: Values = [{"rounded": True}] * 4
EXACT: Values = [{"rounded": False}] * 4

backends: Any = torch.backends
CHANGES: list[Callable[[], object]] = [
    *(lambda to=to: torch.set_float32_matmul_precision(to) for to in ("highest", "high", "medium")),
    *(lambda to=to: setattr(backends.cudnn, "allow_tf32", to) for to in (False, True)),
    *(lambda to=to: setattr(backends, "fp32_precision", to) for to in ("ieee", "tf32", "none")),
    *(
        lambda part=part, to=to: setattr(part, "fp32_precision", to)
        for part in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn, backends.mkldnn.conv)
        for to in ("ieee", "tf32", "none")
    ),
    lambda: setattr(backends.cuda.matmul, "allow_bf16_reduced_precision_reduction", False),
    lambda: setattr(backends.cuda.matmul, "allow_fp16_accumulation", True),
    lambda: setattr(backends.cudnn, "benchmark", True),
    lambda: setattr(backends.mkldnn, "deterministic", True),
    lambda: backends.cuda.enable_flash_sdp(False),
    lambda: torch.set_deterministic_debug_mode("error"),
    lambda: torch.set_default_dtype(torch.float64),
]  # fmt: skip
changes = st.lists(st.sampled_from(range(len(CHANGES))), max_size=6)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(earlier=changes, later=changes)
def test_settings_come_back_from_any_others(earlier: list[int], later: list[int]) -> None:
    with untouched():
        for number in earlier:
            CHANGES[number]()
        saved = capture_numerics()
        for number in later:
            CHANGES[number]()
        restore_numerics(saved)
        found = capture_numerics()
    # What the older names say is not told where the newer ones contradict it, and does not matter then.
    older = ("float32_matmul_precision", "cudnn.allow_tf32")
    assert {name: found[name] for name in found if name not in older or saved[name] is not None} == {
        name: saved[name] for name in saved if name not in older or saved[name] is not None
    }


def evaluations(host: PathHost, spool: Path, values: Values, start: StartFrom | None = None) -> MemoryLink:
    link = MemoryLink()
    first = 0 if start is None else start.step
    node = 1 if start is None else 2
    order = make_order(spool, "setting_trainers:Setting", values, [(node, first, 2 + first)], start=start)
    assert host.run(order, link) == Trained()
    host.finish_saves()
    return link


def test_a_trainer_goes_on_with_its_settings_and_does_not_find_those_of_another(tmp_path: Path) -> None:
    """1. A trial sets two. 2. Another, by a trainer of its own in the same process, finds neither. 3. The first goes
    on in a new host, where only its state can tell of the second setting."""
    host = PathHost("cpu", 1)
    rounded = evaluations(host, tmp_path, ROUNDED)
    exact = evaluations(host, tmp_path, EXACT)
    host.close()
    assert rounded.evaluations() == {1: {"rounded": 1.0, "tried": 0.0}, 2: {"rounded": 1.0, "tried": 1.0}}
    assert exact.evaluations() == {1: {"rounded": 0.0, "tried": 0.0}, 2: {"rounded": 0.0, "tried": 1.0}}
    torch.backends.cudnn.benchmark = False
    fresh = PathHost("cpu", 1)
    start = StartFrom(node=1, step=2, fence=1, folder=rounded.folder(1, 2))
    resumed = evaluations(fresh, tmp_path, ROUNDED, start)
    fresh.close()
    assert resumed.evaluations() == {step: {"rounded": 1.0, "tried": 1.0} for step in (3, 4)}
