"""How a map is kept: a folder with its weights and configuration, on disk or on the Hugging Face Hub."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from huggingface_hub import ModelCard, ModelHubMixin, snapshot_download
from sklearn.utils.validation import check_is_fitted

from msma._version import __version__
from msma.errors import StorageError
from msma.storage import file_checksum, open_tensors, read_json, write_json, write_tensors, write_text

CONFIG_FILE, WEIGHTS_FILE, CARD_FILE = "config.json", "model.safetensors", "README.md"

_CARD = """---
library_name: msma
tags:
- msma
- model_hub_mixin
---
# {name}

A map between two scales of a language model's hidden states, fitted by MSMA {version}:
{source} -> {target} dimensions.

Fitted on: {origin}

```python
from msma.maps import BaseMap

fitted = BaseMap.from_pretrained("this/repository")
```
"""


def _describe(value: Any) -> Any:
    """Give a parameter that is itself a map as its kind and parameters; its fitted state is not kept."""
    if not isinstance(value, PersistentMixin):
        return value
    return {"map": value.kind, "params": value.get_params(deep=False)}


def _revive(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return PersistentMixin._kinds[value["map"]](**value["params"])


class PersistentMixin(ModelHubMixin):  # type: ignore[misc]
    """Save, load and share a scikit-learn estimator through its fitted attributes, without pickle.

    A class with a ``kind`` is found by that name when loaded; nothing named in a file is ever imported or
    run. Fitted attributes end in an underscore; numeric arrays among them become tensors, the rest JSON.
    """

    kind: ClassVar[str] = ""
    origin_: dict[str, Any] | None = None
    _kinds: ClassVar[dict[str, type["PersistentMixin"]]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if cls.__dict__.get("kind"):
            PersistentMixin._kinds[cls.kind] = cls

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an instance without the Hub mixin's copy of its parameters, which set_params leaves stale."""
        return object.__new__(cls)

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the fitted map to a folder: weights, then the configuration that vouches for them.

        Args:
            folder: Where to; made when missing.

        Returns:
            The folder.
        """
        check_is_fitted(self)
        arrays, values = self._fitted_state()
        folder = Path(folder)
        weights = write_tensors(folder / WEIGHTS_FILE, arrays)
        config = {
            "map": self.kind,
            "params": {name: _describe(value) for name, value in self.get_params(deep=False).items()},
            "fitted": values,
            "origin": self.origin_,
            "msma_version": __version__,
            "weights_sha256": file_checksum(weights),
        }
        write_json(folder / CONFIG_FILE, config)
        return folder

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Self:
        """Read what :meth:`save` wrote, as the class it was.

        Args:
            folder: Where it is.

        Returns:
            The fitted map, equal bit for bit.

        Raises:
            StorageError: When the folder holds no whole map, or a map of another class than asked for.
        """
        folder = Path(folder)
        config = read_json(folder / CONFIG_FILE)
        try:
            kind, params, values = config["map"], config["params"], config["fitted"]
            origin, checksum = config["origin"], config["weights_sha256"]
            params, values = {name: _revive(value) for name, value in dict(params).items()}, dict(values)
        except (KeyError, TypeError, ValueError) as error:
            raise StorageError(
                f"'{folder / CONFIG_FILE}' is not a map's configuration; save it again"
            ) from error
        found = PersistentMixin._kinds.get(kind)
        if found is None or not issubclass(found, cls):
            expected = cls.kind or ", ".join(sorted(PersistentMixin._kinds))
            raise StorageError(
                f"'{folder}' holds a map of kind {kind!r}, saved by msma {config.get('msma_version')}; "
                f"expected {expected}: load it as BaseMap, or upgrade msma"
            )
        if file_checksum(folder / WEIGHTS_FILE) != checksum:
            raise StorageError(
                f"'{folder / WEIGHTS_FILE}' is damaged or belongs to another save; fit and save the map again"
            )
        arrays, _ = open_tensors(folder / WEIGHTS_FILE)
        loaded = found(**params)
        loaded._restore_state({name: np.array(array) for name, array in arrays.items()}, values)
        if origin is not None:
            loaded.origin_ = origin
        return loaded

    def save_pretrained(
        self,
        save_directory: str | os.PathLike[str],
        *,
        config: Any = None,
        repo_id: str | None = None,
        push_to_hub: bool = False,
        model_card_kwargs: dict[str, Any] | None = None,
        **push_to_hub_kwargs: Any,
    ) -> str | None:
        """Write the fitted map and a model card to a folder, in the Hub's layout.

        Args:
            save_directory: Where to.
            config: Ignored: the configuration is always the map's own.
            repo_id: Repository to push to; the folder's name when left out.
            push_to_hub: Whether to push as well.
            model_card_kwargs: Ignored: the card states the map's origin.
            **push_to_hub_kwargs: Passed on when pushing.

        Returns:
            Address of the commit when pushed.
        """
        folder = self.save(save_directory)
        if not (folder / CARD_FILE).exists():
            write_text(folder / CARD_FILE, str(self.generate_model_card()))
        if push_to_hub:
            return str(self.push_to_hub(repo_id=repo_id or folder.name, **push_to_hub_kwargs))
        return None

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        *,
        force_download: bool = False,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
        revision: str | None = None,
    ) -> Self:
        """Load a map from a local folder or from the Hub, as the class it was.

        Args:
            pretrained_model_name_or_path: A folder, or a repository such as
                ``"you/gpt2-global-intermediate"``.
            force_download: Whether to download again what is cached.
            token: Access token for private repositories.
            cache_dir: Where downloads are kept.
            local_files_only: Whether to use only what is cached.
            revision: Branch, tag or commit.

        Returns:
            The fitted map.

        Raises:
            StorageError: When it is neither a folder nor a repository that can be reached, or holds no whole
                map.
        """
        name = os.fspath(pretrained_model_name_or_path)
        if os.path.isdir(name):
            return cls.load(name)
        try:
            folder = snapshot_download(
                name,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                token=token,
                local_files_only=local_files_only,
                allow_patterns=[CONFIG_FILE, WEIGHTS_FILE],
            )
        except (OSError, ValueError) as error:
            raise StorageError(
                f"'{name}' is neither a folder nor a repository that could be reached ({error}); "
                "check the name and the connection"
            ) from error
        return cls.load(folder)

    def generate_model_card(self, *args: Any, **kwargs: Any) -> Any:
        """Write the model card: what the map is and what it was fitted on.

        Args:
            *args: Ignored.
            **kwargs: Ignored.

        Returns:
            A ``huggingface_hub.ModelCard``.
        """
        known = {key: value for key, value in (self.origin_ or {}).items() if value is not None}
        origin = ", ".join(f"{key} {value}" for key, value in known.items()) or "not recorded"
        return ModelCard(
            _CARD.format(
                name=type(self).__name__,
                version=__version__,
                source=self.n_features_in_,
                target=self._n_features_out,
                origin=origin,
            )
        )

    def _fitted_state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Fitted attributes: numeric arrays by name, and the plain values among them."""
        arrays: dict[str, np.ndarray] = {}
        values: dict[str, Any] = {}
        for name, value in vars(self).items():
            if not name.endswith("_") or name.startswith("_") or name == "origin_":
                continue
            is_numeric = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
            (arrays if is_numeric else values)[name] = value
        return arrays, values

    def _restore_state(self, arrays: Mapping[str, np.ndarray], values: Mapping[str, Any]) -> None:
        for name, value in {**values, **arrays}.items():
            setattr(self, name, np.asarray(value, dtype=object) if name == "feature_names_in_" else value)
