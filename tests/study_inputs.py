"""A tiny model on disk and texts enough for a whole study."""

import json
import random

from families import ALL_FAMILIES
from tiny import TEXTS, WORDS, make_tokenizer


def save_model(family_name, folder):
    family = next(family for family in ALL_FAMILIES if family.name == family_name)
    family.build().save_pretrained(folder)
    make_tokenizer(max_tokens=48).save_pretrained(folder)
    return family


def write_texts(path, *, n_texts=160, seed=0, labels=True):
    """Sentences of known words; two topics that use different halves of the vocabulary."""
    rng = random.Random(seed)
    with path.open("w", encoding="utf-8") as file:
        for number in range(n_texts):
            topic = number % 2
            words = WORDS[:30] if topic else WORDS[30:]
            text = " ".join(rng.choices(words, k=rng.randint(4, 24))) + f" {rng.choice(TEXTS)}"
            row = {"text": text, "id": f"d{number}"}
            if labels:
                row["topic"] = "first" if topic else "second"
            file.write(json.dumps(row) + "\n")
    return path
