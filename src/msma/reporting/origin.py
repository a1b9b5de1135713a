"""Where a study's numbers come from, and what it takes to get them again."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msma._version import __version__
from msma.reporting.reading import StudyRecord


def describe_origin(record: StudyRecord) -> dict[str, Any]:
    """Collect what the report says about model, texts, settings and versions.

    Args:
        record: A study.

    Returns:
        Names the template knows.
    """
    known = record.provenance
    counts, versions = dict(known.get("n_samples") or {}), dict(known.get("versions") or {})
    facts = [
        ("Model", known.get("model")),
        ("Revision", known.get("revision")),
        ("Architecture", _join(known.get("architecture"), known.get("stack"))),
        (
            "Layers and width",
            f"{known.get('n_layers', '–')} entries (embeddings included), {known.get('d_model', '–')} wide",
        ),
        ("Last entry and the final norm", known.get("final_norm")),
        ("Texts", known.get("texts")),
        ("A sample is", f"one {known.get('unit', 'text')}"),
        ("Documents", f"{known['n_documents']:,}" if isinstance(known.get("n_documents"), int) else None),
        ("Samples", ", ".join(f"{name} {n:,}" for name, n in counts.items()) or None),
        ("Seed", known.get("seed")),
        ("Fingerprint of the model", known.get("model_fingerprint")),
        ("Fingerprint of the texts", known.get("texts_fingerprint")),
        ("Versions", ", ".join(f"{name} {number}" for name, number in versions.items()) or None),
        ("Study made", known.get("created")),
        ("Report made by", f"msma {__version__}"),
    ]
    model = str(known.get("model") or record.config.get("model") or "the model")
    return {
        "model": model,
        "unit": str(known.get("unit") or "text"),
        "n_test": f"{counts['test']:,}" if isinstance(counts.get("test"), int) else "held-out",
        "n_votes": record.partition.provenance.get("n_votes"),
        "created": _date(known.get("created")),
        "facts": [(name, str(value)) for name, value in facts if value is not None and value != ""],
        "settings": write_toml(record.config),
        "version": str(versions.get("msma") or __version__),
        "year": str(known.get("created") or "")[:4],
        "n_layers": record.partition.n_layers,
    }


def _join(*parts: Any) -> str | None:
    return ", ".join(str(part) for part in parts if part) or None


def _date(created: Any) -> str:
    try:
        moment = datetime.fromisoformat(str(created))
    except ValueError:
        return ""
    return f"{moment.day} {moment:%B %Y}"


def write_toml(settings: Mapping[str, Any]) -> str:
    """Write flat settings as TOML; what is not set is left out.

    Args:
        settings: Settings by name: strings, numbers, booleans, lists of these.

    Returns:
        The text of a file that ``msma analyze --config`` reads.

    Examples:
        >>> print(write_toml({"model": "gpt2", "seed": 0, "final_norm": False, "revision": None, "maps": ["ridge"]}))
        model = "gpt2"
        seed = 0
        final_norm = false
        maps = ["ridge"]
    """
    # JSON's strings, numbers, booleans and lists are TOML's too.
    return "\n".join(
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in settings.items()
        if value is not None
    )
