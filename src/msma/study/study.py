"""The stages of a study, each done once."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

from msma.alignment import Alignment
from msma.certificate import Certificate, certify
from msma.configuration import StudyConfig
from msma.errors import ConfigError, StorageError
from msma.evaluation import compare_maps, evaluate
from msma.exhibits import find_examples, make_clouds, make_curves
from msma.extraction.engines import Engine
from msma.gain import choose_map
from msma.locking import LOCK_FILES, folder_lock
from msma.manifold import describe_manifold
from msma.maps import ALL_MAPS, LEARNED_MAPS, MAPS
from msma.probes import probe_scales
from msma.results import Result, concatenate
from msma.scales import ScalePartition, published_partition
from msma.shards import is_finished
from msma.states import HiddenStates, Splits
from msma.storage import read_json, write_json, write_text
from msma.study.choosing import choose_scales, make_joint
from msma.study.demo import find_model
from msma.study.reading import Say, extract_states
from msma.study.writing import describe_origin, to_csv

#: What is said while a table is made.
_DOINGS = {
    "maps": "maps, compared on validation",
    "manifold": "shape of each scale",
    "probes": "probes of the labels",
    "evaluation": "measures on the test split",
    "gain": "the learned map, against the best closed form",
}


class Study:
    """Run the main job into a folder.

    Args:
        config: Every setting.
        folder: Where everything goes.
        say: Told in a few words what is being done; silent when left out.
        engine: Where states are read: "local" (this process), "processes" or "ray". That, and all below, are no
            settings: what is read is the same, and a study goes on wherever it was begun.
        workers: Replicas of the model; one a GPU when left out.
        address: Of a running Ray cluster.
        devices: Where the replicas go, in turn.
        max_disk: Refuse to write more than this for the states, such as "20 GB".
        max_memory: Refuse to hold more than this while states are read, the model included.

    Raises:
        ConfigError: When there is no such map.
        StorageError: When the folder holds a study with other settings.
    """

    def __init__(
        self,
        config: StudyConfig,
        folder: str | os.PathLike[str],
        *,
        say: Say | None = None,
        engine: Engine = "local",
        workers: int | None = None,
        address: str | None = None,
        devices: Sequence[str] | None = None,
        max_disk: int | str | None = None,
        max_memory: int | str | None = None,
    ) -> None:
        self.config = config
        self.folder = Path(folder)
        self.say: Say = say if say is not None else lambda _: None
        self._reading: dict[str, Any] = {
            "engine": engine,
            "workers": workers,
            "address": address,
            "devices": devices,
            "max_disk": max_disk,
            "max_memory": max_memory,
        }
        self.joint = make_joint(config)
        for name in config.maps:
            if name not in ALL_MAPS:
                raise ConfigError(f"map '{name}' came; expected one of {', '.join(ALL_MAPS)}")
        self._check_settings()

    def _check_settings(self) -> None:
        path = self.folder / "settings.json"
        # Lists and tuples are one in JSON, so both sides are compared as JSON would return them.
        asked = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self.config).items()}
        if not path.is_file():
            if self.folder.exists() and not self.folder.is_dir():
                raise StorageError(f"'{self.folder}' is a file; give a folder for the results")
            write_json(path, asked)
            return
        found = read_json(path)
        if found != asked and self._is_unbegun():
            with folder_lock(self.folder, what="a study"):
                write_json(path, asked)
            return
        for key, value in asked.items():
            if found.get(key) != value:
                raise StorageError(
                    f"'{self.folder}' holds a study with {key} = {found.get(key)!r}, and this one has "
                    f"{value!r}; choose another folder, or delete that one"
                )

    def _is_unbegun(self) -> bool:
        """Whether nothing stands in the folder but settings: a model's name was mistyped, say, and nothing is lost."""
        return {entry.name for entry in self.folder.iterdir()} <= {"settings.json", *LOCK_FILES}

    def run(self) -> dict[str, Result]:
        """Run every stage that has not been run yet.

        Where the first of them fails before it wrote anything, such as for a model that does not exist, the settings
        are taken away again, so that the folder is free for others.

        Returns:
            The tables by name: scales, maps, gain (with a learned map), manifold, probes (with labels),
            evaluation, certificate.

        Raises:
            MsmaError: Whatever goes wrong, in one sentence.
        """
        with folder_lock(self.folder, what="a study"):
            self._check_settings()
            try:
                return self._run()
            except BaseException:
                if self._is_unbegun():
                    (self.folder / "settings.json").unlink(missing_ok=True)
                raise

    def _run(self) -> dict[str, Result]:
        splits = self.splits
        partition = self.partition
        tables = {"scales": self._table("scales", partition.to_result)}
        tables["maps"] = self._table("maps", self._compare)
        if self._is_learning:
            tables["gain"] = self._table("gain", self._weigh)
        alignment = self.alignment
        tables["manifold"] = self._table(
            "manifold",
            lambda: describe_manifold(splits.test, alignment.representation_, seed=self.config.seed),
        )
        if splits.train.labels:
            tables["probes"] = self._table(
                "probes",
                lambda: probe_scales(splits, alignment.representation_, seed=self.config.seed),
            )
        tables["evaluation"] = self._table(
            "evaluation", lambda: evaluate(alignment, splits.test, seed=self.config.seed)
        )
        tables["certificate"] = self._certify().table
        self.say("spectra, clouds and examples")
        self._exhibit("curves", lambda: make_curves(alignment, splits.test))
        self._exhibit("clouds", lambda: make_clouds(alignment, splits, seed=self.config.seed))
        self._exhibit("examples", lambda: find_examples(alignment, splits.test, seed=self.config.seed))
        self._write_whole(tables)
        return tables

    def _check_states(self, states: HiddenStates) -> HiddenStates:
        """Refuse states that were put there with other settings than this study's."""
        origin = states.origin
        if origin.scales is not None:
            raise StorageError(
                f"'{self.folder / 'states'}' holds the scales {origin.scales} alone, and a study needs all layers; "
                "extract without store='scales'"
            )
        name = find_model(self.config.model)[1] or self.config.model
        for key, value in {"model": name, "unit": self.config.unit, "long": self.config.long}.items():
            if getattr(origin, key) != value:
                raise StorageError(
                    f"'{self.folder / 'states'}' holds states with {key} = {getattr(origin, key)!r}, and this study "
                    f"has {value!r}; choose another folder, or delete that one"
                )
        return states

    @cached_property
    def states(self) -> HiddenStates:
        """Pooled states of every text, extracted once."""
        folder = self.folder / "states"
        if is_finished(folder):
            self.say("states (found)")
            return self._check_states(HiddenStates.load(folder))
        self.say(f"states of {self.config.model}")
        return extract_states(self.config, folder, say=self.say, **self._reading)

    @cached_property
    def splits(self) -> Splits:
        """Train, validation and test, divided by document before anything is fitted."""
        return self.states.split(seed=self.config.seed, fractions=self.config.fractions)

    @cached_property
    def partition(self) -> ScalePartition:
        """The three scales, found on the training split."""
        path = self.folder / "scales.json"
        if path.is_file():
            return ScalePartition.load(path)
        self.say(f"scales ({self.config.scales})")
        partition = choose_scales(
            self.splits.train,
            method=self.config.scales,
            n_votes=self.config.n_votes,
            min_layers=self.config.min_layers,
            seed=self.config.seed,
        )
        published = published_partition(self.states.origin.architecture, self.states.n_layers)
        if published is not None:
            published.save(self.folder / "published.json")
        partition.save(path)
        return partition

    def _compare(self) -> Result:
        names = tuple(name for name in self.config.maps if name in MAPS) or tuple(MAPS)
        return compare_maps(
            self.splits,
            self.partition,
            names=names,
            reduction=self.config.reduction,
            is_standardised=self.config.is_standardised,
            seed=self.config.seed,
        )

    @property
    def _is_learning(self) -> bool:
        return any(name in LEARNED_MAPS for name in self.config.maps)

    def _weigh(self) -> Result:
        """Fit the learned map and weigh it against the best closed form."""
        return choose_map(
            self.splits,
            self.partition,
            learned=self.joint,
            closed=self.best_closed,
            reduction=self.config.reduction,
            is_standardised=self.config.is_standardised,
            seed=self.config.seed,
        ).result

    def _certify(self) -> Certificate:
        path = self.folder / "tables" / "certificate.json"
        if path.is_file():
            return Certificate.load(path)
        self.say("certificate")
        certificate = certify(self.alignment, self.splits.test, seed=self.config.seed)
        certificate.save(path)
        return certificate

    @cached_property
    def best_map(self) -> str:
        """The map that everything else uses: the learned one where it was asked for and is kept."""
        if self._is_learning and self._table("gain", self._weigh).provenance["verdict"] == "kept":
            return self.joint.kind
        return self.best_closed

    @cached_property
    def best_closed(self) -> str:
        """The closed form with the highest mean R2 over the fitted pairs on the validation split."""
        table = self._table("maps", self._compare)
        rows = [row for row in table if row.metric == "r2" and row.split == "validation"]
        names = {row.map for row in rows if row.map is not None}

        def mean_r2(name: str) -> float:
            values = [row.value for row in rows if row.map == name and row.value is not None]
            return sum(values) / len(values) if values else float("-inf")

        return max(sorted(names), key=mean_r2)

    @cached_property
    def alignment(self) -> Alignment:
        """The best map of the comparison, fitted on the training split for every pair."""
        folder = self.folder / "alignment"
        if (folder / "alignment.json").is_file():
            return Alignment.load(folder)
        best = self.best_map
        alignment = Alignment(
            self.joint if best == self.joint.kind else MAPS[best](),
            reduction=self.config.reduction,
            is_standardised=self.config.is_standardised,
            seed=self.config.seed,
        ).fit(self.splits.train, self.partition)
        alignment.save(folder)
        return alignment

    def _table(self, name: str, make: Callable[[], Result]) -> Result:
        path = self.folder / "tables" / f"{name}.json"
        if path.is_file():
            return Result.load(path)
        if name != "scales":  # told where the work is done
            self.say(_DOINGS[name])
        result = make()
        result.save(path)
        return result

    def _exhibit(self, name: str, make: Callable[[], Mapping[str, Any]]) -> None:
        path = self.folder / f"{name}.json"
        if not path.is_file():
            write_json(path, make())

    def _write_whole(self, tables: Mapping[str, Result]) -> None:
        if (self.folder / "study.json").is_file():
            return
        provenance = describe_origin(self.config, self.states, self.splits)
        whole = concatenate("study", list(tables.values()), provenance=provenance)
        whole.save(self.folder / "results.json")
        write_text(self.folder / "results.csv", to_csv(whole))
        content = {
            "config": asdict(self.config),
            "provenance": provenance,
            "best_map": self.best_map,
            "has_labels": sorted(self.states.labels),
        }
        # Written last: its presence says that the folder is whole.
        write_json(self.folder / "study.json", content)
