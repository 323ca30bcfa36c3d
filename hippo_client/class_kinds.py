"""The classes that users write and studies name: what each derives from, and must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hippo_core.own_policy import Policy
from hippo_core.training import Trainer


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassKind:
    """A kind of class.

    Attributes:
        field: The argument of ``Study`` that names it.
        base: What it derives from.
        methods: What it must have; with the arguments of each, beside ``self``.
        example: How a reference is written.
        cell: What a notebook's cell with it is written to.
    """

    field: str
    base: type
    methods: Mapping[str, tuple[str, ...]]
    example: str
    cell: str

    @property
    def derives(self) -> str:
        """Its base, as people write it."""
        return f"hippo.{self.base.__name__}"

    @property
    def bases(self) -> frozenset[str]:
        """The full names under which a source can name its base."""
        return frozenset(
            {f"hippo_client.{self.base.__name__}", f"{self.base.__module__}.{self.base.__name__}"}
        )

    @property
    def duty(self) -> str:
        """What it must have, in words."""
        *others, last = self.methods
        listed = f"{', '.join(others)} and " if others else ""
        return f"A {self.field} has {listed}{last}."

    @property
    def form(self) -> str:
        """How a reference is written, in words."""
        return f'Give "module:Class", e.g. {self.example}.'


TRAINER = ClassKind(
    field="trainer",
    base=Trainer,
    methods={"setup": ("context",), "apply": ("hp",), "train": ("step",), "evaluate": ()},
    example='"trainer:DigitsTrainer" for a class in trainer.py beside the study file',
    cell="trainer",
)
POLICY = ClassKind(
    field="policy",
    base=Policy,
    methods={"decide": ()},
    example='"my_policy:MyPolicy" for a class in my_policy.py beside the study file',
    cell="my_policy",
)
