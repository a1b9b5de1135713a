"""What a robustness audit found: pieces, sentences, cautions; saved in a folder and read from one."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from msma.errors import StorageError
from msma.results import Result, Row, concatenate
from msma.robustness.detecting import RESIDUALS
from msma.scales import ScalePartition
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_RECORD = "robustness.json"
_PIECES = ("displacement", "detection", "probes", "gates")

#: Said with every audit, wherever it is shown.
CAUTIONS = (
    "These are perturbations made by rules, without anyone trying to do harm: what withstands them need not withstand "
    "an attacker, or the errors that your users make.",
    "A threshold holds its share of false alarms for texts like the clean ones it was calibrated on; other clean "
    "texts, longer ones above all, raise more of them.",
    "The best baseline is chosen on the very texts that are compared, which favours the baselines; intervals are not "
    "corrected for the number of rows.",
)


@dataclass(frozen=True, eq=False)
class RobustnessAudit:
    """What :func:`msma.robustness.audit_robustness` found.

    Args:
        model: Name of the model.
        partition: Its scales.
        unit: What one text was: "sentence" or "text".
        perturbations: For each perturbation its name, strength, what it does, edits a word, texts skipped, an example.
        displacement: How far each layer and scale moves.
        detection: Which detector notices what.
        probes: Accuracy and gain of each probe, where there are labels.
        gates: What to abstain by, where there are labels.
        label: The column of labels.
        provenance: Settings and versions.
    """

    model: str
    partition: ScalePartition
    unit: str
    perturbations: tuple[Mapping[str, Any], ...]
    displacement: Result
    detection: Result
    probes: Result | None = None
    gates: Result | None = None
    label: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def findings(self) -> list[str]:
        """Say what was found, a paragraph a subject.

        Returns:
            Sentences for people.
        """
        said = [self._say_displacement(), *self._say_detection()]
        if self.probes is not None:
            said.append(self._say_probes(self.probes))
        if self.gates is not None:
            said.append(self._say_gates(self.gates))
        return said

    def _say_displacement(self) -> str:
        whole = list(self.displacement.where(metric="displacement", layer=None))
        most = max(whole, key=lambda row: row.value or 0.0)
        least = min(whole, key=lambda row: row.value or 0.0)
        steps = list(self.displacement.where(metric="amplification", source="local", target="global"))
        grows = [row for row in steps if row.low is not None and row.low > 1.0]
        shrinks = [row for row in steps if row.high is not None and row.high < 1.0]
        return (
            f"A perturbed text moves from {least.value or 0.0:.2f} ({least.map}, {least.target} scale) to "
            f"{most.value or 0.0:.2f} ({most.map}, {most.target} scale) of the way to another text. From the local "
            f"to the global scale {len(grows)} of {len(steps)} perturbations are amplified, {len(shrinks)} damped; "
            "the others these texts cannot tell."
        )

    def _say_detection(self) -> list[str]:
        splits = list(dict.fromkeys(row.split for row in self.detection.where(metric="auroc") if row.split))
        names = list(dict.fromkeys(row.map for row in self.detection.where(metric="auroc") if row.map))
        ranks = {
            name: float(
                np.mean([self.detection.value("auroc rank", split=s, map=name) or 0.0 for s in splits])
            )
            for name in names
        }
        order = sorted(names, key=lambda name: ranks[name])
        gains = [self.detection.row("auroc gain", split=s, map=RESIDUALS) for s in splits]
        better = [row.split or "" for row in gains if row.low is not None and row.low > 0]
        worse = [row.split or "" for row in gains if row.high is not None and row.high < 0]
        own = [self.detection.value("auroc", split=s, map=RESIDUALS) or 0.0 for s in splits]
        said = (
            f"Over {len(splits)} kinds of anomalies the mean rank of {len(names)} detectors is "
            + ", ".join(f"{name} {ranks[name]:.1f}" for name in order)
            + f". Residuals between scales reach an AUROC of {min(own):.2f} to {max(own):.2f}; they beat the best "
            f"baseline on {_count(better)}, lose to it on {_count(worse)}, and these texts cannot tell on "
            f"{len(splits) - len(better) - len(worse)}."
        )
        alarms = list(self.detection.where(metric="false_alarms"))
        told = ", ".join(f"{row.map} {row.value or 0.0:.1%}" for row in alarms)
        bound = alarms[0].ceiling if alarms else None
        return [said, f"Of clean test texts they flag {told}; {bound or 0.0:.0%} was allowed."]

    def _say_probes(self, probes: Result) -> str:
        plain = probes.row("accuracy", map="plain", target=None, split="clean")
        gains = [row for row in probes.where(metric="gain") if row.split != "clean"]
        parts = []
        for name in dict.fromkeys(row.map for row in gains):
            own = [row for row in gains if row.map == name]
            up = sum(row.low is not None and row.low > 0 for row in own)
            down = sum(row.high is not None and row.high < 0 for row in own)
            parts.append(
                f"{name} gains {np.mean([row.value or 0.0 for row in own]):+.3f} on average (beyond chance on {up} of "
                f"{len(own)}, below on {down})"
            )
        return (
            f"A plain probe of {self.label} is right on {plain.value or 0.0:.0%} of clean texts. Against it, on "
            "perturbed ones: " + "; ".join(parts) + "."
        )

    def _say_gates(self, gates: Result) -> str:
        rows = [row for row in gates.where(metric="aurc_difference") if row.split != "clean"]
        parts = []
        for name in dict.fromkeys(row.map for row in rows):
            own = [row for row in rows if row.map == name]
            better = sum(row.high is not None and row.high < 0 for row in own)
            worse = sum(row.low is not None and row.low > 0 for row in own)
            parts.append(f"{name} better on {better}, worse on {worse}")
        return (
            f"To abstain by, against the probe's own confidence, over {len({row.split for row in rows})} "
            "perturbations: " + "; ".join(parts) + "."
        )

    def describe(self) -> str:
        """Say what was found and what that does not show.

        Returns:
            Findings, then the first caution.
        """
        return "\n".join([*self.findings(), CAUTIONS[0]])

    def _pieces(self) -> Sequence[tuple[str, Result]]:
        found = [(name, getattr(self, name)) for name in _PIECES]
        return [(name, piece) for name, piece in found if piece is not None]

    def to_result(self) -> Result:
        """Give every number as rows.

        Returns:
            All tables one below the other.
        """
        return concatenate("robustness", [piece for _, piece in self._pieces()], provenance=self.provenance)

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows of :meth:`to_result` as a pandas table.

        Returns:
            A tidy ``DataFrame``.
        """
        return self.to_result().to_frame()

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw how far perturbations move each layer.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting import plot_displacement

        return plot_displacement(self.displacement.rows, ax=ax)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write every piece, and last of all the record that says that the folder is whole.

        Args:
            folder: Where; made when it is not there.

        Returns:
            The folder.
        """
        place = Path(folder)
        self.partition.save(place / "scales.json")
        for name, piece in self._pieces():
            piece.save(place / f"{name}.json")
        self.to_result().save(place / "results.json")
        content = {
            "model": self.model,
            "unit": self.unit,
            "label": self.label,
            "partition": {"n_layers": self.partition.n_layers, "boundaries": list(self.partition.boundaries)},
            "perturbations": [dict(one) for one in self.perturbations],
            "said": self.findings(),
            "cautions": list(CAUTIONS),
            "provenance": dict(self.provenance),
        }
        write_json(place / _RECORD, content)
        return place

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            folder: The folder.

        Returns:
            The audit; the detector is read by ``TextDetector.load``.

        Raises:
            StorageError: When a file is missing or damaged.
        """
        place = Path(folder)
        content = read_json(place / _RECORD)
        try:
            pieces = {
                name: Result.load(place / f"{name}.json")
                for name in _PIECES
                if (place / f"{name}.json").is_file()
            }
            return cls(
                model=content["model"],
                partition=ScalePartition.load(place / "scales.json"),
                unit=content["unit"],
                perturbations=tuple(content["perturbations"]),
                label=content["label"],
                provenance=content["provenance"],
                **pieces,
            )
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"'{place / _RECORD}' is no record of an audit ({error}); make it again"
            ) from error


