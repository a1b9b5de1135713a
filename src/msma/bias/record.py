"""What an audit found: pieces, sentences, cautions; saved in a folder and read from one."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma._types import SCALES
from msma.bias.associations import AssociationTable
from msma.bias.crows import CrowsScore
from msma.bias.price_list import PriceList
from msma.bias.stereoset import StereoScore
from msma.bias.winobias import WinoScore
from msma.errors import StorageError
from msma.results import Result, concatenate
from msma.scales import ScalePartition
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_RECORD = "bias.json"

#: Said with every audit, wherever it is shown.
CAUTIONS = (
    "A low score is not fairness: these tests find some associations that someone thought of asking about, in English, "
    "mostly in stereotypes of the United States; a model that passes may still treat people badly.",
    "Association tests say how words stand to each other in states, not what a model does with them; effects of a few "
    "words a list have wide intervals, shown beside each number.",
    "CrowS-Pairs and StereoSet have noisy and invalid items (Blodgett et al. 2021); 50 % can also come of biases that "
    "cancel, or of a model that cannot tell sentences apart (see the language-modelling score).",
    "What a linear probe cannot read may be read by another: the price list shows a non-linear one beside it. Erasure "
    "takes out what these pairs differ in, and later layers may find it again from words that they do not have.",
    "The built-in pairs speak of women and men because their words are paired in English, not because these are all "
    "the genders there are; bring your own pairs for anything else.",
)


@dataclass(frozen=True, eq=False)
class BiasAudit:
    """What :func:`msma.bias.audit_bias` found.

    Args:
        model: Name of the model.
        partition: Its scales.
        concept: What the pairs differ in.
        associations: Association tests by layer and scale.
        location: How far the sides of pairs stand apart, by layer and scale.
        carried: What the maps between scales carry of it.
        crows: CrowS-Pairs, where it was run.
        stereoset: StereoSet, where it was run.
        winobias: WinoBias, where it was run.
        prices: The price list, where an erasure was asked for.
        provenance: Settings and versions.
    """

    model: str
    partition: ScalePartition
    concept: str
    associations: AssociationTable
    location: Result
    carried: Result
    crows: CrowsScore | None = None
    stereoset: StereoScore | None = None
    winobias: WinoScore | None = None
    prices: PriceList | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def with_prices(self, prices: PriceList) -> "BiasAudit":
        """Add a price list.

        Args:
            prices: The list.

        Returns:
            The audit with it.
        """
        return replace(self, prices=prices)

    def findings(self) -> list[str]:
        """Say what was found, a paragraph a subject.

        Returns:
            Sentences for people.
        """
        said = [self._say_associations(), self._say_location(), self._say_carried()]
        for name, test, what in (
            ("crows", self.crows, "CrowS-Pairs: the more stereotyping sentence is likelier in"),
            ("ss", self.stereoset, "StereoSet: the stereotype is likelier in"),
            ("winobias", self.winobias, "WinoBias: the pronoun of the stereotype is likelier in"),
        ):
            if test is not None:
                row = test.to_result().row(name)
                side = _side(row.low or 0.0, row.high or 0.0)
                said.append(
                    f"{what} {row.value or 0.0:.1f} % ({row.low or 0.0:.1f} to {row.high or 0.0:.1f}; 50 is no "
                    f"preference), {side}."
                )
        if self.prices is not None:
            said.append(self.prices.describe())
        return said

    def _say_associations(self) -> str:
        scales = [row for row in self.associations.rows if row.layer is None]
        kept = [row for row in scales if row.is_significant]
        n_tests = len({row.test for row in scales})
        if not kept:
            return f"Of {n_tests} association tests at three scales none shows an association after Holm's correction."
        strongest = max(kept, key=lambda row: abs(row.effect or 0.0))
        by_scale = ", ".join(
            f"{sum(row.scale == scale for row in kept)} at the {scale} scale" for scale in SCALES
        )
        return (
            f"Of {n_tests} association tests, after Holm's correction, {by_scale} show an association; the strongest "
            f"is {strongest.label} at the {strongest.scale} scale (d {strongest.effect or 0.0:+.2f}, "
            f"{strongest.low or 0.0:+.2f} to {strongest.high or 0.0:+.2f})."
        )

    def _say_location(self) -> str:
        rows = {scale: self.location.row("bias_probe", target=scale, layer=None) for scale in SCALES}
        told = ", ".join(
            f"{row.value or 0.0:.0%} at the {scale} scale ({row.low or 0.0:.0%} to {row.high or 0.0:.0%}; control "
            f"{row.null or 0.0:.0%})"
            for scale, row in rows.items()
        )
        agreement = {
            scale: self.location.row("bias_agreement", target=scale, layer=None).value for scale in SCALES
        }
        known = {scale: value for scale, value in agreement.items() if value is not None}
        said = f"A linear probe reads {self.concept} from {told}."
        if known:
            most = max(known, key=lambda scale: known[scale])
            said += (
                f" Different pairs agree most on one direction at the {most} scale "
                f"(mean product {known[most]:.2f})."
            )
        return said

    def _say_carried(self) -> str:
        parts = []
        for source, target in (("global", "intermediate"), ("intermediate", "local")):
            found = self.carried.where(source=source, target=target)
            rows = {row.metric: row for row in found}
            cosine, share = rows.get("carried_cosine"), rows.get("carried_variance")
            if cosine is None or share is None or cosine.value is None or share.value is None:
                continue
            parts.append(
                f"{source} to {target} it arrives at a cosine of {cosine.value:.2f} with the target's own difference "
                f"(random texts stay below {cosine.floor or 0.0:.2f}) and explains {share.value:.0%} of it"
            )
        if not parts:
            return f"The maps have no {self.concept} to carry at one of the scales."
        return f"Of {self.concept}, the maps carry: from " + "; from ".join(parts) + "."

    def describe(self) -> str:
        """Say what was found and what that does not show.

        Returns:
            Findings, then the first caution.
        """
        return "\n".join([*self.findings(), CAUTIONS[0]])

    def to_result(self) -> Result:
        """Give every number as rows.

        Returns:
            All tables one below the other.
        """
        parts = [self.associations.to_result(), self.location, self.carried]
        parts += [one.to_result() for one in (self.crows, self.stereoset, self.winobias) if one is not None]
        if self.prices is not None:
            parts.append(self.prices.to_result())
        return concatenate("bias", parts, provenance=self.provenance)

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows of :meth:`to_result` as a pandas table.

        Returns:
            A tidy ``DataFrame``.
        """
        return self.to_result().to_frame()

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw what a probe reads of the concept over the layers.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting import plot_bias_layers

        return plot_bias_layers(self.location.rows, ax=ax)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write every piece, and last of all the record that says that the folder is whole.

        Args:
            folder: Where; made when it is not there.

        Returns:
            The folder.
        """
        place = Path(folder)
        self.partition.save(place / "scales.json")
        for name in ("associations", "location", "carried", "crows", "stereoset", "winobias"):
            piece = getattr(self, name)
            if piece is not None:
                piece.save(place / f"{name}.json")
        if self.prices is not None:
            self.prices.save(place)
        self.to_result().save(place / "results.json")
        content = {
            "model": self.model,
            "concept": self.concept,
            "partition": {"n_layers": self.partition.n_layers, "boundaries": list(self.partition.boundaries)},
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
            The audit; erasers are read by ``ScaleEraser.load``.

        Raises:
            StorageError: When a file is missing or damaged.
        """
        place = Path(folder)
        content = read_json(place / _RECORD)
        kinds: dict[str, Any] = {"crows": CrowsScore, "stereoset": StereoScore, "winobias": WinoScore}
        extra = {
            name: kind.load(place / f"{name}.json")
            for name, kind in kinds.items()
            if (place / f"{name}.json").is_file()
        }
        try:
            return cls(
                model=content["model"],
                partition=ScalePartition.load(place / "scales.json"),
                concept=content["concept"],
                associations=AssociationTable.load(place / "associations.json"),
                location=Result.load(place / "location.json"),
                carried=Result.load(place / "carried.json"),
                prices=PriceList.load(place) if (place / "prices.json").is_file() else None,
                provenance=content["provenance"],
                **extra,
            )
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"'{place / _RECORD}' is no record of an audit ({error}); make it again"
            ) from error


def _side(low: float, high: float) -> str:
    if low > 50:
        return "above 50"
    return "below 50" if high < 50 else "which these items cannot tell from 50"
