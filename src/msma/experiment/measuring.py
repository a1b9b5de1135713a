"""From what was written to numbers: every measure of every arm, and a few texts to show."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from msma.errors import ConfigError
from msma.experiment.design import Cell
from msma.experiment.effects import Effect, Measured
from msma.experiment.experiment import Sample
from msma.experiment.masked import MASKED_MEASURES
from msma.experiment.record import CellRecord, Written, column
from msma.models import LoadedModel
from msma.textstats import TEXT_MEASURES, Embedder, describe_missing, measure_texts

#: Surprise of a continuation to the clean model; the log of its perplexity.
NATS = "nats"
_MOST_SAMPLES = 6

Values = dict[str, Float[np.ndarray, "prompts seeds"]]


def choose_measures(
    loaded: LoadedModel, measures: Sequence[str] | None, embed: Embedder | None
) -> tuple[dict[str, Measured], list[str]]:
    """Choose the measures of a model, and say which cannot be taken here.

    Args:
        loaded: The model.
        measures: Names; all that can be taken when left out.
        embed: Turns sentences into vectors.

    Returns:
        The measures by name, and sentences about those that are missing.

    Raises:
        ConfigError: When a measure does not exist or cannot be taken.
    """
    known: dict[str, Measured] = dict(MASKED_MEASURES)
    missing: dict[str, str] = {}
    if loaded.head != "masked":
        known = {name: Measured(m.label, m.units) for name, m in TEXT_MEASURES.items()}
        known[NATS] = Measured("surprise to the clean model", "nats a token")
        found = describe_missing(embed).items()
        missing = {n: why if why.startswith(n) else f"{n}, because {why}" for n, why in found}
    if measures is None:
        return {n: m for n, m in known.items() if n not in missing}, list(missing.values())
    if not measures:
        raise ConfigError(f"no measure came; give some of {', '.join(known)}, or leave them out for all")
    for name in measures:
        if name not in known:
            raise ConfigError(f"measure '{name}' came; this model has {', '.join(known)}")
        if name in missing:
            raise ConfigError(f"measure '{name}' cannot be taken here: {missing[name]}")
    return {name: known[name] for name in dict.fromkeys(measures)}, []


def measure_written(
    clean: CellRecord,
    pairs: Sequence[tuple[Cell, CellRecord]],
    measures: Mapping[str, Measured],
    *,
    embed: Embedder | None,
    shape: tuple[int, int],
    is_masked: bool,
) -> dict[tuple[str, str], Values]:
    """Take every measure on everything that was written; equal texts are measured once.

    Args:
        clean: The arm without an intervention.
        pairs: Each cell with what it wrote.
        measures: Which.
        embed: Turns sentences into vectors.
        shape: Number of prompts and of seeds.
        is_masked: Whether the model is an encoder, whose measures are all stored.

    Returns:
        Values by prompt and seed, for each measure, under (name, arm); the clean arm is ("clean", "treated").
    """
    arms: dict[tuple[str, str], tuple[Written, ...]] = {("clean", "treated"): clean.treated}
    for cell, record in pairs:
        arms[cell.name, "treated"], arms[cell.name, "control"] = record.treated, record.control
    of_text = [name for name in measures if name != NATS and not is_masked]
    table: dict[str, Float[np.ndarray, " texts"]] = {}
    texts = list(dict.fromkeys(entry.text for entries in arms.values() for entry in entries))
    if of_text:
        table = measure_texts(texts, measures=of_text, embed=embed).values
    places = {text: place for place, text in enumerate(texts)}
    found: dict[tuple[str, str], Values] = {}
    for key, entries in arms.items():
        own = [places[entry.text] for entry in entries]
        flat = {m: table[m][own] if m in table else np.array(column(entries, m)) for m in measures}
        # Entries come seed by seed, in each all prompts.
        found[key] = {m: values.reshape(shape[1], shape[0]).T for m, values in flat.items()}
    return found


def pick_samples(
    effects: Sequence[Effect],
    pairs: Sequence[tuple[Cell, CellRecord]],
    clean: CellRecord,
    prompts: Sequence[str],
) -> list[Sample]:
    """Pick texts to show: the cells with the clearest effects, two a scale at most; prompts in their order.

    Which prompt is shown for a cell does not depend on what was written after it.

    Args:
        effects: All effects.
        pairs: Each cell with what it wrote.
        clean: The arm without an intervention.
        prompts: The prompts; none for an encoder.

    Returns:
        Samples.
    """

    def clearness(cell: Cell) -> tuple[int, float]:
        own = [e for e in effects if (e.scale, e.kind, e.strength) == (cell.scale, cell.kind, cell.strength)]
        return sum(e.is_beyond_control for e in own), max(abs(e.beyond or 0.0) for e in own)

    cells = [cell for cell, _ in pairs]
    chosen: list[int] = []
    for place in sorted(range(len(cells)), key=lambda i: clearness(cells[i]), reverse=True):
        same = [cells[i] for i in chosen if cells[i].scale == cells[place].scale]
        if len(same) < 2 and all(cell.kind != cells[place].kind for cell in same):
            chosen.append(place)
    samples = []
    for number, place in enumerate(sorted(chosen)[:_MOST_SAMPLES]):
        cell, record = pairs[place]
        row = number % (len(prompts) or len({entry.prompt for entry in clean.treated}))
        samples.append(
            Sample(
                cell.scale,
                cell.kind,
                cell.strength,
                prompts[row] if prompts else "",
                clean.treated[row].seed,
                clean.treated[row].text,
                record.treated[row].text,
                record.control[row].text,
            )
        )
    return samples
