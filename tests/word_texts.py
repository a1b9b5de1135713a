"""Texts of the words that the tiny tokenizers know, drawn at random: no two alike, as many as asked for."""

import random

from tiny import WORDS


def word_texts(n, *, seed=0, shortest=6, longest=16):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(shortest, longest))) for _ in range(n)]
