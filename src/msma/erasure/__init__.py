"""Take a concept out of one scale of a model: LEACE and mean projection, live, saved and loaded."""

from msma.erasure.fitting import fit_eraser
from msma.erasure.leace import ERASERS, BaseEraser, LeaceEraser, MeanProjectionEraser
from msma.erasure.scale import ScaleEraser

__all__ = ["ERASERS", "BaseEraser", "LeaceEraser", "MeanProjectionEraser", "ScaleEraser", "fit_eraser"]
