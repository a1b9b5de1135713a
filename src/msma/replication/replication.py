"""The published protocol from end to end: every arm and seed trained, and measured before, during and after."""

import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from msma._types import SCALES, Pair, Scale
from msma._version import __version__
from msma.errors import ConfigError
from msma.locking import folder_lock
from msma.models import LoadedModel, Stack, load_with_head
from msma.models.accelerating import find_processes
from msma.replication.arms import ARMS, find_arm
from msma.replication.collapse import detect_collapse
from msma.replication.config import JointTrainingConfig
from msma.replication.measurement import Measurement
from msma.replication.measuring import measure_briefly, measure_joint
from msma.replication.reading import probe_stack
from msma.replication.record import Cell, Replication
from msma.replication.run import choose_partition, train_jointly
from msma.replication.samples import read_samples
from msma.replication.texts import MeasuredTexts, ScaleStates, read_texts
from msma.replication.trained import TrainedArm
from msma.resuming import check_settings
from msma.scales import ScalePartition
from msma.storage import read_json, write_json

__all__ = ["replicate"]

_Say = Callable[[str], None]


def replicate(
    model: Any,
    documents: Iterable[Any],
    *,
    arms: Sequence[str] = ("baseline", "full"),
    seeds: Sequence[int] = (0, 1, 2),
    config: JointTrainingConfig | None = None,
    partition: ScalePartition | str = "thirds",
    labels: Mapping[Scale, str] | None = None,
    out: str | os.PathLike[str] | None = None,
    say: _Say | None = None,
    tensorboard: bool = False,
    keeps_models: bool = False,
    tokenizer: Any = None,
    device: str = "auto",
) -> Replication:
    """Train every arm with every seed as published, and measure what alignment did to the model.

    The model as it came is measured once; each arm and seed over its epochs in brief and after training in
    full. Arms without an alignment term have no maps of their own to measure. An arm minus the arm "baseline" is
    what alignment did; the baseline minus before is what fine-tuning does by itself.

    Args:
        model: Name or folder, or a model in memory, which stays as it is.
        documents: Documents with labels; walked through once and held in memory.
        arms: Some of :data:`msma.replication.ARMS`.
        seeds: Of training; the division of the texts is the same for all.
        config: Settings; ``seed`` is replaced by each of the seeds.
        partition: Which layers belong to which scale: a partition, ranges such as "0-2|3-4|5-6", or "thirds".
        labels: Column of labels that each scale's head learns.
        out: Folder; the same call goes on where it stopped. In memory only when left out.
        say: Told in a few words what a reader should know.
        tensorboard: Whether each training logs its terms, to ``out/<arm>-<seed>/tensorboard``.
        keeps_models: Whether tuned models stay in the folder once they are measured.
        tokenizer: The model's own when left out.
        device: "auto" takes CUDA where there is some; for a model that is loaded here.

    Returns:
        All arms and seeds.

    Raises:
        ConfigError: When an arm, seed, label or setting is impossible, or a log is asked for without a folder.
        CorpusError: When there are too few documents.
        ModelError: When the model cannot be loaded or read.
        ScaleError: When the partition does not fit the model.
        StorageError: When the folder is in use, or holds a replication with other settings.
        TrainingError: When a training diverges.
    """
    config = JointTrainingConfig() if config is None else config
    _check(arms, seeds, out=out, tensorboard=tensorboard)
    folder = None if out is None else Path(out)
    processes = find_processes()
    tell: _Say = say if say is not None and processes.is_first else _say_nothing
    kept = list(documents)
    run = _Run(model, kept, config, labels, partition, folder=folder, tokenizer=tokenizer, device=device)
    with folder_lock(folder if processes.is_first else None, what="a replication"):
        if folder is not None and processes.is_first:
            check_settings(folder / "settings.json", run.settings, what="a replication")
        tell(run.sentence)
        before = run.measure_before()
        tell("measured before training")
        cells = []
        for number, (arm, seed) in enumerate((arm, seed) for seed in seeds for arm in arms):
            tell(f"arm {arm}, seed {seed} ({number + 1} of {len(arms) * len(seeds)})")
            found = run.cell(arm, seed, tensorboard=tensorboard, keeps_models=keeps_models)
            tell(found.collapse.sentence)
            cells.append(found)
        cells.sort(key=lambda cell: list(arms).index(cell.arm))
        provenance = {**run.settings, "arms": list(arms), "seeds": list(seeds), "version": __version__}
        done = Replication(before=before, cells=tuple(cells), provenance=provenance)
        if folder is not None and processes.is_first:
            done.save(folder)
        processes.wait()
    return done


def _say_nothing(_: str) -> None: ...


def _check(arms: Sequence[str], seeds: Sequence[int], *, out: Any, tensorboard: bool) -> None:
    for arm in arms:
        find_arm(arm)
    if not arms or len(set(arms)) != len(arms):
        raise ConfigError(f"arms {tuple(arms)} came; expected different ones out of {', '.join(ARMS)}")
    if not seeds or len(set(seeds)) != len(seeds) or min(seeds) < 0:
        raise ConfigError(
            f"seeds {tuple(seeds)} came; expected different whole numbers from 0, such as 0,1,2"
        )
    if tensorboard and out is None:
        raise ConfigError("tensorboard=True came without a folder; give out=...")


