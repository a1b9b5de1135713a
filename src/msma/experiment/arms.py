"""What is done to the model in each arm: the intervention of a cell, and its control as strong elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from msma._types import Stack as StackName
from msma.alignment import Alignment
from msma.errors import ConfigError
from msma.experiment.design import Cell, Kind, source_of
from msma.interventions import (
    Direction,
    HeadRemoval,
    Noise,
    Operation,
    Replacement,
    Scaling,
    Temperature,
    Translation,
    control_layers,
    match_strength,
)
from msma.interventions.calibration import Matched

#: Kinds whose strength is their relative norm by construction.
_EXACT: tuple[Kind, ...] = ("translation", "scaling", "noise")


@dataclass(frozen=True)
class Arm:
    """One thing done to the model.

    Args:
        layers: Layer entries acted on.
        operation: What is done there.
        reached: Its relative norm.
    """

    layers: tuple[int, ...]
    operation: Operation
    reached: float


class ArmMaker:
    """Build the arms of cells; what has to be found by trial is found once.

    Args:
        network: A transformers model.
        texts: Token ids of a few texts, on which strengths are matched.
        n_layers: The model's layer entries.
        d_model: Width of its states.
        stack: Stack of an encoder-decoder.
        direction: What translations move along; a random direction for each seed when ``None``.
        alignment: What replacements predict with.
    """

    def __init__(
        self,
        network: Any,
        texts: Sequence[Sequence[int]],
        *,
        n_layers: int,
        d_model: int,
        stack: StackName = "auto",
        direction: Direction | None = None,
        alignment: Alignment | None = None,
    ) -> None:
        self._network, self._texts, self._stack = network, texts, stack
        self._n_layers, self._d_model = n_layers, d_model
        self._direction, self._alignment = direction, alignment
        self._found: dict[tuple[Any, ...], Matched] = {}

    def treated(self, cell: Cell, seed: int) -> Arm:
        """Build the intervention of a cell.

        Whatever is drawn (noise, heads, a direction where none was given) is drawn anew for each seed.

        Args:
            cell: The cell.
            seed: Seed of the continuations.

        Returns:
            The arm.
        """
        found = self._make(cell, cell.layers, abs(cell.strength), seed)
        return Arm(cell.layers, found.operation, found.relative_norm)

    def control(self, cell: Cell, seed: int, treated: Arm) -> Arm:
        """Build the control of a cell: the same kind as strong on as many random layers outside the scale.

        A replacement has no map for other layers: its control is noise as strong, on its own layers.

        Args:
            cell: The cell.
            seed: Seed of the continuations, and of the layers.
            treated: The intervention.

        Returns:
            The arm.
        """
        if cell.kind == "replacement":
            return Arm(treated.layers, Noise(treated.reached, seed=seed), treated.reached)
        layers = control_layers(self._n_layers, treated.layers, seed=seed)
        found = self._make(cell, layers, treated.reached, seed)
        return Arm(layers, found.operation, found.relative_norm)

    def _make(self, cell: Cell, layers: tuple[int, ...], norm: float, seed: int) -> Matched:
        if cell.kind in _EXACT:
            return Matched(self._exact(cell, seed), norm)
        drawn = seed if cell.kind == "heads" else 0
        key = (cell.kind, cell.scale if cell.kind == "replacement" else None, layers, norm, drawn)
        if key not in self._found:
            self._found[key] = match_strength(
                self._network,
                self._unmatched(cell),
                norm,
                layers,
                self._texts,
                stack=self._stack,
                seed=drawn,
            )
        return self._found[key]

    def _exact(self, cell: Cell, seed: int) -> Operation:
        if cell.kind == "scaling":
            return Scaling(cell.strength)
        if cell.kind == "noise":
            return Noise(cell.strength, seed=seed)
        direction = self._direction or random_direction(self._n_layers, self._d_model, seed=seed)
        return Translation(direction, cell.strength)

    def _unmatched(self, cell: Cell) -> Operation:
        if cell.kind == "temperature":
            return Temperature(2.0)
        if cell.kind == "heads":
            return HeadRemoval("all")
        source = None if self._alignment is None else source_of(self._alignment, cell.scale)
        if self._alignment is None or source is None:
            raise ConfigError(f"{cell.name} came without an alignment to predict with; give one")
        return Replacement(self._alignment, source, cell.scale)


def random_direction(n_layers: int, d_model: int, *, seed: int = 0) -> Direction:
    """Draw a unit vector for each layer entry, uniform on the sphere.

    Args:
        n_layers: Layer entries.
        d_model: Width.
        seed: Fixes the draw.

    Returns:
        The direction.

    Examples:
        >>> bool(np.allclose(np.linalg.norm(random_direction(3, 8).vectors, axis=1), 1))
        True
    """
    rows = np.random.default_rng([seed, n_layers, d_model]).normal(size=(n_layers, d_model))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Direction(rows.astype(np.float32), f"random {seed}", {"kind": "random", "seed": seed})
