"""Score the items of StereoSet on a model."""

import difflib
import re
from collections.abc import Sequence
from typing import get_args

import numpy as np
from jaxtyping import Float

from msma.bias.formats import BLANK, StereoItem
from msma.bias.likelihood import (
    MaskedRow,
    Rest,
    Say,
    TokenText,
    check_language_model,
    filler_rows,
    masked_log_probs,
    read_tokens,
    token_log_probs,
)
from msma.bias.scores import describe_model
from msma.bias.stereoset import StereoScore
from msma.errors import ConfigError, CorpusError
from msma.models import LoadedModel


def stereoset_score(
    loaded: LoadedModel,
    items: Sequence[StereoItem],
    *,
    rest: Rest = "dropped",
    batch_rows: int = 32,
    seed: int = 0,
    say: Say | None = None,
) -> StereoScore:
    r"""Score the items of StereoSet (Nadeem et al. 2021, section 6).

    Within a sentence, masked model: the option's filler of BLANK is predicted subword by subword from the left in the
    context, and scores the mean of their probabilities. As in the published code, nothing stands for the subwords that
    are still to come; ``rest="masked"`` puts a mask for each. The filler is found by aligning context and option;
    where they cannot be aligned, the words from the first difference to the last are taken, and the provenance counts
    how often (``n_unaligned``). The published code takes one word, without its punctuation.

    Within a sentence, causal model or decoder: :math:`\exp\big(\frac1n\sum_t\log p(w_t \mid w_{<t})\big)` of the whole
    sentence, from the start token on; the published :math:`2^{\text{mean} \log_2 p}` is the same number.

    Between sentences, causal model or decoder: :math:`\exp` of the mean log-probability of the next sentence's tokens
    given the context. The published figures come from a next-sentence head that was trained for the task, and the
    published code's other way divides the mean log-probability of the next sentence alone by that of the context; both
    differ from this. Masked model: :math:`\exp` of the mean pseudo-log-likelihood of the next sentence's tokens given
    the context (one text, no segment ids), which is not the published next-sentence prediction either. So figures
    between sentences compare models scored here, not with the published ones. A context without a mark at its end gets
    a full stop, as published.

    Args:
        loaded: A model with its language-model head.
        items: The items.
        rest: What stands for a filler's later subwords: "dropped" or "masked"; only for masked models.
        batch_rows: Rows that run together; rows of all items are sorted by length first.
        seed: Kept with the scores; fixes the intervals of their rows.
        say: Told in one line each what a reader should know.

    Returns:
        Scores from 0 to 1, three an item.

    Raises:
        ModelError: When the model has no language-model head.
        CorpusError: When no item came, or a text is empty or too long.
        ConfigError: When ``rest`` is unknown.
    """
    if rest not in get_args(Rest):
        raise ConfigError(f"rest '{rest}' came; expected one of {', '.join(get_args(Rest))}")
    check_language_model(loaded)
    if not items:
        raise CorpusError("0 items came; give at least one")
    scores = np.empty((len(items), 3))
    inside = [i for i, item in enumerate(items) if item.kind == "intrasentence"]
    between = [i for i, item in enumerate(items) if item.kind == "intersentence"]
    n_unaligned = 0
    if inside and loaded.head == "masked":
        scores[inside], n_unaligned = _score_fillers(
            loaded, [items[i] for i in inside], rest=rest, batch_rows=batch_rows
        )
        if n_unaligned and say is not None:
            say(f"{n_unaligned} of {3 * len(inside)} options could not be aligned with their context")
    elif inside:
        texts = read_tokens(loaded, [option for i in inside for option in items[i].options])
        values = token_log_probs(loaded, texts, batch_rows=batch_rows, label="StereoSet, within")
        scores[inside] = _mean_probability(values)
    if between:
        texts, places = _follow(loaded, [items[i] for i in between])
        values = token_log_probs(
            loaded, texts, places=places, batch_rows=batch_rows, label="StereoSet, between"
        )
        scores[between] = _mean_probability(values)
    provenance = {**describe_model(loaded), "rest": rest, "n_unaligned": n_unaligned, "seed": seed}
    return StereoScore(tuple(items), scores, provenance)


def find_filler(context: str, sentence: str) -> tuple[str, bool]:
    """Find what stands in place of BLANK.

    Args:
        context: The context, with one BLANK or several.
        sentence: The context with the blanks filled; case and white space may differ.

    Returns:
        The filler, and whether both could be aligned; where not, the words from the first difference to the last.

    Raises:
        CorpusError: When the sentence has nothing in place of BLANK.

    Examples:
        >>> find_filler("The cook was BLANK.", "the cook was  very kind.")
        ('very kind', True)
        >>> find_filler("A cook is BLANK", "The cook is kind")
        ('The cook is kind', False)
    """
    parts = [r"\s*".join(map(re.escape, part.split())) for part in context.split(BLANK)]
    pattern = parts[0] + r"\s*(\S.*?)\s*" + r"\s*\1\s*".join(parts[1:])
    if aligned := re.fullmatch(r"\s*" + pattern + r"\s*", sentence, flags=re.IGNORECASE | re.DOTALL):
        return aligned.group(1), True
    ours, theirs = context.split(), sentence.split()
    matcher = difflib.SequenceMatcher(
        None, [word.lower() for word in ours], [word.lower() for word in theirs], autojunk=False
    )
    changed = [(low, high) for tag, _, _, low, high in matcher.get_opcodes() if tag != "equal" and high > low]
    if not changed:
        raise CorpusError(
            f"the option '{sentence}' has nothing in place of {BLANK} in '{context}'; give the context with it filled"
        )
    return " ".join(theirs[changed[0][0] : changed[-1][1]]), False


def _mean_probability(values: Sequence[Float[np.ndarray, " places"]]) -> Float[np.ndarray, "items 3"]:
    return np.exp([part.mean() for part in values]).reshape(-1, 3)


def _score_fillers(
    loaded: LoadedModel, items: Sequence[StereoItem], *, rest: Rest, batch_rows: int
) -> tuple[Float[np.ndarray, "items 3"], int]:
    rows: list[MaskedRow] = []
    sizes, n_unaligned = [], 0
    for item in items:
        for option in item.options:
            filler, is_aligned = find_filler(item.context, option)
            n_unaligned += not is_aligned
            found = filler_rows(loaded, item.context, filler, rest=rest)
            rows += found
            sizes.append(len(found))
    values = masked_log_probs(loaded, rows, batch_rows=batch_rows, label="StereoSet, within")
    parts = np.split(np.exp(values), np.cumsum(sizes)[:-1])
    return np.array([part.mean() for part in parts]).reshape(-1, 3), n_unaligned


def _follow(loaded: LoadedModel, items: Sequence[StereoItem]) -> tuple[list[TokenText], list[list[int]]]:
    """Put each option behind its context, and find the places of its tokens."""
    contexts = [
        item.context if item.context.rstrip()[-1:] in (".", "!", "?") else f"{item.context.rstrip()}."
        for item in items
    ]
    alone = read_tokens(loaded, contexts)
    joined = read_tokens(
        loaded, [f"{c} {option}" for c, item in zip(contexts, items, strict=True) for option in item.options]
    )
    places = []
    for number, text in enumerate(joined):
        before = alone[number // 3]
        ours, whole = ([t.ids[place] for place in t.places] for t in (before, text))
        same = next((i for i, (a, b) in enumerate(zip(ours, whole, strict=False)) if a != b), len(ours))
        # At least one token is the option's, even where the tokenizer joins it to the context.
        places.append(list(text.places[min(same, len(whole) - 1) :]))
    return joined, places