class _Run:
    """What all arms and seeds share: the model as it came, the texts, and their states before training."""

    def __init__(
        self,
        model: Any,
        documents: list[Any],
        config: JointTrainingConfig,
        labels: Mapping[Scale, str] | None,
        partition: ScalePartition | str,
        *,
        folder: Path | None,
        tokenizer: Any,
        device: str,
    ) -> None:
        self.processes = find_processes()
        own = self.processes.device
        options = {} if isinstance(model, LoadedModel) else {"tokenizer": tokenizer}
        if isinstance(model, str | os.PathLike):
            options["device"] = device if own is None else str(own)
        self.loaded: LoadedModel = load_with_head(model, **options)
        self.documents, self.config, self.folder = documents, config, folder
        stack: Stack = probe_stack(self.loaded, config)
        self.partition = choose_partition(partition, stack)
        self.texts: MeasuredTexts = read_texts(documents, self.loaded, config=config, stack=stack)
        samples = read_samples(documents, self.loaded, stack, labels=labels, config=config, say=_say_nothing)
        self.labels: dict[Scale, str] = {scale: found.column for scale, found in samples.labels.items()}
        self.settings: dict[str, Any] = {
            "model": self.loaded.name,
            "revision": self.loaded.revision,
            "weights": self.loaded.fingerprint(),
            "scales": self.partition.written,
            "labels": dict(self.labels),
            "data": self.texts.fingerprint,
            "n_texts": {part: len(places) for part, places in self.texts.splits.items()},
            "config": {**config.to_dict(), "seed": "of each training"},
        }
        self._states: ScaleStates | None = None
        self._before: Measurement | None = None

    @property
    def sentence(self) -> str:
        """What is trained on what."""
        counts = ", ".join(f"{n} {part}" for part, n in self.settings["n_texts"].items())
        heads = ", ".join(f"{scale} {label}" for scale, label in self.labels.items()) or "no labels"
        return f"{self.loaded.name}, scales {self.partition.written}, texts: {counts}; heads: {heads}"

    @property
    def states(self) -> ScaleStates:
        """States of the model as it came."""
        if self._states is None:
            self._states = self.texts.read(self.loaded, self.partition, self.config)
        return self._states

    def measure_before(self) -> Measurement:
        """Measure the model as it came, or read what was measured."""
        path = None if self.folder is None else self.folder / "before.json"
        if path is not None and path.is_file():
            self._before = Measurement.from_dict(read_json(path))
            return self._before
        self._before = measure_joint(
            self.loaded,
            None,
            self.texts,
            partition=self.partition,
            config=self.config,
            states=self.states,
            trained_on=self.labels,
        )
        self.processes.wait()
        if path is not None and self.processes.is_first:
            write_json(path, self._before.to_dict())
        return self._before

    def cell(self, arm: str, seed: int, *, tensorboard: bool, keeps_models: bool) -> Cell:
        """Train and measure one arm with one seed, or read what was measured."""
        place = None if self.folder is None else self.folder / f"{arm}-{seed}"
        path = None if place is None else place / "cell.json"
        is_done = path is not None and path.is_file()
        self.processes.wait()
        if is_done and path is not None:
            return Cell.from_dict(read_json(path))
        trained = train_jointly(
            self.loaded,
            self.documents,
            partition=self.partition,
            labels=self.labels,
            config=replace(self.config, seed=seed),
            arm=arm,
            out=None if place is None else place / "training",
            evaluate=self._follow,
            evaluate_at=range(self.config.epochs + 1),
            tensorboard=place / "tensorboard" if tensorboard and place is not None else False,
        )
        found = self._measure(trained, arm, seed)
        if path is not None and place is not None and self.processes.is_first:
            write_json(path, found.to_dict())
            if not keeps_models:
                shutil.rmtree(place / "training", ignore_errors=True)
        self.processes.wait()
        return found

    def _follow(self, _: int, loaded: LoadedModel, __: Mapping[Pair, Any]) -> Any:
        return measure_briefly(loaded, self.texts, partition=self.partition, config=self.config)

    def _measure(self, trained: TrainedArm, arm: str, seed: int) -> Cell:
        states = self.texts.read(trained.model, self.partition, self.config)
        after = measure_joint(
            trained.model,
            trained.maps if any(ARMS[arm]) else None,
            self.texts,
            partition=self.partition,
            config=self.config,
            states=states,
            trained_on=self.labels,
        )
        test = self.texts.splits["test"]
        collapse = detect_collapse(
            {scale: self.states[scale][test] for scale in SCALES},
            {scale: states[scale][test] for scale in SCALES},
            documents=self.texts.documents[test],
            accuracies=self._accuracies(after) or None,
        )
        heads = {
            row.target: row.value
            for row in trained.accuracies
            if row.metric == "label_accuracy" and row.split == "test" and row.target is not None
        }
        first, last = trained.history[0], trained.history[-1]
        names = [name for name in last if name not in ("step", "epoch", "learning_rate")]
        return Cell(
            arm=arm,
            seed=seed,
            after=after,
            epochs={int(epoch): found for epoch, found in trained.evaluations.items()},
            collapse=collapse,
            accuracies=heads,
            losses={name: (float(first[name]), float(last[name])) for name in names if name in first},
        )

    def _accuracies(self, after: Measurement) -> dict[str, tuple[float, float]]:
        before = {} if self._before is None else self._before.readings
        found = {}
        for key, reading in after.readings.items():
            then = before.get(key)
            values = (None, None) if then is None else (then.value, reading.value)
            if key.metric.startswith("probe_") and values[0] is not None and values[1] is not None:
                found[f"{key.metric} {key.target}"] = (values[0], values[1])
        return found
