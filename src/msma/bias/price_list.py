"""The price list of an erasure: every scale, method and strength, and which of them to take."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Self

from msma.bias.begun import BEGUN
from msma.bias.price import Change, Price
from msma.bias.probing import Reading
from msma.erasure import ScaleEraser
from msma.errors import StorageError
from msma.results import Result, Row
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_RECORD, _ERASER = "prices.json", "eraser.safetensors"


@dataclass(frozen=True, eq=False)
class PriceList:
    """What it costs to take a bias out, by scale, method and strength.

    Args:
        prices: The model as it is, then each erasure.
        concept: What is erased.
        erasers: The erasers, by scale and method.
        task: What the probe of the price reads ("topic"), where there is one.
        provenance: Model, texts and settings.
    """

    prices: tuple[Price, ...]
    concept: str
    erasers: Mapping[tuple[str, str], ScaleEraser] = field(default_factory=dict)
    task: str | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def clean(self) -> Price:
        """The model as it is."""
        return next(price for price in self.prices if price.is_clean)

    @property
    def erasures(self) -> tuple[Price, ...]:
        """All but the model as it is."""
        return tuple(price for price in self.prices if not price.is_clean)

    @property
    def recommended(self) -> Price:
        """The erasure to take, by what probes read in the training pairs.

        Among those that leave the output at chance (among all, where none does, those that leave least), the ones whose
        cost cannot be told from the lowest; of these the one that changes ordinary texts' states least.
        """
        fit = [price for price in self.erasures if price.chosen_by.is_chance]
        if not fit:
            least = min(price.chosen_by.value for price in self.erasures)
            fit = [price for price in self.erasures if _low(price.chosen_by) <= least]
        lowest = min(price.cost.value for price in fit)
        return min((p for p in fit if _low(p.cost) <= lowest), key=lambda price: price.change)

    @property
    def eraser(self) -> ScaleEraser | None:
        """The eraser that is recommended, at its strength; ``None`` where the list was loaded from a file."""
        price = self.recommended
        found = self.erasers.get((price.scale, price.method))
        return None if found is None else found.at(price.strength)

    @property
    def frontier(self) -> tuple[Price, ...]:
        """Prices that no other beats at both what is left (linear, at the output) and what it costs."""
        kept = []
        for price in self.prices:
            one = (price.output_linear.value, 0.0 if price.is_clean else price.cost.value)
            others = (
                (p.output_linear.value, 0.0 if p.is_clean else p.cost.value)
                for p in self.prices
                if p is not price
            )
            if not any(o[0] <= one[0] and o[1] <= one[1] and o != one for o in others):
                kept.append(price)
        return tuple(sorted(kept, key=lambda price: price.cost.value))

    def describe(self) -> str:
        """Say what to take, what it leaves and costs, and what the scales have to do with it.

        Returns:
            A few sentences.
        """
        price, clean = self.recommended, self.clean
        what = f"{price.method} at the {price.scale} scale, strength {price.strength:g}"
        left = price.output_linear
        if price.chosen_by.is_chance:
            why = (
                f"To erase {self.concept}, take {what}: of {len(self.erasures)} settings it changes ordinary texts "
                "least among those that leave a linear probe at the last layer at chance on the training pairs and "
                "whose cost cannot be told from the lowest."
            )
        else:
            why = (
                f"None of {len(self.erasures)} settings brings a linear probe at the last layer to chance on the "
                f"training pairs; {what} is among those that leave it least to read."
            )
        said = [
            why,
            f"On other pairs a linear probe there tells {_share(left)} of the texts apart, "
            f"{_share(clean.output_linear)} before; a non-linear one {_share(price.output_nonlinear)}, "
            f"{_share(clean.output_nonlinear)} before.",
        ]
        if not left.is_chance:
            said.append("So what a linear probe reads there is reduced, not gone.")
        elif not price.output_nonlinear.is_chance:
            said.append("So it is gone for linear probes only: a non-linear reader still finds it.")
        cost = price.cost
        said.append(f"It costs {cost.value:+.3f} {price.cost_units} ({cost.low:+.3f} to {cost.high:+.3f}).")
        if price.loss is not None and price.task is not None:
            task = price.task
            said.append(
                f"A probe of {self.task} changes by {100 * task.value:+.1f} points ({100 * task.low:+.1f} to "
                f"{100 * task.high:+.1f})."
            )
        said.append(self._rivals())
        return " ".join(said)

    def _rivals(self) -> str:
        """Say whether another scale does as well, as far as these texts can tell."""
        price = self.recommended
        rivals = sorted(
            {
                other.scale
                for other in self.erasures
                if other.scale != price.scale
                and other.output_linear.low <= price.output_linear.value
                and other.cost.low <= price.cost.high
            }
        )
        if not rivals:
            return "No other scale leaves as little at a cost as low, as far as these texts can tell."
        return f"These texts cannot tell it from the best at the {' and '.join(rivals)} scale."

    def to_result(self) -> Result:
        """Give every number as rows.

        Returns:
            Rows with ``target`` the scale and ``map`` method and strength.
        """
        rows: list[Row] = []
        for price in self.prices:
            shared: dict[str, Any] = {
                "target": None if price.is_clean else price.scale,
                "map": "none" if price.is_clean else f"{price.method} {price.strength:g}",
                "split": "test",
            }
            for name in ("here_linear", "here_nonlinear", "output_linear", "output_nonlinear"):
                reading: Reading | None = getattr(price, name)
                if reading is not None:
                    rows.append(
                        Row(metric=f"readable_{name}", value=reading.value, low=reading.low, high=reading.high,
                            null=reading.control, floor=0.5, ceiling=1.0, units="accuracy", better="lower",
                            n=reading.n, interval="bootstrap", **shared)
                    )  # fmt: skip
            for name, units, better in (("loss", "nats", "lower"), ("task", "accuracy", "higher")):
                change = getattr(price, name)
                if change is not None:
                    rows.append(
                        Row(metric=f"price_{name}", value=change.value, low=change.low, high=change.high, null=0.0,
                            units=units, better=better, interval="bootstrap", **shared)
                    )  # fmt: skip
            rows.append(Row(metric="price_change", value=price.change, units="1", better="lower", **shared))
            for name, units, null in (
                ("association", "1", 0.0),
                ("difference", "cosine", 0.0),
                ("crows", "%", 50.0),
                ("ss", "%", 50.0),
                ("icat", "1", None),
            ):
                if getattr(price, name) is not None:
                    rows.append(
                        Row(
                            metric=f"score_{name}",
                            value=getattr(price, name),
                            units=units,
                            null=null,
                            **shared,
                        )
                    )
        return Result("bias_prices", tuple(rows), dict(self.provenance))

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows of :meth:`to_result` as a pandas table.

        Returns:
            A tidy ``DataFrame``.
        """
        return self.to_result().to_frame()

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw what is left over what it costs, one line a scale, the frontier and the choice marked.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting import plot_prices

        records = [{**p.to_record(), "cost": asdict(p.cost)} for p in self.prices]
        chosen, frontier = self.prices.index(self.recommended), [self.prices.index(p) for p in self.frontier]
        return plot_prices(
            records, chosen=chosen, frontier=frontier, units=self.recommended.cost_units, ax=ax
        )

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the list, and the recommended eraser beside it.

        Args:
            folder: Where; made when it is not there.

        Returns:
            The folder.
        """
        place = Path(folder)
        if self.eraser is not None:
            self.eraser.save(place / _ERASER)
        content = {
            "concept": self.concept,
            "task": self.task,
            "provenance": dict(self.provenance),
            "said": self.describe(),
            "prices": [price.to_record() for price in self.prices],
        }
        write_json(place / _RECORD, content)
        rmtree(place / BEGUN, ignore_errors=True)
        return place

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote; the eraser is read by ``ScaleEraser.load``.

        Args:
            folder: The folder.

        Returns:
            The list, without erasers.

        Raises:
            StorageError: When the file is missing or damaged.
        """
        place = Path(folder) / _RECORD
        content = read_json(place)
        try:
            prices = tuple(Price.from_record(record) for record in content["prices"])
            return cls(prices, content["concept"], {}, content["task"], content["provenance"])
        except (KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"'{place}' holds no price list ({error}); make it again") from error


def _low(found: Reading | Change) -> float:
    """Give the lower end of an interval, which rounding may put above a value that never varies."""
    return min(found.low, found.value)


def _share(reading: Reading) -> str:
    return f"{reading.value:.0%} ({reading.low:.0%} to {reading.high:.0%})"
