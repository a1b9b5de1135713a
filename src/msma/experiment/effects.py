"""What each intervention changes: effects with interval, corrected probability and the control beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from msma.comparison import holm
from msma.experiment.design import Cell
from msma.experiment.statistics import (
    FEWEST_PROMPTS,
    mean_differences,
    pair_up,
    paired_delta,
    relative_change,
    sign_flip_tests,
)

LEVEL = 0.05

Values = Mapping[str, Float[np.ndarray, "prompts seeds"]]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one intervention does to one measure.

    Args:
        scale: Where it acts.
        kind: What it does.
        strength: Relative norm asked for.
        reached: Relative norm reached.
        measure: Name of the measure.
        label: The measure in a few words.
        units: Of the measure.
        clean: Mean without an intervention, over the pairs that count.
        treated: Mean with it.
        control: Mean under the control.
        change: Change of the mean, as a share of the clean one.
        delta: Cliff's delta of treated against clean.
        low: Lower end of its interval.
        high: Upper end.
        p: Alone.
        p_holm: After Holm's correction over the experiment.
        control_reached: Relative norm of the control.
        control_change: Change of the mean under the control.
        control_delta: Cliff's delta of control against clean.
        control_low: Lower end of its interval.
        control_high: Upper end.
        control_p_holm: Of control against clean, corrected.
        beyond: Cliff's delta of treated against control.
        beyond_low: Lower end of its interval.
        beyond_high: Upper end.
        beyond_p: Of treated against control, alone.
        beyond_p_holm: Corrected.
        n_prompts: Prompts with a number in both arms, treated and clean.
        n_pairs: Pairs of continuations.
        note: What a reader must know.
    """

    scale: str
    kind: str
    strength: float
    reached: float
    measure: str
    label: str
    units: str
    clean: float | None
    treated: float | None
    control: float | None
    change: float | None
    delta: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    control_reached: float
    control_change: float | None
    control_delta: float | None
    control_low: float | None
    control_high: float | None
    control_p_holm: float | None
    beyond: float | None
    beyond_low: float | None
    beyond_high: float | None
    beyond_p: float | None
    beyond_p_holm: float | None
    n_prompts: int
    n_pairs: int
    note: str | None = None

    @property
    def is_tested(self) -> bool:
        """Whether there were enough prompts for a test against clean."""
        return self.p_holm is not None

    @property
    def is_significant(self) -> bool:
        """Whether it differs from clean after correction."""
        return self.p_holm is not None and self.p_holm < LEVEL

    @property
    def is_beyond_control(self) -> bool:
        """Whether it differs from clean and from its control, both after correction."""
        is_apart = self.beyond_p_holm is not None and self.beyond_p_holm < LEVEL
        return is_apart and (self.is_significant or self.p is None)

    def to_record(self) -> dict[str, Any]:
        """Give the effect as a plain dictionary, its verdicts included.

        Returns:
            One entry a column.
        """
        verdicts = {"is_significant": self.is_significant, "is_beyond_control": self.is_beyond_control}
        return {**asdict(self), **verdicts}


class Outcome(NamedTuple):
    """What was measured in one cell.

    Args:
        cell: The cell.
        reached: Relative norm of the intervention, mean over seeds.
        control_reached: That of the control.
        treated: Values by measure.
        control: Values by measure.
        note: What a reader must know.
    """

    cell: Cell
    reached: float
    control_reached: float
    treated: Values
    control: Values
    note: str | None


class Measured(NamedTuple):
    """How a measure is called.

    Args:
        label: In a few words.
        units: Of its values.
        has_clean: Whether it means something without an intervention; a share of changed words does not.
    """

    label: str
    units: str
    has_clean: bool = True


