"""States of a configuration's model and texts, read into a folder."""

import os
from collections.abc import Callable
from typing import Any, cast

from msma.configuration import StudyConfig
from msma.corpora import demo_corpus, read_documents
from msma.extraction import extract, extract_moments
from msma.extraction.jobs import Store
from msma.scale_moments import ScaleMoments
from msma.states import HiddenStates
from msma.study.demo import find_model

Say = Callable[[str], None]

#: Settings that are options of the extraction by the same name.
_READING_OPTIONS = (
    "unit",
    "stack",
    "revision",
    "max_tokens",
    "long",
    "batch_tokens",
    "padding_side",
    "dtype",
    "device",
    "device_map",
    "quantization",
    "offload_folder",
    "final_norm",
    "seed",
    "trust_remote_code",
)


def extract_states(
    config: StudyConfig, folder: str | os.PathLike[str], *, say: Say | None = None, **options: Any
) -> HiddenStates:
    """Read the states of all layers that a configuration asks for into a folder.

    Args:
        config: Every setting; those of later stages are ignored.
        folder: Where the shards go; an interrupted run is continued there.
        say: Told in a line each what a reader should know.
        **options: Where and within what limits the work is done, as :func:`msma.extract` takes them.

    Returns:
        The states.
    """
    return cast("HiddenStates", extract_corpus(config, folder, say=say, **options))


def extract_corpus(
    config: StudyConfig,
    folder: str | os.PathLike[str],
    *,
    store: Store = "states",
    say: Say | None = None,
    **options: Any,
) -> HiddenStates | ScaleMoments:
    """Read the states a configuration asks for into a folder.

    Args:
        config: Every setting; those of later stages are ignored, but for scales and reduction where not all
            layers are kept.
        folder: Where the shards go; an interrupted run is continued there.
        store: "states" of all layers, those of the "scales", or their "moments".
        say: Told in a line each what a reader should know.
        **options: Where and within what limits the work is done, as :func:`msma.extract` takes them.

    Returns:
        The states, or the moments.

    Raises:
        ConfigError: When there is no such store, or an option is impossible.
    """
    model, name = find_model(config.model)
    documents = (
        demo_corpus()
        if config.texts == "demo"
        else read_documents(
            config.texts,
            column=config.column,
            id_column=config.id_column,
            label_columns=config.label_columns,
            paragraphs=config.paragraphs,
            max_documents=config.max_documents,
        )
    )
    options |= {option: getattr(config, option) for option in _READING_OPTIONS}
    options |= {"name": name, "out": folder, "say": say}
    if store == "states":
        return extract(model, documents, attention_texts=config.attention_texts, **options)
    options |= {"scales": config.scales, "reduction": config.reduction}
    if store == "moments":
        return extract_moments(model, documents, fractions=config.fractions, **options)
    return extract(model, documents, store=store, attention_texts=config.attention_texts, **options)
