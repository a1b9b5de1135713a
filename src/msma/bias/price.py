"""One line of the price list: what an erasure leaves readable, and what it costs."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from msma.bias.probing import Reading

_READINGS = ("here_linear", "here_nonlinear", "output_linear", "output_nonlinear", "chosen_by")


@dataclass(frozen=True)
class Change:
    """A change against the model as it is, paired text by text.

    Args:
        value: Mean change.
        low: Lower end of the 95 % interval over documents.
        high: Upper end.
    """

    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Price:
    """What one erasure leaves and costs; everything is read on texts it was not fitted on.

    Args:
        scale: The scale erased; "none" for the model as it is.
        method: "leace" or "projection".
        strength: Share that is taken out.
        here_linear: What a linear probe reads at the last layer of the scale; ``None`` for the model as it is.
        here_nonlinear: What a non-linear one does.
        output_linear: What a linear probe reads at the model's last layer entry.
        output_nonlinear: What a non-linear one does.
        chosen_by: What a linear probe reads at the last layer entry in the training pairs, by cross-validation; the
            recommendation goes by this one, so that the readings above stay free of the choice.
        change: Relative norm of the change of ordinary texts' states, root mean square over layers and tokens.
        loss: Change of the surprise of ordinary texts in nats a token; ``None`` without a language head.
        task: Change of a probe's accuracy at something else, at the last layer entry; ``None`` without labels.
        association: Mean absolute effect d of the association tests at the last layer entry. It is in units of the
            associations' own spread, so it may stay where it was while hardly anything is left.
        difference: Mean absolute difference of associations there, in cosines: how large they are.
        crows: CrowS-Pairs score in %; 50 is none.
        ss: StereoSet stereotype score in %; 50 is none.
        icat: StereoSet ICAT.
    """

    scale: str
    method: str
    strength: float
    here_linear: Reading | None
    here_nonlinear: Reading | None
    output_linear: Reading
    output_nonlinear: Reading
    chosen_by: Reading
    change: float
    loss: Change | None = None
    task: Change | None = None
    association: float | None = None
    difference: float | None = None
    crows: float | None = None
    ss: float | None = None
    icat: float | None = None

    @property
    def is_clean(self) -> bool:
        """Whether this is the model as it is."""
        return self.scale == "none"

    @property
    def cost(self) -> Change:
        """What it costs: nats a token; accuracy lost where there is no language head; else the change itself."""
        if self.loss is not None:
            return self.loss
        if self.task is not None:
            # Taken from 0, so that no change is 0 and not -0.
            return Change(0.0 - self.task.value, 0.0 - self.task.high, 0.0 - self.task.low)
        return Change(self.change, self.change, self.change)

    @property
    def cost_units(self) -> str:
        """Units of :attr:`cost`."""
        if self.loss is not None:
            return "nats a token"
        return "accuracy lost" if self.task is not None else "relative norm"

    def to_record(self) -> dict[str, Any]:
        """Give the line as a plain dictionary.

        Returns:
            One entry a column; readings and changes are dictionaries themselves.
        """
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self:
        """Read what :meth:`to_record` gave.

        Args:
            record: The dictionary.

        Returns:
            The line.
        """
        kinds: dict[str, Any] = {"loss": Change, "task": Change, **dict.fromkeys(_READINGS, Reading)}
        values: dict[str, Any] = {
            name: kinds[name](**value) if name in kinds and value is not None else value
            for name, value in record.items()
        }
        return cls(**values)
