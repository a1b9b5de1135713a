"""Whether samples about to be scored were fitted on."""

import hashlib

import numpy as np
from jaxtyping import Int
from scipy.stats import binom

from msma.scale_moments import SeenTexts, mark_documents, mark_samples, mark_texts
from msma.states import HiddenStates

#: A filter that errs finds more unseen samples than chance allows with at most this chance.
_CHANCE = 1e-6


def sample_hashes(states: HiddenStates) -> Int[np.ndarray, " samples"]:
    """Hash every sample's text, so that a later evaluation can tell whether it was fitted on.

    Sentences and tokens repeat honestly between documents, so there the document is hashed along.

    Args:
        states: The samples.

    Returns:
        One 64-bit integer a sample.
    """
    is_text = states.origin.unit == "text"
    keys = states.texts if is_text else zip(states.document_ids, states.texts, strict=True)
    digests = (hashlib.blake2b(repr(key).encode(), digest_size=8).digest() for key in keys)
    return np.array([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=np.int64)


def count_marked(states: HiddenStates, seen: SeenTexts) -> int:
    """Count samples that a filter of the training texts knows.

    Texts are known by themselves; sentences and tokens, which repeat honestly between documents, where their document
    is known too. The filter misses none of them and takes an unseen text or document for seen with a small chance; no
    more of them than that chance explains count as none.

    Args:
        states: The samples.
        seen: The filter.

    Returns:
        Their number.
    """
    if states.origin.unit == "text":
        known = seen.contains(mark_texts(states.texts))
        n_asked, n_known = len(known), int(known.sum())
    else:
        names, document = np.unique(np.asarray(states.document_ids, dtype=object), return_inverse=True)
        is_known = seen.contains(mark_documents(names))
        known = is_known[document] & seen.contains(mark_samples(states.texts))
        n_asked, n_known = len(names), len(np.unique(document[known]))
    return int(known.sum()) if n_known > binom.isf(_CHANCE, n_asked, seen.error_rate) else 0
