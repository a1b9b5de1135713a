"""fit_eraser(): take a concept out of one scale of a model, layer after layer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from msma._types import Scale
from msma._types import Stack as StackName
from msma.erasure.leace import ERASERS, concept_columns
from msma.erasure.moments import ConceptMoments, concept_moments, encode_texts
from msma.erasure.scale import ScaleEraser
from msma.errors import ConfigError, CorpusError, ShapeError
from msma.interventions import AffineProjection, Erasure, intervene
from msma.interventions.context import choose_layers
from msma.interventions.sites import find_sites
from msma.models import LoadedModel, load_model
from msma.scales import ScalePartition

_FEWEST_TEXTS = 8
#: Mean differences below so many roundings of a state, averaged over texts, are no trace of anything.
_ROUNDING = 8.0


def fit_eraser(
    model: Any,
    texts: Sequence[str],
    labels: Sequence[Any],
    *,
    scale: Scale | Sequence[int],
    partition: ScalePartition | None = None,
    method: str = "leace",
    reference: Sequence[str] = (),
    tokenizer: Any = None,
    stack: StackName = "auto",
    name: str = "concept",
    say: Callable[[str], None] | None = None,
) -> ScaleEraser:
    r"""Fit what takes a concept out of every layer of a scale: METHOD section 8, LEACE (Belrose et al. 2023).

    Layers are fitted from the first on, each on states from which the layers before it have been erased already
    (concept scrubbing, section 6 of the same paper), because what one layer lets through the next one spreads.
    Every text weighs alike; see :class:`msma.erasure.moments.ConceptMoments` for what exactly is erased.

    Args:
        model: A model, its name or folder; what ``load_model`` gives.
        texts: Texts that carry the concept, best in pairs that differ in nothing else.
        labels: Its value in each text.
        scale: "local", "intermediate" or "global"; or numbers of layer entries.
        partition: Which layers belong to which scale; thirds when left out.
        method: "leace", or "projection" for the plain one.
        reference: Ordinary texts. With them the change that is kept least is that of both kinds of texts, half and
            half, rather than of the labelled ones alone.
        tokenizer: The model's own when left out.
        stack: Stack of an encoder-decoder.
        name: What is erased, in a word.
        say: Told in one line which layers had nothing to erase.

    Returns:
        The eraser of that scale.

    Raises:
        ConfigError: When the method is unknown.
        CorpusError: When texts and labels do not match, or are too few.
        ShapeError: When no layer of the scale shows a linear trace of the concept.
    """
    if method not in ERASERS:
        raise ConfigError(f"method '{method}' came; expected one of {', '.join(ERASERS)}")
    texts, concept = list(texts), _check(texts, labels)
    loaded = take_loaded(model, tokenizer=tokenizer)
    sites = find_sites(loaded.network, stack=stack)
    if partition is None and isinstance(scale, str):
        partition = ScalePartition.thirds(sites.stack.n_layers)
    layers = choose_layers(sites, partition, scale)
    rows = encode_texts(loaded, sites.stack, texts)
    ordinary = encode_texts(loaded, sites.stack, list(reference)) if reference else []
    projections: dict[int, AffineProjection] = {}
    for layer in layers:
        moments = _read(loaded, sites.stack, rows, concept, layer, projections, stack_name=stack)
        covariance = moments.covariance
        if ordinary:
            other = _read(loaded, sites.stack, ordinary, None, layer, projections, stack_name=stack)
            covariance = (covariance + other.covariance) / 2
        cross = _above_rounding(moments, n=len(rows), dtype=_working_precision(sites.stack.module))
        if cross is None:
            if say is not None:
                say(f"layer {layer} shows no linear trace of {name}, so nothing is erased there")
            continue
        eraser = ERASERS[method]().fit_moments(moments.mean.cpu().numpy(), covariance.cpu().numpy(), cross)
        projections[layer] = eraser.projection
    if not projections:
        raise ShapeError(
            f"no layer of the {scale} scale shows a linear trace of {name}, so there is nothing to erase; "
            "give other texts or another scale"
        )
    return ScaleEraser(
        erasure=Erasure(projections),
        scale=scale if isinstance(scale, str) else "layers",
        layers=tuple(layers),
        method=method,
        name=name,
        provenance={
            "model": loaded.name,
            "revision": loaded.revision,
            "fingerprint": loaded.fingerprint(sites.stack.module),
            "n_layers": sites.stack.n_layers,
            "stack": stack,
            "texts": len(texts),
            "reference": len(ordinary),
            "values": sorted({str(label) for label in labels}) if np.ndim(labels) == 1 else None,
        },
    )


def take_loaded(model: Any, *, tokenizer: Any = None) -> LoadedModel:
    """Load a model, or take one that is loaded.

    Args:
        model: Name, folder, transformers model or ``LoadedModel``.
        tokenizer: The model's own when left out.

    Returns:
        Model and tokenizer.
    """
    if isinstance(model, LoadedModel) and tokenizer is None:
        return model
    if isinstance(model, LoadedModel):
        return load_model(model.network, tokenizer=tokenizer, name=model.name, revision=model.revision)
    return load_model(model, tokenizer=tokenizer)


def _check(texts: Sequence[str], labels: Sequence[Any]) -> torch.Tensor:
    if isinstance(texts, str) or len(texts) != len(labels):
        raise CorpusError(
            f"{1 if isinstance(texts, str) else len(texts)} texts and {len(labels)} labels came; give one label a text"
        )
    if len(texts) < _FEWEST_TEXTS:
        raise CorpusError(
            f"{len(texts)} texts came; expected {_FEWEST_TEXTS} or more, and hundreds are better"
        )
    return torch.from_numpy(concept_columns(labels, n=len(texts)))


def _above_rounding(
    moments: ConceptMoments, *, n: int, dtype: torch.dtype
) -> Float[np.ndarray, "d_model columns"] | None:
    """Keep the columns that are more than what rounding leaves of states that are the same; None where none is."""
    size = float((moments.covariance.diagonal().sum() + moments.mean.square().sum()).sqrt())
    least = _ROUNDING * torch.finfo(dtype).eps * size / n**0.5
    kept = moments.cross.norm(dim=0) > least
    return moments.cross[:, kept].cpu().numpy() if bool(kept.any()) else None


def _read(
    loaded: LoadedModel,
    stack: Any,
    rows: Sequence[Any],
    concept: torch.Tensor | None,
    layer: int,
    projections: dict[int, AffineProjection],
    *,
    stack_name: StackName = "auto",
) -> ConceptMoments:
    if not projections:
        return concept_moments(loaded, stack, rows, concept, layer)
    with intervene(loaded, None, sorted(projections), Erasure(projections), stack=stack_name):
        return concept_moments(loaded, stack, rows, concept, layer)


def _working_precision(module: torch.nn.Module) -> torch.dtype:
    """Precision that states are computed in; quantised weights are whole numbers."""
    return next(p.dtype for p in module.parameters() if p.dtype.is_floating_point)
