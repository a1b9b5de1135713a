"""What steering found: the trade-off curve, the choice, its honest reading, and the generator itself."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma._types import Scale
from msma._types import Stack as StackName
from msma.errors import ModelError, OriginError, StorageError
from msma.generation import generate
from msma.interventions import Acting, Direction, Translation, intervene
from msma.interventions.sites import find_sites
from msma.models import LoadedModel, text_pipeline
from msma.results import Result, Row
from msma.scales import ScalePartition
from msma.steering.findings import describe_choice
from msma.steering.loading import take_model
from msma.steering.points import Point, Sample
from msma.storage import read_json, write_json

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

_DIRECTION, _RECORD = "direction.safetensors", "steering.json"
#: What the record holds as it is.
_FACTS = ("scale", "strength", "max_loss", "judge_accuracy", "temperature")


@dataclass(frozen=True, eq=False, kw_only=True)
class Steering:
    r"""A model that writes towards some texts: call it, or run anything else inside :meth:`acting`.

    .. math:: h'_l(t) = h_l(t) + s \, \|h_l(t)\| \, \frac{v_l}{\|v_l\|}, \quad l \in \text{scale}

    with v the difference of mean states of the two sets of texts and s the strength. The model itself is never
    changed.

    Args:
        model: The model, with its language head.
        direction: v, one row a layer entry.
        partition: Which layers belong to which scale.
        scale: The scale chosen.
        strength: s, the relative norm chosen.
        curve: Every scale and strength tried, on validation prompts.
        test: The chosen one on prompts that were not used for the choice.
        pairs: Test prompts with what is written clean and steered.
        max_loss: Loss in nats a token that a choice may have.
        judge_accuracy: Share of texts it was not fitted on that the judge tells apart.
        temperature: Of the draws that the choice was made with.
        stack: Stack of an encoder-decoder that is moved.
        provenance: Model, sizes and settings.
    """

    model: LoadedModel
    direction: Direction
    partition: ScalePartition
    scale: Scale
    strength: float
    curve: tuple[Point, ...]
    test: Point
    pairs: tuple[Sample, ...]
    max_loss: float
    judge_accuracy: float
    temperature: float
    stack: StackName = "auto"
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __call__(
        self,
        prompts: str | Sequence[str],
        *,
        max_new_tokens: int = 48,
        seed: int = 0,
        temperature: float | None = None,
    ) -> list[str]:
        """Write on, steered.

        Args:
            prompts: One text or several.
            max_new_tokens: Tokens to write at most.
            seed: Fixes the draw; the clean model draws with the same chance.
            temperature: Of the draw, 0 for the likeliest token; that of the choice when left out.

        Returns:
            What follows each prompt, without the prompt.

        Raises:
            CorpusError: When a prompt is empty or does not fit the context.
        """
        given = [prompts] if isinstance(prompts, str) else list(prompts)
        with self.acting():
            written = generate(
                self.model,
                given,
                max_new_tokens=max_new_tokens,
                seed=seed,
                temperature=self.temperature if temperature is None else temperature,
            )
        return [continuation.text for continuation in written]

    @contextmanager
    def acting(self) -> Iterator[Acting]:
        """Steer whatever runs the model inside: ``generate``, a pipeline, a forward pass.

        Yields:
            What is being done, and where.
        """
        move = Translation(self.direction, self.strength)
        with intervene(self.model, self.partition, self.scale, move, stack=self.stack) as acting:
            yield acting

    def pipeline(self, **options: Any) -> Callable[..., Any]:
        """Give transformers' text-generation pipeline, steered in every call; the model is clean between calls.

        Args:
            **options: The pipeline's own settings.

        Returns:
            Called as the pipeline is.

        Raises:
            ModelError: When the model is no decoder; those are served by :meth:`acting`.
        """
        if self.model.head != "causal":
            raise ModelError(
                f"'{self.model.name}' is no decoder, so transformers has no text-generation pipeline for it; "
                "use `with steering.acting():` around your own"
            )
        plain = text_pipeline(self.model, **options)

        def steered(*args: Any, **kwargs: Any) -> Any:
            with self.acting():
                return plain(*args, **kwargs)

        return steered

    @property
    def is_effective(self) -> bool:
        """Whether on test prompts the intervals of the effect, and of the effect beyond its control, lie above 0."""
        return self.test.effect_low > 0 and self.test.beyond_low > 0

    @property
    def is_within(self) -> bool:
        """Whether the choice kept to the loss allowed, on validation prompts."""
        return self.chosen.loss <= self.max_loss

    @property
    def chosen(self) -> Point:
        """The point of the curve that was chosen."""
        return next(p for p in self.curve if (p.scale, p.strength) == (self.scale, self.strength))

    def samples(self, n: int = 2) -> tuple[Sample, ...]:
        """Show test prompts with what follows them.

        Args:
            n: How many at most; the first ones, not picked.

        Returns:
            Prompt, clean and steered text.
        """
        return self.pairs[:n]

    def describe(self) -> str:
        """Say what was chosen, what it does on other prompts, and whether that is more than chance.

        Returns:
            A few sentences.
        """
        return describe_choice(
            self.chosen,
            self.test,
            n_settings=len(self.curve),
            max_loss=self.max_loss,
            judge_accuracy=self.judge_accuracy,
        )

    def to_result(self) -> Result:
        """Give every number as rows: effect, loss, effect beyond the control, of every point.

        Returns:
            The rows; ``target`` is the scale, ``map`` the strength, ``null`` the control.
        """
        rows = []
        for point in (*self.curve, self.test):
            shared: dict[str, Any] = {
                "target": point.scale,
                "map": f"translation {point.strength:g}",
                "split": point.split,
                "n": point.n_prompts,
                "units": "nats",
                "interval": "bootstrap",
            }
            for name, better in (("effect", "higher"), ("loss", "lower"), ("beyond", "higher")):
                rows.append(
                    Row(
                        metric=name,
                        value=getattr(point, name),
                        low=getattr(point, f"{name}_low"),
                        high=getattr(point, f"{name}_high"),
                        null=0.0 if name == "beyond" else getattr(point, f"control_{name}"),
                        better=better,
                        **shared,
                    )
                )
        return Result("steering", tuple(rows), self._facts())

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows of :meth:`to_result` as a pandas table.

        Returns:
            A tidy ``DataFrame``.
        """
        return self.to_result().to_frame()

    def plot(self, *, ax: "Axes | None" = None) -> "Axes":
        """Draw the trade-off: loss across, effect upwards, one line a scale, the chosen point ringed.

        Args:
            ax: Axes to draw on; new ones when left out.

        Returns:
            The axes; nothing is shown.
        """
        from msma.plotting import plot_tradeoff

        points = [asdict(point) for point in self.curve]
        return plot_tradeoff(points, chosen=asdict(self.chosen), max_loss=self.max_loss, ax=ax)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write direction and record; the model is not written.

        Args:
            folder: Where; made when it is not there.

        Returns:
            The folder.
        """
        place = Path(folder)
        self.direction.save(place / _DIRECTION)
        content = {
            **self._facts(),
            "stack": self.stack,
            "partition": {"n_layers": self.partition.n_layers, "boundaries": self.partition.boundaries},
            "curve": [asdict(point) for point in self.curve],
            "test": asdict(self.test),
            "samples": [asdict(sample) for sample in self.pairs],
            "said": self.describe(),
            "fingerprint": self.model.fingerprint(
                find_sites(self.model.network, stack=self.stack).stack.module
            ),
        }
        write_json(place / _RECORD, content)
        return place

    @classmethod
    def load(cls, folder: str | os.PathLike[str], model: Any, *, tokenizer: Any = None) -> Self:
        """Read what :meth:`save` wrote, for the same model.

        Args:
            folder: The folder.
            model: The model, its name or folder.
            tokenizer: The model's own when left out.

        Returns:
            A steering that writes as the saved one did.

        Raises:
            OriginError: When it is another model than the saved one.
            StorageError: When a file is missing or damaged.
        """
        place = Path(folder)
        content, direction = read_json(place / _RECORD), Direction.load(place / _DIRECTION)
        loaded = take_model(model, tokenizer=tokenizer)
        name = content.get("stack", "auto")  # records of before there was a choice have none
        stack = find_sites(loaded.network, stack=name).stack
        if direction.vectors.shape != (stack.n_layers, stack.d_model):
            raise OriginError(
                f"a direction of {' x '.join(map(str, direction.vectors.shape))} came for a model of "
                f"{stack.n_layers} x {stack.d_model}; give the model that '{place}' was made with"
            )
        if content.get("fingerprint") not in (None, loaded.fingerprint(stack.module)):
            raise OriginError(
                f"a steering made with '{content.get('provenance', {}).get('model')}' came for '{loaded.name}', whose "
                "weights differ; give the model it was made with, or steer this one anew"
            )
        try:
            given = content["partition"]
            facts = {name: content[name] for name in _FACTS}
            return cls(
                model=loaded,
                direction=direction,
                partition=ScalePartition(n_layers=given["n_layers"], boundaries=tuple(given["boundaries"])),
                curve=tuple(Point(**point) for point in content["curve"]),
                test=Point(**content["test"]),
                pairs=tuple(Sample(**sample) for sample in content["samples"]),
                stack=name,
                provenance=content["provenance"],
                **facts,
            )
        except (KeyError, TypeError) as error:
            raise StorageError(
                f"'{place / _RECORD}' is no record of steering ({error}); make it again"
            ) from error

    def _facts(self) -> dict[str, Any]:
        return {**{name: getattr(self, name) for name in _FACTS}, "provenance": dict(self.provenance)}
