"""Explain a text across its scales: where it lies, what drives it, what it reads as, where it departs from itself."""

from msma.explanation.checking import UncheckedExplanation
from msma.explanation.explainer import Explainer, explain
from msma.explanation.faithfulness import measure_faithfulness
from msma.explanation.record import Explanation

__all__ = ["Explainer", "Explanation", "UncheckedExplanation", "explain", "measure_faithfulness"]
