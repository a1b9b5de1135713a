"""An alignment: one fitted map for each pair of scales, with what it was fitted on."""

from msma.alignment.alignment import Alignment
from msma.alignment.unseen import sample_hashes

__all__ = ["Alignment", "sample_hashes"]
