"""An explanation whose token scores have still to be held against random deletions."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from msma.explanation.attribution import Deletions, check_attributions
from msma.explanation.record import Explanation


@dataclass(frozen=True, kw_only=True, eq=False)
class UncheckedExplanation:
    """An explanation that is ready but for the check of its token scores, which takes about as long as the rest.

    Args:
        explanation: Everything that is known; its attributions have no comprehensiveness, random and p-value.
        deletions: What was read to score the tokens.
        n_draws: Random orders of deletion that the scores are to be compared with.
        seed: Fixes them.
    """

    explanation: Explanation
    deletions: Deletions
    n_draws: int
    seed: int

    def check(self, *, give_way: Callable[[], None] | None = None) -> Explanation:
        """Check the token scores.

        Args:
            give_way: Called before each batch of the model, so that others may use it; what it raises ends the check.

        Returns:
            The whole explanation, with the numbers that :meth:`msma.Explainer.explain` gives in one go.
        """
        found = check_attributions(
            self.deletions,
            self.explanation.attributions,
            n_draws=self.n_draws,
            seed=self.seed,
            give_way=give_way,
        )
        return replace(self.explanation, attributions=found)
