"""Orders for paths of test trainers, from values written out step by step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hippo_core.formulas import Table
from hippo_core.laws import Form, law
from hippo_core.program import Program
from hippo_core.sequence import Laws
from hippo_core.values import Scalar
from hippo_worker.hosting.order import PathOrder, SetupOrder, StageOrder, StartFrom

BUNDLE = Path(__file__).parent / "bundle"
Values = Sequence[Mapping[str, Scalar]]  #: by step from 0
_fences = itertools.count(1)


def laws_of(values: Values) -> Laws:
    """Laws that have these values at steps 0, 1, ..."""
    return Laws.of(
        {name: law(Table(tuple(each[name] for each in values)), 0, Form.PLAIN) for name in values[0]}
    )


def make_order(
    spool: Path,
    trainer: str,
    values: Values,
    stages: Iterable[tuple[int, int, int]],
    *,
    start: StartFrom | None = None,
    save_points: Iterable[tuple[int, int]] = (),
    checkpoint_every: int | None = None,
    code: Path = BUNDLE,
    seed: int = 7,
    **program: Any,
) -> PathOrder:
    made = Program(trainer=trainer, code_digest="", seed=seed, **program)
    return PathOrder(
        fence=next(_fences),
        plan=1,
        program=made,
        program_key=made.key,
        code=code,
        setup_laws=laws_of(values),
        start=start,
        stages=tuple(
            StageOrder(node=node, start=first, stop=stop, laws=laws_of(values))
            for node, first, stop in stages
        ),
        save_points=frozenset(save_points),
        checkpoint_every=checkpoint_every,
        spool=spool,
        data_dir=spool,
    )


def setup_of(order: PathOrder) -> SetupOrder:
    """What a slot is told that is made ready for a path."""
    return SetupOrder(
        program=order.program,
        program_key=order.program_key,
        code=order.code,
        setup_laws=order.setup_laws,
        data_dir=order.data_dir,
    )
