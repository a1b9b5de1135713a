"""What remains of a corpus that is too large to keep: moments of the three scales, and a sample of held-out texts."""

from msma.scale_moments.building import MomentsBuilder
from msma.scale_moments.heldout import HeldoutSample
from msma.scale_moments.moments import ScaleMoments
from msma.scale_moments.seen import SeenTexts, mark_documents, mark_samples, mark_texts
from msma.scale_moments.settings import MomentSettings, check_scale_origin
from msma.scale_moments.splitting import DocumentCount, assign_split

__all__ = [
    "DocumentCount",
    "HeldoutSample",
    "MomentSettings",
    "MomentsBuilder",
    "ScaleMoments",
    "SeenTexts",
    "assign_split",
    "check_scale_origin",
    "mark_documents",
    "mark_samples",
    "mark_texts",
]
