"""What an explanation of one text says, scale by scale: plain values, ready to be shown and saved."""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from msma.errors import ConfigError, StorageError
from msma.explanation.findings import list_rows, say_findings
from msma.explanation.parts import (
    Attribution,
    Decoding,
    Departure,
    LabelShare,
    Neighbour,
    Piece,
    Place,
)
from msma.results import Result
from msma.storage import read_json, write_json

__all__ = [
    "Attribution",
    "Decoding",
    "Departure",
    "Explanation",
    "LabelShare",
    "Neighbour",
    "Piece",
    "Place",
]

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """One text explained across the scales.

    Args:
        text: The text, as much of it as the model read.
        tokens: Its tokens, without special ones.
        sentences: Its sentences.
        places: Where it lies, one a scale.
        attributions: Which tokens drive each scale, one a scale and method.
        decodings: What the global state says on its way down.
        departures: Where the text departs from its themes, one a pair of scales.
        is_cut: Whether the text was longer than the model reads.
        provenance: Model, corpus, study, versions and settings.
    """

    text: str
    tokens: tuple[Piece, ...]
    sentences: tuple[Piece, ...]
    places: tuple[Place, ...]
    attributions: tuple[Attribution, ...]
    decodings: tuple[Decoding, ...]
    departures: tuple[Departure, ...]
    is_cut: bool = False
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def to_result(self) -> Result:
        """Give every number as rows.

        Returns:
            The rows; ``target`` is the scale, ``map`` the method or path, ``null`` the control of each.
        """
        return Result("explanation", list_rows(self), dict(self.provenance))

    def to_frame(self) -> "pd.DataFrame":
        """Give the rows of :meth:`to_result` as a pandas table.

        Returns:
            A tidy ``DataFrame``.
        """
        return self.to_result().to_frame()

    def describe(self) -> str:
        """Say in a few sentences what was found, and what is no more than chance.

        Returns:
            One paragraph.
        """
        return " ".join(say_findings(self))

    def plot(self, *, method: str | None = None, width: float | None = None) -> "Axes":
        """Draw the text three times, its tokens coloured by what they do to each scale's coordinate.

        Scores are shown as shares of the largest of their own scale, so that a scale that moves little is seen too.

        Args:
            method: "occlusion" or "gradient"; the first there is when left out.
            width: Inches.

        Returns:
            The axes; nothing is shown.

        Raises:
            ConfigError: When nothing was attributed by that method.
        """
        from msma.plotting import PAGE, plot_tokens

        methods = list(dict.fromkeys(a.method for a in self.attributions))
        chosen = methods[0] if method is None and methods else method
        found: dict[str, tuple[float, ...]] = {
            a.scale: a.scores for a in self.attributions if a.method == chosen
        }
        if not found:
            raise ConfigError(
                f"method '{chosen}' came; this explanation has {', '.join(methods) or 'no attributions'}"
            )
        tokens = [piece.text for piece in self.tokens]
        largest = {scale: max(map(abs, scores), default=0.0) or 1.0 for scale, scores in found.items()}
        shares = {scale: [score / largest[scale] for score in scores] for scale, scores in found.items()}
        glued = [
            k > 0 and self.tokens[k - 1].end == piece.start and not piece.text[:1].isspace()
            for k, piece in enumerate(self.tokens)
        ]
        return plot_tokens(
            tokens,
            shares,
            units=f"of the scale's largest, {chosen}",
            is_glued=glued,
            width=PAGE if width is None else width,
        )

    def to_dict(self) -> dict[str, Any]:
        """Give everything as plain values.

        Returns:
            What :meth:`from_dict` takes.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_dict` gave.

        Args:
            content: Plain values.

        Returns:
            The explanation.

        Raises:
            StorageError: When it is none.
        """
        try:
            return cls(
                text=content["text"],
                tokens=tuple(Piece(**p) for p in content["tokens"]),
                sentences=tuple(Piece(**p) for p in content["sentences"]),
                places=tuple(_place(p) for p in content["places"]),
                attributions=tuple(
                    Attribution(**{**a, "scores": tuple(a["scores"])}) for a in content["attributions"]
                ),
                decodings=tuple(
                    Decoding(
                        **{
                            **d,
                            "path": tuple(d["path"]),
                            "words": tuple((w, float(s)) for w, s in d["words"]),
                        }
                    )
                    for d in content["decodings"]
                ),
                departures=tuple(
                    Departure(**{k: tuple(v) for k, v in d.items()}) for d in content["departures"]
                ),
                is_cut=bool(content["is_cut"]),
                provenance=dict(content["provenance"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StorageError(
                f"this is no record of an explanation ({error}); explain the text again"
            ) from error

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the explanation as JSON.

        Args:
            path: The file.

        Returns:
            The path written.
        """
        return write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            The explanation.

        Raises:
            StorageError: When the file is missing or damaged.
        """
        content = read_json(path)
        if not isinstance(content, dict):
            raise StorageError(f"'{path}' is no record of an explanation; explain the text again")
        return cls.from_dict(content)


def _place(content: Mapping[str, Any]) -> Place:
    return Place(
        **{
            **content,
            "texts": tuple(Neighbour(**n) for n in content["texts"]),
            "sentences": tuple(Neighbour(**n) for n in content["sentences"]),
            "labels": tuple(LabelShare(**label) for label in content["labels"]),
            "position": tuple(content["position"]),
        }
    )
