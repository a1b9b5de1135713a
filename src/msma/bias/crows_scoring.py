"""Score the pairs of CrowS-Pairs on a model."""

import difflib
from collections.abc import Sequence
from typing import Literal, TypeAlias, get_args

import numpy as np

from msma.bias.crows import CrowsScore
from msma.bias.formats import CrowsPair
from msma.bias.likelihood import Say, TokenText, check_language_model, read_tokens, token_log_probs
from msma.bias.scores import describe_model
from msma.errors import ConfigError, CorpusError
from msma.models import LoadedModel

Scoring: TypeAlias = Literal["shared", "sentence"]


def crows_score(
    loaded: LoadedModel,
    pairs: Sequence[CrowsPair],
    *,
    scoring: Scoring = "shared",
    batch_rows: int = 32,
    seed: int = 0,
    say: Say | None = None,
) -> CrowsScore:
    r"""Score the pairs of CrowS-Pairs (Nangia et al. 2020, equation 1).

    .. math:: \mathrm{score}(S) = \sum_{u \in U} \log p(u \mid U_{\setminus u}, M)

    with U the tokens that both sentences share and M those in which they differ. Shared tokens are those in the equal
    blocks of ``difflib`` over token ids, as published; special tokens are never masked. A masked model has each shared
    token masked in turn, given everything else. A causal model or a decoder cannot condition on what comes later:
    "shared" then sums :math:`\log p(u \mid \text{what stands before } u)` over the shared tokens. Tokens before the
    first difference cancel, so this only approximates p(U | M), and is blind to words that differ at the very end.
    "sentence" sums over all tokens instead, for masked models the pseudo-log-likelihood (Salazar et al. 2020).

    The published code puts text into lower case for uncased BERT; its tokenizer does that here.

    Args:
        loaded: A model with its language-model head.
        pairs: The pairs.
        scoring: "shared" or "sentence".
        batch_rows: Rows that run together; rows of all pairs are sorted by length first.
        seed: Kept with the scores; fixes the intervals of their rows.
        say: Told in one line each what a reader should know.

    Returns:
        Log-likelihoods of every pair, in nats.

    Raises:
        ModelError: When the model has no language-model head.
        CorpusError: When no pair came, or a sentence is empty or too long.
        ConfigError: When the scoring is unknown.
    """
    if scoring not in get_args(Scoring):
        raise ConfigError(f"scoring '{scoring}' came; expected one of {', '.join(get_args(Scoring))}")
    check_language_model(loaded)
    if not pairs:
        raise CorpusError("0 pairs came; give at least one")
    more, less = (read_tokens(loaded, [getattr(pair, side) for pair in pairs]) for side in ("more", "less"))
    chosen = [
        shared_places(one, other) if scoring == "shared" else (one.places, other.places)
        for one, other in zip(more, less, strict=True)
    ]
    n_apart = sum(not first for first, _ in chosen)
    if n_apart and say is not None:
        say(
            f"{n_apart} of {len(pairs)} pairs share no token; both their scores are 0, so they count as neutral"
        )
    values = token_log_probs(
        loaded,
        [*more, *less],
        places=[*(first for first, _ in chosen), *(second for _, second in chosen)],
        batch_rows=batch_rows,
        label="CrowS-Pairs",
    )
    sums = np.array([part.sum() for part in values])
    provenance = {**describe_model(loaded), "scoring": scoring, "seed": seed}
    return CrowsScore(tuple(pairs), sums[: len(pairs)], sums[len(pairs) :], provenance)


def shared_places(one: TokenText, other: TokenText) -> tuple[list[int], list[int]]:
    """Find the tokens that two texts share, in order.

    Args:
        one: A text.
        other: Another, of the same tokenizer.

    Returns:
        As many places in each, special tokens left out.

    Examples:
        >>> shared_places(TokenText("", (0, 5, 6, 7), (1, 2, 3)), TokenText("", (0, 5, 8, 7), (1, 2, 3)))
        ([1, 3], [1, 3])
    """
    first, second = set(one.places), set(other.places)
    matcher = difflib.SequenceMatcher(None, one.ids, other.ids)
    shared = [
        (block.a + i, block.b + i)
        for block in matcher.get_matching_blocks()
        for i in range(block.size)
        if block.a + i in first and block.b + i in second
    ]
    return [place for place, _ in shared], [place for _, place in shared]
