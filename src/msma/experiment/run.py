"""run_experiment(): every scale under every intervention, with paired chance, controls and corrected tests."""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from msma._types import Stack as StackName
from msma._version import __version__
from msma.alignment import Alignment
from msma.errors import ConfigError, CorpusError, ScaleError
from msma.experiment.arms import ArmMaker
from msma.experiment.design import Cell, Design, make_design
from msma.experiment.effects import Effect, Measured, Outcome, compute_effects
from msma.experiment.experiment import Experiment
from msma.experiment.measuring import choose_measures, measure_written, pick_samples
from msma.experiment.record import CellRecord, read_cell, write_cell
from msma.experiment.statistics import FEWEST_PROMPTS
from msma.experiment.writing import Writer, list_repeats, tell_about
from msma.generation.sampling import encode_prompts
from msma.interventions import Direction
from msma.interventions.sites import find_sites
from msma.locking import locked
from msma.models import LoadedModel, load_model
from msma.progress import progress
from msma.resuming import check_settings
from msma.scales import ScalePartition
from msma.textstats import Embedder

#: Prompts on whose tokens strengths are matched.
_CALIBRATION_TEXTS = 8
_MOST_TOKENS = 128


@locked("an experiment")
def run_experiment(
    model: Any,
    partition: ScalePartition,
    prompts: Sequence[str],
    *,
    scales: str | Sequence[str] = "all",
    kinds: str | Sequence[str] = "all",
    strengths: Sequence[float] = (0.05, 0.1, 0.2),
    seeds: Sequence[int] = (0, 1, 2),
    direction: Direction | None = None,
    alignment: Alignment | None = None,
    measures: Sequence[str] | None = None,
    embed: Embedder | None = None,
    max_new_tokens: int = 48,
    temperature: float = 1.0,
    share: float = 0.15,
    tokenizer: Any = None,
    stack: StackName = "auto",
    batch_rows: int = 16,
    out: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> Experiment:
    r"""Intervene on every scale in every way and measure what that does to what the model writes.

    METHOD section 7. Each cell is a scale, a kind of intervention and a strength; every kind is brought to the same
    strength, the relative norm :math:`\|h' - h\| / \|h\|` on the prompts' own tokens. For every prompt and seed the
    model writes three continuations with the same random numbers: clean, treated, and under a control, the same
    kind as strong on as many random layers outside the scale. What is drawn (noise, heads, a direction where none
    is given, the control's layers) is drawn anew for each seed. An encoder fills in hidden tokens instead, and an
    encoder-decoder reads the prompt in its encoder and writes with its decoder.

    An effect is Cliff's delta of treated against clean with a bootstrap interval over prompts; its p is that of a
    sign-flip test over prompts, corrected by Holm's method over all cells and measures. "Beyond its control"
    means that treated and control differ as well.

    Args:
        model: A model with its language head: name, folder, transformers model, or what ``load_model`` gives.
        partition: Which layers belong to which scale.
        prompts: Texts to continue, 5 or more, each once; whole texts for an encoder.
        scales: "all", or names.
        kinds: "all", or names out of :data:`msma.experiment.KINDS`; "all" leaves out what is not possible here.
        strengths: Relative norms; negative ones damp (scaling) or go backwards (translation).
        seeds: Seeds of the draws.
        direction: What translations move along; a random direction for each seed when left out.
        alignment: A fitted alignment of this model; replacements need one.
        measures: Names out of :data:`msma.textstats.TEXT_MEASURES`, or "nats" (surprise to the clean model); for an
            encoder out of :data:`msma.experiment.MASKED_MEASURES`. All that can be taken here when left out.
        embed: Turns sentences into vectors, for coherence.
        max_new_tokens: Tokens of a continuation at most.
        temperature: Of the draw; 0 takes the likeliest token.
        share: Share of the tokens that is hidden from an encoder.
        tokenizer: The model's own when left out.
        stack: Stack of an encoder-decoder that is acted on; the encoder when "auto".
        batch_rows: Prompts that run together.
        out: Folder in which every finished cell is kept; the same call goes on where it stopped.
        say: Told in a few words what is being done.

    Returns:
        The experiment.

    Raises:
        ConfigError: When a scale, kind, strength, seed or measure is unknown or impossible.
        CorpusError: When there are fewer than five prompts, one comes twice, is empty or does not fit the context.
        ScaleError: When the partition is that of another model, or a kind has nothing to act on.
        OriginError: When the alignment is that of another model or of other scales.
        ModelError: When the model has no head.
        StorageError: When the folder holds an experiment with other settings.
    """
    tell = say or (lambda _: None)
    loaded = (
        model if isinstance(model, LoadedModel) else load_model(model, tokenizer=tokenizer, has_head=True)
    )
    _check(prompts, seeds)
    design = make_design(partition, scales=scales, kinds=kinds, strengths=strengths, alignment=alignment)
    chosen, missing = choose_measures(loaded, measures, embed)
    is_masked = loaded.head == "masked"
    settings: dict[str, Any] = {"share": share}
    if not is_masked:
        settings = {"max_new_tokens": max_new_tokens, "temperature": temperature, "batch_rows": batch_rows}
    ids = _encode(loaded, prompts, room=max_new_tokens)
    found = find_sites(loaded.network, stack=stack).stack
    if found.n_layers != partition.n_layers:
        raise ScaleError(
            f"a partition of {partition.n_layers} layer entries came for a model of {found.n_layers}; find the "
            "scales of this model, or take ScalePartition.thirds"
        )
    kept = {name: value for name, value in settings.items() if name != "batch_rows"}
    provenance = _describe(loaded, partition, prompts, seeds, direction, alignment, stack, kept)
    folder = None if out is None else Path(out)
    if folder is not None:
        check_settings(folder / "settings.json", provenance, what="an experiment")
    maker = ArmMaker(
        loaded.network,
        ids[:_CALIBRATION_TEXTS],
        n_layers=found.n_layers,
        d_model=found.d_model,
        stack=stack,
        direction=direction,
        alignment=alignment,
    )
    writer = Writer(loaded, prompts, seeds, stack=stack, settings=settings)
    clean, records = _write_all(writer, maker, design, folder, expected=len(prompts) * len(seeds), tell=tell)
    tell("measures")
    repeats = list_repeats(design.cells, records)
    pairs = [pair for pair in zip(design.cells, records, strict=True) if pair[0].name not in repeats]
    if not pairs:
        raise ConfigError(f"no intervention is left to measure: {'; '.join(repeats.values())}")
    shape = (len(prompts), len(seeds))
    effects = _measure(
        clean, pairs, chosen, embed=embed, shape=shape, is_masked=is_masked, n_layers=found.n_layers
    )
    provenance["embedder"] = None if embed is None else getattr(embed, "__name__", type(embed).__name__)
    provenance |= {
        "left_out": [*design.left_out, *repeats.values(), *missing],
        "version": __version__,
        "strengths": list(strengths),
    }
    samples = pick_samples(effects, pairs, clean, [] if is_masked else prompts)
    experiment = Experiment(tuple(effects), tuple(samples), provenance)
    if folder is not None:
        experiment.save(folder)
    return experiment


def _encode(loaded: LoadedModel, prompts: Sequence[str], *, room: int) -> list[list[int]]:
    if loaded.head == "masked":
        return [
            loaded.tokenizer(text, truncation=True, max_length=_MOST_TOKENS)["input_ids"] for text in prompts
        ]
    return encode_prompts(loaded, prompts, room=room)


def _measure(
    clean: CellRecord,
    pairs: Sequence[tuple[Cell, CellRecord]],
    chosen: Mapping[str, Measured],
    *,
    embed: Embedder | None,
    shape: tuple[int, int],
    is_masked: bool,
    n_layers: int,
) -> list[Effect]:
    values = measure_written(clean, pairs, chosen, embed=embed, shape=shape, is_masked=is_masked)
    outcomes = [
        Outcome(
            cell,
            float(np.mean(record.about["reached"])),
            float(np.mean(record.about["control_reached"])),
            values[cell.name, "treated"],
            values[cell.name, "control"],
            tell_about(cell, record, n_layers),
        )
        for cell, record in pairs
    ]
    return compute_effects(values["clean", "treated"], outcomes, chosen)


def _check(prompts: Sequence[str], seeds: Sequence[int]) -> None:
    if isinstance(prompts, str) or len(prompts) < FEWEST_PROMPTS:
        count = "one string" if isinstance(prompts, str) else f"{len(prompts)} prompts"
        raise CorpusError(
            f"{count} came; a test over prompts needs at least {FEWEST_PROMPTS}, and twenty or more to survive "
            "a correction for many tests"
        )
    for number, prompt in enumerate(prompts, start=1):
        if not prompt.strip():
            raise CorpusError(f"prompt {number} is empty; give at least one word to continue")
        if prompt in prompts[: number - 1]:
            raise CorpusError(
                f"prompt {number} ('{prompt[:40]}') came before; the same prompt and seed give the same "
                "continuation, so give each once"
            )
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(
            f"seeds {tuple(seeds)} came; expected different whole numbers from 0, such as 0,1,2"
        )


def _write_all(
    writer: Writer,
    maker: ArmMaker,
    design: Design,
    folder: Path | None,
    *,
    expected: int,
    tell: Callable[[str], None],
) -> tuple[CellRecord, list[CellRecord]]:
    """Write what is not in the folder yet."""
    names = ["clean", *(cell.name for cell in design.cells)]
    paths = [None if folder is None else folder / "cells" / f"{name}.jsonl" for name in names]
    missing = sum(path is None or not path.is_file() for path in paths[1:])
    tell(f"{missing} of {len(design.cells)} interventions to run, each with its control")
    records = []
    for cell, path in progress(list(zip((None, *design.cells), paths, strict=True)), label="interventions"):
        found = None if path is None else read_cell(path, expected=expected, is_clean=cell is None)
        if found is None:
            found = writer.clean() if cell is None else writer.cell(cell, maker)
            if path is not None:
                write_cell(path, found)
        records.append(found)
    return records[0], records[1:]


def _describe(
    loaded: LoadedModel,
    partition: ScalePartition,
    prompts: Sequence[str],
    seeds: Sequence[int],
    direction: Direction | None,
    alignment: Alignment | None,
    stack: StackName,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": loaded.name,
        "revision": loaded.revision,
        "fingerprint": loaded.fingerprint(),
        "architecture": loaded.architecture,
        "head": loaded.head,
        "dtype": loaded.dtype,
        "stack": stack,
        "n_layers": partition.n_layers,
        "scales": str(partition),
        "n_prompts": len(prompts),
        "prompts": hashlib.sha256("\x1e".join(prompts).encode()).hexdigest(),
        "seeds": list(seeds),
        "direction": "random, one a seed" if direction is None else _hash(direction.vectors, direction.name),
        "alignment": None if alignment is None else _hash_alignment(alignment),
    }
    return {**found, **settings}


def _hash_alignment(alignment: Alignment) -> str:
    """Tell alignments apart by what their maps do to the axes."""
    axes = np.eye(int(alignment.origin_["d_model"]))
    return _hash(*(np.asarray(alignment.maps_[pair].transform(axes)) for pair in alignment.maps_))


def _hash(*parts: Any) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.encode() if isinstance(part, str) else np.ascontiguousarray(part).tobytes())
    name = next((part for part in parts if isinstance(part, str)), "")
    return f"{name} {digest.hexdigest()[:16]}".strip()
