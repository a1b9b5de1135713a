"""What a run will take, said before it begins, and refused where it is more than there is or was allowed."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from msma.costs import Cost, estimate_cost, parse_size, size
from msma.errors import ConfigError, StorageError
from msma.extraction.jobs import Description, Store, WorkerSetup
from msma.extraction.survey import Survey

#: Texts that a window has at least, whatever the memory.
_FEWEST_TEXTS = 16


@dataclass(frozen=True)
class Limits:
    """What a run may take.

    Args:
        max_disk: Bytes, or words such as "20 GB"; no limit when left out.
        max_memory: The same of memory, the model included.

    Raises:
        ConfigError: When a limit is not a size.

    Examples:
        >>> Limits("20 GB").disk
        20000000000
    """

    max_disk: int | str | None = None
    max_memory: int | str | None = None

    def __post_init__(self) -> None:
        for limit in (self.max_disk, self.max_memory):
            if limit is not None:
                parse_size(limit)

    @property
    def disk(self) -> int | None:
        """Bytes that may be written."""
        return None if self.max_disk is None else parse_size(self.max_disk)

    @property
    def memory(self) -> int | None:
        """Bytes that may be held."""
        return None if self.max_memory is None else parse_size(self.max_memory)

    @property
    def is_set(self) -> bool:
        """Whether there is any."""
        return self.max_disk is not None or self.max_memory is not None


class Estimate:
    """What a run will take, for any store, from a description of model and corpus.

    Args:
        setup: Every setting.
        description: What the model says of itself and of a sample of the texts.
        survey: What is known of the corpus.
        sketch_texts: Texts of the pass that finds the scales.
    """

    def __init__(
        self, setup: WorkerSetup, description: Description, survey: Survey, *, sketch_texts: int = 0
    ) -> None:
        self._setup, self._description, self._survey = setup, description, survey
        self._sketch_texts = sketch_texts

    def cost(self, *, store: Store | None = None, window: int | None = None) -> Cost | None:
        """Estimate.

        Args:
            store: What is kept; as set up when left out.
            window: Texts a window; as the model would have it when left out.

        Returns:
            The cost; ``None`` where the number of texts is not known.
        """
        survey, found = self._survey, self._description
        if survey.n_texts is None or not survey.sample:
            return None
        n_probed = len(survey.sample)
        cost = estimate_cost(
            found.shape,
            n_texts=survey.n_texts,
            tokens_per_text=found.n_tokens / n_probed,
            samples_per_text=found.n_samples / n_probed,
            characters_per_text=survey.characters_per_text,
            store=self._setup.store if store is None else store,
            dtype=str(self._setup.loading.get("dtype", "float32")),
            quantization=str(self._setup.loading.get("quantization", "none")),
            batch_tokens=found.batch_tokens,
            window=min(found.window if window is None else window, max(survey.n_texts, 1)),
            n_heldout=self._setup.moments.n_heldout,
            sketch_width=self._setup.moments.sketch_width,
            sketch_texts=self._sketch_texts,
        )
        return replace(cost, weights=found.weight_bytes)

    def check_disk(self, folder: Path | None, limits: Limits) -> None:
        """Refuse a run that would write more than allowed, or than there is room for.

        Args:
            folder: Where it writes; nowhere when left out.
            limits: What is allowed.

        Raises:
            ConfigError: When it would write more than ``max_disk``; what would fit is named.
            StorageError: When there is less room.
        """
        cost = self.cost()
        if cost is None or folder is None:
            return
        if limits.disk is not None and cost.disk > limits.disk:
            raise ConfigError(
                f"this will take {size(cost.disk)} on disk and max_disk is {size(limits.disk)}; "
                f"{self._advise(limits.disk)}"
            )
        existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
        written = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        free = shutil.disk_usage(existing).free + written
        if cost.disk > free:
            raise StorageError(
                f"this will take {size(cost.disk)} and there are {size(free)} free for '{folder}'; "
                f"{self._advise(free)}"
            )

    def _advise(self, room: int) -> str:
        smaller = []
        for store in ("scales", "moments"):
            cost = self.cost(store=store)
            if cost is not None and cost.disk <= room and store != self._setup.store:
                smaller.append(f"store '{store}' ({size(cost.disk)})")
        return f"use {' or '.join(smaller)}" if smaller else "allow more, or give fewer texts"

    def fit_window(self, limits: Limits, window: int | None) -> int:
        """Choose the texts of a window so that memory suffices.

        Args:
            limits: What is allowed.
            window: What was asked for.

        Returns:
            Texts a window.

        Raises:
            ConfigError: When even the smallest window needs more than ``max_memory``.
        """
        chosen = self._description.window if window is None else window
        if limits.memory is None:
            return chosen
        while (need := self._memory(chosen)) > limits.memory:
            if window is not None or chosen <= _FEWEST_TEXTS:
                raise ConfigError(
                    f"this will take {size(need)} of memory, {size(self._description.weight_bytes)} of it for "
                    f"the model, and max_memory is {size(limits.memory)}; {self._spare()}"
                )
            chosen = max(_FEWEST_TEXTS, chosen // 2)
        return chosen

    def _memory(self, window: int) -> float:
        cost = self.cost(window=window)
        if cost is None:
            return self._description.weight_bytes
        in_memory = cost.disk if self._setup.folder is None and self._setup.store != "moments" else 0
        return cost.weights + cost.working + cost.kept + in_memory

    def _spare(self) -> str:
        if self._setup.folder is None:
            return "write to a folder (out=...), ask for less precision (dtype='bfloat16'), or allow more"
        return (
            "ask for less precision (dtype='bfloat16'), offload the model (device_map='auto'), or allow more"
        )
