"""Endings: what ends a study before all its trials have come to their end."""

from hippo_client.missing import refuse_unknown
from hippo_core.endings import PEERS, max_slot_hours, max_trained_steps, plateau, target, terminator, timeout

__all__ = ["max_slot_hours", "max_trained_steps", "plateau", "target", "terminator", "timeout"]

__getattr__ = refuse_unknown("endings", __all__, peers=PEERS)
