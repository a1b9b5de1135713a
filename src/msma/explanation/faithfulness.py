"""Whether attributions are faithful over many texts: highest tokens deleted against random ones, with intervals."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.stats import spearmanr

from msma._types import SCALES, Scale
from msma.errors import CorpusError
from msma.explanation.attribution import METHODS, N_STEPS, SHARES, attribute
from msma.explanation.coordinates import OWN, make_coordinate
from msma.explanation.corpus import StudyCorpus
from msma.explanation.parts import Attribution
from msma.explanation.reading import ScaleReader
from msma.progress import progress
from msma.resampling import bootstrap_interval
from msma.results import Result, Row

_UNITS = "standard deviations"


def measure_faithfulness(
    reader: ScaleReader,
    corpus: StudyCorpus,
    texts: Sequence[str],
    *,
    documents: Sequence[str] | None = None,
    coordinate: str = OWN,
    methods: Sequence[str] = METHODS,
    n_draws: int = 25,
    n_steps: int = N_STEPS,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> Result:
    """Measure by how much more a coordinate moves when the highest tokens are deleted than when random ones are.

    Args:
        reader: Reads texts as the study did.
        corpus: The study.
        texts: Texts that nothing was fitted on, such as those of its test part.
        documents: The document of each; every text its own when left out.
        coordinate: What is attributed; see :func:`msma.explanation.coordinates.list_coordinates`.
        methods: Some of "occlusion" and "gradient".
        n_draws: Random orders a text.
        n_steps: Points at which gradients are taken; see :func:`msma.explanation.attribution.attribute`.
        seed: Fixes random orders and intervals.
        say: Told in one line each which texts were left out.

    Returns:
        For each method (column ``map``) and scale (``target``) the rows "comprehensiveness",
        "comprehensiveness_random" and "faithfulness", which is their difference, as means over texts; with both
        methods also "attribution_agreement", the rank correlation of their scores within a text. Intervals are
        bootstraps over documents.

    Raises:
        ConfigError: When a coordinate or method is unknown.
        CorpusError: When texts and documents differ in number, or fewer than 2 documents have a token.
    """
    names = [str(number) for number in range(len(texts))] if documents is None else list(documents)
    if len(names) != len(texts):
        raise CorpusError(f"{len(names)} documents came for {len(texts)} texts; give one a text")
    found: list[tuple[Attribution, ...]] = []
    kept: list[str] = []
    for number, text in enumerate(progress(texts, label="faithfulness", unit="text")):
        try:
            reading = reader.read(text)
        except CorpusError as error:
            if say is not None:
                say(f"text {number} was left out: {error}")
            continue
        made = make_coordinate(corpus, coordinate, reading)
        found.append(
            attribute(
                reader, reading, made, methods=methods, n_draws=n_draws, n_steps=n_steps, seed=seed + number
            )
        )
        kept.append(names[number])
    if len(set(kept)) < 2:
        raise CorpusError(
            f"{len(texts)} texts came, of which {len(set(kept))} documents have a token; an interval needs at least 2: "
            "give more texts"
        )
    codes = np.unique(kept, return_inverse=True)[1]
    rows = [
        row
        for place, (method, scale) in enumerate((method, scale) for method in methods for scale in SCALES)
        for row in _method_rows([one[place] for one in found], codes, scale, method, seed)
    ]
    if len(methods) == 2:
        rows += [
            row for place, scale in enumerate(SCALES) for row in _agreement(found, codes, place, scale, seed)
        ]
    provenance = {
        **{
            key: corpus.provenance.get(key)
            for key in ("model", "model_fingerprint", "texts", "texts_fingerprint")
        },
        "scales": corpus.partition.written,
        "coordinate": coordinate,
        "shares": list(SHARES),
        "n_draws": n_draws,
        "n_steps": n_steps,
        "seed": seed,
    }
    return Result("faithfulness", tuple(rows), provenance)


def _method_rows(
    found: Sequence[Attribution], documents: Int[np.ndarray, " texts"], scale: Scale, method: str, seed: int
) -> list[Row]:
    top = np.array([one.comprehensiveness for one in found], dtype=np.float64)
    random = np.array([one.random for one in found], dtype=np.float64)
    chance = float(random.mean())
    return [
        _row("comprehensiveness", top, documents, scale, seed, map=method, better="higher", null=chance),
        _row("comprehensiveness_random", random, documents, scale, seed, map=method),
        _row("faithfulness", top - random, documents, scale, seed, map=method, better="higher", null=0.0),
    ]


def _agreement(
    found: Sequence[tuple[Attribution, ...]],
    documents: Int[np.ndarray, " texts"],
    place: int,
    scale: Scale,
    seed: int,
) -> list[Row]:
    """Correlate the ranks of two methods' scores; texts whose scores are all equal have none."""
    values = np.full(len(found), np.nan)
    for number, one in enumerate(found):
        pair = [np.array(one[which].scores) for which in (place, place + len(SCALES))]
        if all(np.ptp(scores) > 0 for scores in pair):
            values[number] = spearmanr(*pair).statistic
    known = np.isfinite(values)
    if len(np.unique(documents[known])) < 2:
        note = "fewer than 2 documents have tokens whose scores differ by both methods"
        return [Row(metric="attribution_agreement", value=None, target=scale, split="test", n=0, note=note)]
    return [
        _row(
            "attribution_agreement",
            values[known],
            documents[known],
            scale,
            seed,
            units="1",
            ceiling=1.0,
            null=0.0,
        )
    ]


def _row(
    metric: str,
    values: Float[np.ndarray, " texts"],
    documents: Int[np.ndarray, " texts"],
    scale: Scale,
    seed: int,
    *,
    units: str = _UNITS,
    better: str = "none",
    map: str | None = None,
    null: float | None = None,
    ceiling: float | None = None,
) -> Row:
    interval = bootstrap_interval(
        lambda weights: weights @ values / weights.sum(axis=1), documents, seed=seed
    )
    return Row(
        metric=metric,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        null=null,
        units=units,
        better=better,
        target=scale,
        split="test",
        map=map,
        n=len(values),
        interval=interval.method,
        ceiling=ceiling,
    )
