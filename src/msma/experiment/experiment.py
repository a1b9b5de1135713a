"""What an experiment found: effects, samples, findings in plain sentences, figures."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from msma.errors import StorageError
from msma.experiment.effects import Effect
from msma.experiment.findings import tell_effects
from msma.experiment.published import Comparison, compare_published
from msma.results import Result, Row
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

#: The file that holds a whole experiment, in its folder.
FILE = "experiment.json"


class Sample(NamedTuple):
    """What was written after one prompt in the three arms of a cell.

    Args:
        scale: Where the intervention acts.
        kind: What it does.
        strength: How strongly.
        prompt: The prompt; empty for an encoder, whose texts hold it.
        seed: Seed of the draw, the same for the three.
        clean: Without an intervention.
        treated: With it.
        control: Under its control.
    """

    scale: str
    kind: str
    strength: float
    prompt: str
    seed: int
    clean: str
    treated: str
    control: str


@dataclass(frozen=True)
class Experiment:
    """Effects of every intervention on every measure, and where they come from.

    Args:
        effects: One a cell and measure.
        samples: A few texts side by side.
        provenance: Model, fingerprint, scales, prompts, seeds, settings, versions, what was left out.
    """

    effects: tuple[Effect, ...]
    samples: tuple[Sample, ...]
    provenance: Mapping[str, Any]

    def effect(self, measure: str, *, scale: str, kind: str, strength: float) -> Effect:
        """Find one effect.

        Args:
            measure: Name of the measure.
            scale: Where.
            kind: What.
            strength: How strongly.

        Returns:
            The effect.

        Raises:
            StorageError: When the experiment has no such cell or measure.
        """
        for effect in self.effects:
            if (effect.measure, effect.scale, effect.kind, effect.strength) == (
                measure,
                scale,
                kind,
                strength,
            ):
                return effect
        raise StorageError(
            f"no effect of {kind} {strength:+g} at the {scale} scale on '{measure}'; this experiment has "
            f"{', '.join(dict.fromkeys(e.measure for e in self.effects))}"
        )

    def findings(self) -> list[str]:
        """Say in plain sentences what was found, what was not, and what could not be told.

        Returns:
            Sentences.
        """
        return tell_effects(self.effects, self.provenance)

    @cached_property
    def published(self) -> list[Comparison]:
        """The paper's effects for GPT-2 beside ours; empty for models of other families."""
        return compare_published(self.effects) if self.provenance.get("architecture") == "gpt2" else []

    def to_records(self) -> list[dict[str, Any]]:
        """Give every effect as a plain dictionary, ready for JSON or CSV.

        Returns:
            One dictionary an effect.
        """
        return [effect.to_record() for effect in self.effects]

    def to_result(self) -> Result:
        """Give the effects as tidy rows.

        For each cell (scale in ``target``, kind and strength in ``map``) and measure: its mean under the
        intervention with the clean mean as ``null``; ``*_change``, ``*_delta`` with its interval and the
        control's as ``null``; ``*_beyond``, Cliff's delta against the control; ``*_p`` and ``*_p_beyond``.

        Returns:
            A result named "intervention".
        """
        rows = tuple(row for effect in self.effects for row in _rows(effect))
        return Result("intervention", rows, {**self.provenance, "findings": self.findings()})

    def to_frame(self) -> "pd.DataFrame":
        """Give the effects as a tidy pandas table; see :meth:`to_result`.

        Returns:
            The table.
        """
        return self.to_result().to_frame()

    def plot(self, *, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Draw the heat map: every intervention against every measure.

        Args:
            ax: Axes to draw on; new ones when left out.
            **options: Passed on to ``msma.plotting.plot_effects``.

        Returns:
            The axes.
        """
        from msma.plotting import plot_effects

        return plot_effects(self.to_records(), ax=ax, **options)

    def plot_dose(self, *, ax: "Axes | None" = None, **options: Any) -> "Axes":
        """Draw effects over strength, beside their controls.

        Args:
            ax: Axes to draw on; new ones when left out.
            **options: Passed on to ``msma.plotting.plot_dose_response``.

        Returns:
            The axes.
        """
        from msma.plotting import plot_dose_response

        return plot_dose_response(self.to_records(), ax=ax, **options)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the experiment into a folder.

        Args:
            folder: The folder.

        Returns:
            The file written.
        """
        content = {
            "provenance": dict(self.provenance),
            "effects": [asdict(effect) for effect in self.effects],
            "samples": [sample._asdict() for sample in self.samples],
        }
        return write_json(Path(folder) / FILE, content)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            folder: The folder.

        Returns:
            An equal experiment.

        Raises:
            StorageError: When the folder holds none, or a damaged one.
        """
        path = Path(folder) / FILE
        content = read_json(path)
        try:
            effects = tuple(Effect(**entry) for entry in content["effects"])
            samples = tuple(Sample(**entry) for entry in content["samples"])
            return cls(effects, samples, dict(content["provenance"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"'{path}' holds no experiment ({error}); run 'msma intervene' again"
            ) from error


#: Columns of an effect, for tables.
COLUMNS: Sequence[str] = tuple(field.name for field in fields(Effect))


def _rows(effect: Effect) -> list[Row]:
    name = effect.measure
    shared: dict[str, Any] = {
        "target": effect.scale,
        "map": f"{effect.kind} {effect.strength:+g}",
        "n": effect.n_prompts,
        "note": effect.note,
    }
    rows = [Row(metric=name, value=effect.treated, null=effect.clean, units=effect.units, **shared)]
    rows.append(
        Row(metric=f"{name}_change", value=effect.change, null=effect.control_change, units="share", **shared)
    )
    delta: dict[str, Any] = {"low": effect.low, "high": effect.high, "null": effect.control_delta}
    beyond: dict[str, Any] = {"low": effect.beyond_low, "high": effect.beyond_high, "null": 0.0}
    for suffix, value, ends in (("delta", effect.delta, delta), ("beyond", effect.beyond, beyond)):
        rows.append(
            Row(
                metric=f"{name}_{suffix}",
                value=value,
                interval=None if ends["low"] is None else "bootstrap",
                units="Cliff's delta",
                **ends,
                **shared,
            )
        )
    for suffix, p in (("p", effect.p_holm), ("p_beyond", effect.beyond_p_holm)):
        rows.append(Row(metric=f"{name}_{suffix}", value=p, units="probability", **shared))
    return rows
