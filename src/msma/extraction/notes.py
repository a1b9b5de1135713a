"""What is noted of a run of texts beside its shard or its part of the moments."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from msma.extraction.attention import FEWEST_TOKENS
from msma.extraction.tokens import Encoded, Record


def part_folder(folder: Path, number: int) -> Path:
    """Tell where the moments of one block of texts stand until they are absorbed.

    Args:
        folder: Folder of the extraction.
        number: Number of the block.

    Returns:
        A folder.
    """
    return folder / "parts" / f"part-{number:05d}"


def make_notes(records: Sequence[Record], encoded: Encoded) -> dict[str, Any]:
    """Say of a window what a later run, and the driver, must know without reading it again.

    Args:
        records: The records.
        encoded: Their rows and samples.

    Returns:
        Numbers of texts, samples and tokens, of cut and empty texts, positions of the texts that are long
        enough for attention, and a fingerprint of the records.
    """
    first: dict[int, int] = {}
    for record, row in zip(encoded.record_of_row, encoded.rows, strict=True):
        first.setdefault(record.position, len(row.ids))
    return {
        "n_texts": len(records),
        "n_samples": len(encoded.texts),
        "n_tokens": sum(row.length for row in encoded.rows),
        "n_cut": encoded.n_cut,
        "n_empty": encoded.n_empty,
        "readable": [position for position, length in first.items() if length >= FEWEST_TOKENS],
        "records": hash_records(records),
    }


def add_notes(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Add up the notes of two runs of texts.

    Args:
        first: Notes; empty ones count as nothing.
        second: Notes of the texts after them.

    Returns:
        Notes of both, their fingerprints chained.

    Examples:
        >>> add_notes({}, {"n_texts": 2, "records": "a", "readable": [1]})["n_texts"]
        2
    """
    if not first:
        return dict(second)
    total: dict[str, Any] = {key: first[key] + second[key] for key in second if key != "records"}
    total["records"] = chain_hashes(first["records"], second["records"])
    return total


def chain_hashes(first: str, second: str) -> str:
    """Chain the fingerprints of two runs of texts.

    Args:
        first: Fingerprint; empty at the start.
        second: Fingerprint of the texts after them.

    Returns:
        64 hexadecimal digits.
    """
    return second if not first else hashlib.sha256(f"{first}{second}".encode()).hexdigest()


def hash_records(records: Sequence[Record]) -> str:
    """Fingerprint records: positions, texts, documents, labels and sentences.

    Args:
        records: The records.

    Returns:
        SHA-256, 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for record in records:
        content = (
            record.position,
            record.text,
            record.document,
            sorted((str(k), repr(v)) for k, v in record.labels.items()),
            None if record.sentences is None else [tuple(span) for span in record.sentences],
            None if record.sentence_labels is None else [sorted(s.items()) for s in record.sentence_labels],
        )
        digest.update(repr(content).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()
