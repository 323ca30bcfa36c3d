"""The names of the metrics that a study's trials report."""

from __future__ import annotations

from hippo_core.engine.state import EngineState
from hippo_core.engine.study import Study


class ReportedNames:
    """The names of the metrics that a study's trials report: found where requests closed, and where leases train.

    Attributes:
        names: Those that were found, in the order in which they came.
    """

    def __init__(self) -> None:
        self.names: dict[str, None] = {}
        self._looked_at = 0

    def go_on(self, state: EngineState, study: Study, count: int) -> bool:
        """Looks at what has come since, at so many requests at most; tells whether there are more."""
        closings = study.closings[self._looked_at : self._looked_at + count]
        for closing in closings:
            leaf = study.member(closing.trial).leaf
            if leaf is not None and closing.step > 0:
                self.names.update(dict.fromkeys(leaf.owner(closing.step).metrics.get(closing.step, ())))
        self._looked_at += len(closings)
        if self._looked_at < len(study.closings):
            return True
        for number in state.plans[study.plan].tree.leases:
            node = state.nodes[number]
            if study.id in node.open and node.metrics:
                self.names.update(dict.fromkeys(node.metrics[max(node.metrics)]))
        return False