def compute_effects(
    clean: Values, outcomes: Sequence[Outcome], measures: Mapping[str, Measured], *, seed: int = 0
) -> list[Effect]:
    """Compare every cell with no intervention and with its control, and correct each family of tests.

    Three questions, three families for Holm's correction, each of all cells and measures: treated against clean,
    treated against control, control against clean.

    Args:
        clean: Values without an intervention, by measure.
        outcomes: What was measured in each cell.
        measures: How the measures are called.
        seed: Fixes bootstrap and sign patterns.

    Returns:
        One effect a cell and measure.
    """
    keys = [(outcome, name) for outcome in outcomes for name in measures]
    against = {
        "clean": [(o.treated[m], clean[m]) for o, m in keys],
        "beyond": [(o.treated[m], o.control[m]) for o, m in keys],
        "control": [(o.control[m], clean[m]) for o, m in keys],
    }
    found: dict[str, list[tuple[float | None, float | None]]] = {}
    for family, pairs in against.items():
        is_asked = [measures[m].has_clean or family == "beyond" for _, m in keys]
        differences = np.stack([mean_differences(x, y) for x, y in pairs])
        differences[~np.array(is_asked)] = np.nan
        found[family] = _correct(sign_flip_tests(differences, seed=seed))
    return [
        _effect(outcome, name, measures[name], clean[name], {f: found[f][i] for f in found}, seed=seed)
        for i, (outcome, name) in enumerate(keys)
    ]


def _correct(p_values: Float[np.ndarray, " tests"]) -> list[tuple[float | None, float | None]]:
    tested = np.flatnonzero(np.isfinite(p_values))
    corrected = dict(zip(tested.tolist(), holm([float(p) for p in p_values[tested]]), strict=True))
    return [
        (float(p), corrected[i]) if i in corrected else (None, None) for i, p in enumerate(p_values.tolist())
    ]


def _effect(
    outcome: Outcome,
    name: str,
    measured: Measured,
    clean: Float[np.ndarray, "prompts seeds"],
    tests: Mapping[str, tuple[float | None, float | None]],
    *,
    seed: int,
) -> Effect:
    treated, control = outcome.treated[name], outcome.control[name]
    valid = pair_up(treated, clean)
    n_prompts = int(valid.any(axis=1).sum())
    columns: dict[str, Any] = {}
    for prefix, pair in (
        ("", (treated, clean)),
        ("control_", (control, clean)),
        ("beyond", (treated, control)),
    ):
        delta = paired_delta(*pair, seed=seed) if measured.has_clean or prefix == "beyond" else None
        columns[prefix if prefix == "beyond" else f"{prefix}delta"] = None if delta is None else delta.value
        ends = f"{prefix}_" if prefix == "beyond" else prefix
        columns[f"{ends}low"] = None if delta is None else delta.low
        columns[f"{ends}high"] = None if delta is None else delta.high
    notes = [outcome.note]
    if n_prompts < FEWEST_PROMPTS:
        notes.append(f"not testable: {n_prompts} prompts have a number in both arms, at least 5 are needed")
    elif not measured.has_clean:
        notes.append("0 by definition without an intervention; held against its control only")
    return Effect(
        scale=outcome.cell.scale,
        kind=outcome.cell.kind,
        strength=outcome.cell.strength,
        reached=outcome.reached,
        measure=name,
        label=measured.label,
        units=measured.units,
        clean=_mean(clean[valid]),
        treated=_mean(treated[valid]),
        control=_mean(control[np.isfinite(control)]),
        change=relative_change(treated, clean) if measured.has_clean else None,
        p=tests["clean"][0],
        p_holm=tests["clean"][1],
        control_reached=outcome.control_reached,
        control_change=relative_change(control, clean) if measured.has_clean else None,
        control_p_holm=tests["control"][1],
        beyond_p=tests["beyond"][0],
        beyond_p_holm=tests["beyond"][1],
        n_prompts=n_prompts,
        n_pairs=int(valid.sum()),
        note="; ".join(note for note in notes if note) or None,
        **columns,
    )


def _mean(values: Float[np.ndarray, " pairs"]) -> float | None:
    return float(values.mean()) if len(values) else None
