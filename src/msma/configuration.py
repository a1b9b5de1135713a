"""Settings of a study: one frozen dataclass, readable from TOML."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal, Self

from msma._types import Stack, Unit
from msma.errors import ConfigError, StorageError

_CHOICES: dict[str, tuple[str, ...]] = {
    "unit": ("text", "sentence", "token"),
    "stack": ("auto", "encoder", "decoder"),
    "long": ("truncate", "windows"),
    "dtype": ("float32", "bfloat16", "float16", "auto"),
    "quantization": ("none", "8bit", "4bit"),
    "paragraphs": ("auto", "line", "blank"),
    "padding_side": ("right", "left"),
    "reduction": ("mean", "last"),
}


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """Every setting of a study.

    Args:
        model: Name on the Hub, folder, "demo" for the embedded encoder, "demo-decoder" for the embedded decoder.
        texts: File, Hub dataset, or "demo" for the embedded corpus.
        revision: Commit, tag or branch of the model.
        column: Column of the texts in a file that has columns.
        id_column: Column of the document each text belongs to.
        label_columns: Columns of labels to probe.
        paragraphs: How a .txt file is divided.
        max_documents: Documents read, at most.
        unit: What one sample is.
        stack: Which stack of an encoder-decoder is read.
        max_tokens: Tokens after which a text is long; the model's own limit when left out.
        long: What happens to long texts.
        batch_tokens: Tokens a batch.
        padding_side: Side on which batches are padded.
        dtype: Precision of the forward pass.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        device_map: How accelerate spreads the model over devices, memory and disk.
        quantization: Precision of the weights: "none", "8bit", "4bit".
        offload_folder: Where weights go that fit nowhere else.
        final_norm: Whether the last entry is taken after the model's final norm.
        attention_texts: Texts whose attention is looked at; 0 leaves the attention signal out.
        scales: "fused", one signal's name, "thirds", or ranges such as "0-2|3-4|5-6".
        n_votes: Random halves of the documents that vote on the boundaries.
        min_layers: Fewest layers a scale may have.
        reduction: What represents a scale: the "mean" of its layers or the "last".
        is_standardised: Whether layers are brought to equal spread first.
        maps: Names of the maps compared; "joint" adds the learned map to them, and all closed-form maps are
            compared when no other is named.
        joint: Settings of the learned map that differ from its defaults, as "name=value".
        fractions: Share of the documents in train, validation and test.
        seed: Fixes splits, votes, shuffles and intervals.
        trust_remote_code: Passed on to transformers.

    Raises:
        ConfigError: When a value is impossible.

    Examples:
        >>> StudyConfig(model="demo", texts="demo").unit
        'text'
    """

    model: str
    texts: str
    revision: str | None = None
    column: str | None = None
    id_column: str | None = None
    label_columns: tuple[str, ...] = ()
    paragraphs: Literal["auto", "line", "blank"] = "auto"
    max_documents: int | None = None
    unit: Unit = "text"
    stack: Stack = "auto"
    max_tokens: int | None = None
    long: Literal["truncate", "windows"] = "truncate"
    batch_tokens: int | None = None
    padding_side: Literal["right", "left"] = "right"
    dtype: Literal["float32", "bfloat16", "float16", "auto"] = "float32"
    device: str = "auto"
    device_map: str | None = None
    quantization: Literal["none", "8bit", "4bit"] = "none"
    offload_folder: str | None = None
    final_norm: bool = False
    attention_texts: int = 128
    scales: str = "fused"
    n_votes: int = 100
    min_layers: int | None = None
    reduction: Literal["mean", "last"] = "mean"
    is_standardised: bool = False
    maps: tuple[str, ...] = ()
    joint: tuple[str, ...] = ()
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2)
    seed: int = 0
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise ConfigError(f"{name} '{value}' came; expected one of {', '.join(choices)}")
        for name in ("max_documents", "max_tokens", "batch_tokens", "min_layers", "n_votes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError(f"{name} {value} came; expected a positive whole number")
        if self.attention_texts < 0:
            raise ConfigError(f"attention_texts {self.attention_texts} came; expected 0 or more")
        if len(self.fractions) != 3 or min(self.fractions) <= 0 or abs(sum(self.fractions) - 1) > 1e-6:
            raise ConfigError(
                f"fractions {self.fractions} came; expected three positive shares that add up to 1, "
                "such as 0.6,0.2,0.2"
            )

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any]) -> Self:
        """Build a configuration from a mapping, refusing keys that do not exist.

        Args:
            settings: Settings by name.

        Returns:
            The configuration.

        Raises:
            ConfigError: When a key is unknown (the nearest right one is named) or a required one is missing.

        Examples:
            >>> StudyConfig.from_dict({"model": "demo", "texts": "demo", "unitt": "text"})
            Traceback (most recent call last):
            ...
            msma.errors.ConfigError: there is no setting 'unitt'; did you mean 'unit'?
        """
        known = {f.name: f for f in fields(cls)}
        for key in settings:
            if key not in known:
                near = get_close_matches(key, known, n=1)
                hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(known)}"
                raise ConfigError(f"there is no setting '{key}'; {hint}")
        for key in ("model", "texts"):
            if key not in settings:
                raise ConfigError(f"setting '{key}' is missing; give it on the command line or in the file")
        checked: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}
        return cls(**checked)

    @classmethod
    def read_toml(cls, path: str | os.PathLike[str]) -> dict[str, Any]:
        """Read settings from a TOML file, not yet checked.

        Args:
            path: The file.

        Returns:
            Settings by name.

        Raises:
            StorageError: When the file is missing.
            ConfigError: When it is not TOML.
        """
        try:
            return tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise StorageError(f"could not read '{path}': {error.strerror}; check the path") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"'{path}' is not valid TOML ({error}); correct that line") from error
