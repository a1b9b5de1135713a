"""The scripts that made the embedded decoder, imported from ``training/``; texts of the same three kinds in small."""

import gzip
import json
import random
import sys
from pathlib import Path

from tiny import WORDS

TRAINING = Path(__file__).resolve().parents[1] / "training"

sys.path.insert(0, str(TRAINING))
try:
    import evaluate
    import kneser_ney
    import recipes
    import ship
    import texts
    import train
finally:
    sys.path.remove(str(TRAINING))

__all__ = ["TRAINING", "evaluate", "kneser_ney", "recipes", "ship", "texts", "train", "write_sources"]


def write_sources(data, *, n_stretches=60, seed=0):
    """Three books (one of them the unseen one), twenty articles, sixty stories, of random words."""
    rng = random.Random(seed)

    def sentence():
        return " ".join(rng.choices(WORDS[:40], k=rng.randint(3, 8))).capitalize() + "."

    books = data / "public_domain_books"
    books.mkdir(parents=True)
    for book in ("A-Book", "Another-Book", texts.UNSEEN_BOOK):
        paragraphs = [f"“{sentence()}” _{sentence()}_" for _ in range(24 * n_stretches)]
        (books / f"{book}.txt.gz").write_bytes(gzip.compress("\n\n".join(paragraphs).encode(), mtime=0))
    (data / "wikitext2").mkdir()
    articles = "".join(
        f" = Title {i} = \n\n = = Part = = \n {sentence()} \n {sentence()} \n" for i in range(20)
    )
    (data / "wikitext2" / "wiki.valid.tokens").write_text(articles, "utf-8")
    (data / "tinystories").mkdir()
    (data / "tinystories" / "stories.json").write_text(json.dumps([sentence() for _ in range(60)]))
    return data
