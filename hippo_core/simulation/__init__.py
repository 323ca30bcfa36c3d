"""The production engine in virtual time: what a search will take, before anything is spent."""

from hippo_core.simulation.costs import Costs, Host
from hippo_core.simulation.outcome import Simulated, SimulatedStudy, simulate
from hippo_core.simulation.power_law import PowerLaw
from hippo_core.simulation.recorded import RecordedMetrics
from hippo_core.simulation.response import Response
from hippo_core.simulation.usage import Activity, Span

__all__ = [
    "Activity",
    "Costs",
    "Host",
    "PowerLaw",
    "RecordedMetrics",
    "Response",
    "Simulated",
    "SimulatedStudy",
    "Span",
    "simulate",
]
