"""What a text's global state predicts further down, and the directions in which that varies between texts."""

import numpy as np
from jaxtyping import Float

from msma._types import Pair
from msma.alignment import Alignment
from msma.errors import ScaleError
from msma.explanation.corpus import DOWNWARDS, StudyCorpus
from msma.explanation.shelf import Shelf

#: Directions that vary less than this share of the size of all hold rounding.
_ROUNDING = 1e-9


def check_downwards(alignment: Alignment) -> None:
    """Refuse maps that do not lead from the global scale down.

    Args:
        alignment: A study's maps.

    Raises:
        ScaleError: When a pair can be mapped neither directly nor through the intermediate scale.
    """
    for pair in DOWNWARDS:
        if pair not in alignment.chains:
            raise ScaleError(
                f"the study has no map {pair[0]} -> {pair[1]}, nor one through the intermediate scale; run it with "
                "the maps global -> intermediate and intermediate -> local"
            )


def find_directions(corpus: StudyCorpus, *, n_directions: int) -> dict[Pair, Float[np.ndarray, "d_target k"]]:
    """Find the directions in which what training texts' global states predict varies most.

    Args:
        corpus: A study.
        n_directions: Directions a pair, at most.

    Returns:
        Orthonormal columns by pair, most varying first.

    Raises:
        ScaleError: When a map predicts the same for every text.
    """
    shelf = Shelf.of_texts(corpus)
    rows = shelf.rows_of(corpus.splits.train)
    mapped = corpus.alignment.transform_scales(
        {scale: states[rows] for scale, states in shelf.states.items()}
    )
    found = {}
    for pair in DOWNWARDS:
        centred = mapped[pair] - mapped[pair].mean(axis=0)
        _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
        k = min(n_directions, int((sizes > _ROUNDING * np.linalg.norm(mapped[pair])).sum()))
        if k == 0:
            raise ScaleError(
                f"the map {pair[0]} -> {pair[1]} predicts the same for every text, so that nothing departs from it; "
                "give the study more texts"
            )
        found[pair] = directions[:k].T.copy()
    return found