def _count(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = ", ".join(names[:6]) + (", …" if len(names) > 6 else "")
    return f"{len(names)} ({shown})"


def alarm_rows(
    flagged: Mapping[str, Any], documents: Any, *, alpha: float, n_draws: int = 1000, seed: int = 0
) -> list[Row]:
    """Tell which share of clean test texts each detector flags.

    Args:
        flagged: 1 where a text is flagged, by detector.
        documents: The document of each text.
        alpha: The share that was allowed.
        n_draws: Draws for the interval.
        seed: Fixes them.

    Returns:
        Rows "false_alarms", ``ceiling`` the share allowed.
    """
    from msma.resampling import bootstrap_interval

    codes = np.unique(documents, return_inverse=True)[1]
    rows = []
    for name, values in flagged.items():
        found = bootstrap_interval(
            lambda weights, values=values: weights @ values / weights.sum(axis=1),  # type: ignore[misc]
            codes,
            n_resamples=n_draws,
            seed=seed,
        )
        rows.append(
            Row(
                metric="false_alarms",
                value=found.value,
                low=found.low,
                high=found.high,
                ceiling=alpha,
                units="share",
                better="lower",
                map=name,
                split="clean",
                n=len(codes),
                interval="bootstrap",
                note="share of clean test texts flagged; ceiling: the share allowed",
            )
        )
    return rows
