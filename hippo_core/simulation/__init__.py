"""The production engine in virtual time: what a search will take, before anything is spent."""

from hippo_core.simulation.costs import Costs, Host
from hippo_core.simulation.outcome import Simulated, SimulatedStudy, SimulatedTrial
from hippo_core.simulation.power_law import PowerLaw
from hippo_core.simulation.recorded import RecordedMetrics, table
from hippo_core.simulation.recorded_parts import Arrival, RecordedTrial
from hippo_core.simulation.recording import Recording
from hippo_core.simulation.response import Response
from hippo_core.simulation.run import simulate
from hippo_core.simulation.usage import Activity, Span

__all__ = [
    "Activity",
    "Arrival",
    "Costs",
    "Host",
    "PowerLaw",
    "RecordedMetrics",
    "RecordedTrial",
    "Recording",
    "Response",
    "Simulated",
    "SimulatedStudy",
    "SimulatedTrial",
    "Span",
    "simulate",
    "table",
]
