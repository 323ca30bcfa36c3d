"""A trainer that does nothing, to tell what Hippo does around its steps."""

from __future__ import annotations

from typing import Any

import hippo_client as hippo


class Idle(hippo.Trainer):
    """Trains nothing."""

    def setup(self, context: hippo.Context) -> None:
        self.lr = 0.0

    def apply(self, hp: Any) -> None:
        self.lr = hp["lr"]

    def train(self, step: int) -> None:
        pass

    def evaluate(self) -> dict[str, float]:
        return {"loss": 0.0}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass
