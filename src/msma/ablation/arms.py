"""Train the map with every term left out and every term alone, over several seeds, and go on where it stopped."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.base import clone

from msma._types import PAIRS, Pair
from msma._version import __version__
from msma.ablation.rows import Cell, ablation_rows, tell_ablation
from msma.errors import ConfigError, StorageError
from msma.heldout import PairData, make_pairs
from msma.locking import locked
from msma.maps import BaseMap, JointMap, fit_map
from msma.progress import progress
from msma.readings import READINGS, Reading, check_metrics, read_map, read_references
from msma.results import Result
from msma.resuming import check_settings, plain_setting
from msma.scales import Reduction, ScalePartition
from msma.states import Splits
from msma.storage import read_json, write_json


class Arm(NamedTuple):
    """Which terms of the objective an arm keeps.

    Args:
        geometry: Paired error and isometry.
        information: Lower bound on mutual information.
        curvature: Bending of the map.
    """

    geometry: bool
    information: bool
    curvature: bool


#: Every arm by its name, in the order shown. "base" is the closed form that the map starts at, untrained.
ARMS: dict[str, Arm] = {
    "full": Arm(True, True, True),
    "no_geometry": Arm(False, True, True),
    "no_information": Arm(True, False, True),
    "no_curvature": Arm(True, True, False),
    "only_geometry": Arm(True, False, False),
    "only_information": Arm(False, True, False),
    "only_curvature": Arm(False, False, True),
    "base": Arm(False, False, False),
}

_WEIGHTS = ("lambda_geo", "lambda_info", "lambda_curv")
#: Parameters that do not change what is computed.
_PASSING = ("seed", "checkpoint", "device")


@locked("an ablation")
def ablate(
    splits: Splits,
    scales: ScalePartition,
    *,
    map: BaseMap | None = None,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    arms: Sequence[str] = tuple(ARMS),
    pairs: Sequence[Pair] = PAIRS,
    metrics: Sequence[str] = READINGS,
    reduction: Reduction = "mean",
    is_standardised: bool = False,
    n_groups: int = 20,
    out: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] | None = None,
) -> Result:
    r"""Leave out each term of the objective, and keep each alone; compare every arm with the full objective.

    An arm keeps the weights :math:`\lambda` of its terms and sets the others to zero. Maps are fitted on the
    training split and read on the test split. Each difference from ``full`` is tested twice: over documents
    (seeds averaged, delete-group jackknife: would it be there on other texts?) and over seeds (paired t-test:
    would it be there had training started elsewhere?). Both families are corrected by Holm's method over all
    arms, metrics and pairs.

    Without geometry nothing ties the map to the target's coordinates: information does not change under any
    invertible map, so that R2 and divergence of such an arm may be anything. That is shown as it is.

    Args:
        splits: States divided by document.
        scales: Which layers belong to which scale.
        map: The learned map with its weights; ``JointMap()`` when left out.
        seeds: Seeds of training, at least one; two or more for the test over seeds.
        arms: Names out of :data:`ARMS`; "full" must be among them.
        pairs: Pairs of scales, source first.
        metrics: Names out of :data:`msma.readings.READINGS`.
        reduction: "mean" of a scale's layers, or its "last" layer.
        is_standardised: Whether layers are brought to equal spread first.
        n_groups: Groups of documents the jackknife leaves out one at a time.
        out: Folder in which every finished arm, seed and pair is kept; the same call goes on where it stopped.
        say: Told in a few words what is being done.

    Returns:
        Rows by metric, arm (column ``map``) and pair: the value averaged over seeds with its interval over
        documents, ``*_by_seed``, ``*_minus_full`` with null 0, and corrected ``*_p_documents``, ``*_p_seeds``.
        The provenance holds the findings in plain sentences.

    Raises:
        ConfigError: When an arm, metric or seed is unknown or missing, or the map has no three terms.
        CorpusError: When validation or test is too small.
        StorageError: When the folder holds an ablation with other settings.
    """
    map_ = JointMap() if map is None else map
    _check(map_, arms, seeds)
    check_metrics(metrics)
    folder = None if out is None else Path(out)
    settings = _settings(splits, scales, map_, pairs, metrics, reduction, is_standardised, n_groups)
    if folder is not None:
        check_settings(folder / "settings.json", settings, what="an ablation")
    data = make_pairs(splits, scales, pairs=pairs, reduction=reduction, is_standardised=is_standardised)
    # What is not trained is the same for every seed.
    work = [
        (arm, seed, pair)
        for pair in data
        for seed in seeds
        for arm in arms
        if ARMS[arm] != ARMS["base"] or seed == seeds[0]
    ]
    paths = {
        (arm, seed, pair): None
        if folder is None
        else folder / "cells" / f"{arm}-{seed}-{'-'.join(pair)}.json"
        for arm, seed, pair in work
    }
    if say is not None:
        missing = sum(path is None or not path.is_file() for path in paths.values())
        say(f"{missing} of {len(work)} maps to train")
    cells = []
    for arm, seed, pair in progress(work, label="ablation"):
        path = paths[arm, seed, pair]
        found = _load(path)
        if found is None:
            found = _run(map_, arm, seed, data[pair], metrics=metrics, n_groups=n_groups)
            if path is not None:
                write_json(path, {name: reading._asdict() for name, reading in found.items()})
        cells.append(Cell(arm, seed, pair, found))
    references = {(p, m): read_references(data[p], m) for p in data for m in metrics}
    rows = ablation_rows(cells, references, n={pair: len(part.test.target) for pair, part in data.items()})
    provenance = {**settings, "seeds": list(seeds), "version": __version__}
    result = Result("ablation", tuple(rows), provenance)
    return Result("ablation", result.rows, {**provenance, "findings": tell_ablation(result)})


def _check(map_: BaseMap, arms: Sequence[str], seeds: Sequence[int]) -> None:
    for name in arms:
        if name not in ARMS:
            raise ConfigError(f"arm '{name}' came; expected some of {', '.join(ARMS)}")
    if "full" not in arms:
        raise ConfigError(
            f"arms {', '.join(arms) or 'none'} came without 'full', which the others are held against"
        )
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(
            f"seeds {tuple(seeds)} came; expected different whole numbers from 0, such as 0,1,2,3,4"
        )
    params = map_.get_params(deep=False)
    if not {*_WEIGHTS, "max_epochs", "checkpoint"} <= set(params):
        raise ConfigError(
            f"{type(map_).__name__} came; an ablation needs a map of three terms, such as JointMap"
        )
    without = [name for name in _WEIGHTS if params[name] == 0]
    if without:
        raise ConfigError(
            f"{', '.join(without)} came as 0; an ablation needs all three terms in the full map"
        )


def _settings(
    splits: Splits,
    scales: ScalePartition,
    map_: BaseMap,
    pairs: Sequence[Pair],
    metrics: Sequence[str],
    reduction: Reduction,
    is_standardised: bool,
    n_groups: int,
) -> dict[str, Any]:
    return {
        "model": splits.train.origin.model,
        "texts": [part.fingerprint for part in splits],
        "scales": str(scales),
        "map": {
            name: plain_setting(value)
            for name, value in map_.get_params(deep=False).items()
            if name not in _PASSING
        },
        "pairs": ["-".join(pair) for pair in pairs],
        "metrics": list(metrics),
        "reduction": reduction,
        "is_standardised": is_standardised,
        "n_groups": n_groups,
    }


def _load(path: Path | None) -> dict[str, Reading] | None:
    if path is None or not path.is_file():
        return None
    try:
        return {
            name: Reading(**{**reading, "left_out": tuple(reading["left_out"])})
            for name, reading in read_json(path).items()
        }
    except (AttributeError, KeyError, TypeError) as error:
        raise StorageError(f"'{path}' is damaged ({error}); delete it and run the ablation again") from error


def _run(
    map_: BaseMap, arm: str, seed: int, data: PairData, *, metrics: Sequence[str], n_groups: int
) -> dict[str, Reading]:
    kept = ARMS[arm]
    changes: dict[str, Any] = {"seed": seed, "checkpoint": None}
    if kept == ARMS["base"]:
        changes["max_epochs"] = 0  # the closed form that every arm starts at, chosen as they choose it
    else:
        off = [name for name, is_there in zip(_WEIGHTS, kept, strict=True) if not is_there]
        changes |= dict.fromkeys(off, 0.0)
    fitted = fit_map(clone(map_).set_params(**changes), *data.train)
    # The documents left out are the same for every arm and seed: that is what pairs them.
    return read_map(fitted, data, part="test", metrics=metrics, n_groups=n_groups, seed=0)
