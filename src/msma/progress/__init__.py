"""How far a job is: bars on a terminal, one JSON object a line for schedulers, silent everywhere else."""

from msma.progress.log import log_event, log_json
from msma.progress.memory import peak_memory, resident_memory
from msma.progress.meter import Meter, progress

__all__ = ["Meter", "log_event", "log_json", "peak_memory", "progress", "resident_memory"]
