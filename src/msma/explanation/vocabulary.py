"""The vocabulary of a model beside a study's texts: which entries occur, and how they read as words."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from msma.explanation.corpus import StudyCorpus
from msma.explanation.reading import ScaleReader

#: What tokenizers put before a word ("▁", "Ġ") or before a piece that continues one ("##").
_WORD_STARTS = ("▁", "Ġ")
_CONTINUES = "##"
_SAMPLE = 4096


def document_shares(
    reader: ScaleReader, corpus: StudyCorpus, *, most: int = 2000, seed: int = 0
) -> Float[np.ndarray, " vocabulary"]:
    """Count in which share of training documents each entry of the vocabulary occurs.

    Args:
        reader: Reads texts as the study did.
        corpus: The study.
        most: Documents counted, at most.
        seed: Fixes which.

    Returns:
        0 to 1; 0 also for special tokens.
    """
    counts = np.zeros(reader.stack.n_tokens)
    texts = [text for _, text in corpus.whole_texts(corpus.splits.train, most=most, seed=seed)]
    for text in texts:
        ids = reader.loaded.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        counts[ordinary_ids(reader, ids)] += 1.0
    return counts / max(len(texts), 1)


def ordinary_ids(reader: ScaleReader, ids: Sequence[int]) -> Int[np.ndarray, " entries"]:
    """Give each id once, without special ones.

    Args:
        reader: Reads texts as the study did.
        ids: Ids of a text.

    Returns:
        Ascending.
    """
    special = set(reader.loaded.tokenizer.all_special_ids)
    kept = {int(i) for i in ids if int(i) < reader.stack.n_tokens} - special
    return np.array(sorted(kept), dtype=np.int64)


def choose_words(
    tokenizer: Any,
    entries: Int[np.ndarray, " entries"],
    scores: Float[np.ndarray, " entries"],
    *,
    n_words: int = 10,
) -> tuple[tuple[str, float], ...]:
    """Choose the best entries that read as whole words.

    Pieces that continue a word, and entries without a letter or digit, stand only where whole words do not suffice.
    Words that differ by case or spaces alone count once.

    Args:
        tokenizer: The model's.
        entries: Ids.
        scores: Score of each.
        n_words: Words, at most.

    Returns:
        Words and scores, best first.
    """
    found: dict[str, tuple[str, float]] = {}
    rest: dict[str, tuple[str, float]] = {}
    has_starts = _has_starts(tokenizer)
    for place in np.argsort(-scores, kind="stable").tolist():
        entry, score = int(entries[place]), float(scores[place])
        piece = str(tokenizer.convert_ids_to_tokens(entry))
        word = tokenizer.decode([entry]).strip().removeprefix(_CONTINUES)
        is_whole = piece.startswith(_WORD_STARTS) if has_starts else not piece.startswith(_CONTINUES)
        if not word.isprintable() or "\ufffd" in word or not word:
            continue
        is_word = is_whole and sum(map(str.isalpha, word)) > 1
        (found if is_word else rest).setdefault(word.casefold(), (word, score))
        if len(found) == n_words:
            break
    others = [pair for key, pair in rest.items() if key not in found]
    kept = [*found.values(), *others[: n_words - len(found)]]
    return tuple(sorted(kept, key=lambda pair: -pair[1]))


def _has_starts(tokenizer: Any) -> bool:
    """Whether pieces show that they begin a word, rather than that they continue one."""
    pieces = tokenizer.convert_ids_to_tokens(list(range(min(len(tokenizer), _SAMPLE))))
    return any(str(piece).startswith(_WORD_STARTS) and len(str(piece)) > 1 for piece in pieces)
