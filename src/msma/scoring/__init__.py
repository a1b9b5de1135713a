"""One mapped pair of scales on held-out texts, and how each measure of it gets its interval and its null.

Divergences compare two laws, but their samples here are pairs: a mapped text and its own target are anything
but independent. The unbiased formula for independent samples would subtract a bias that is not there (59 nats
for a perfect map at d = 768, n = 5,000), so the headline uses the one for pairs. The floor compares two halves
of the target, which are independent.
"""

from msma.scoring.case import Case, Rows, Samples
from msma.scoring.divergence import score_divergence
from msma.scoring.metrics import METRICS, score_case
from msma.scoring.variance import score_r2

__all__ = ["METRICS", "Case", "Rows", "Samples", "score_case", "score_divergence", "score_r2"]
