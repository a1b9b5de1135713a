"""Run one arm of an experiment: continuations of every prompt for every seed, or what an encoder fills in."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from msma._types import Stack as StackName
from msma.experiment.arms import Arm, ArmMaker
from msma.experiment.design import Cell
from msma.experiment.masked import fill_in
from msma.experiment.record import CellRecord, Written
from msma.generation import MaskedPredictions, generate, nats_per_token
from msma.interventions import intervene
from msma.models import LoadedModel

#: An arm further from its strength than this share is said to have missed it.
_MISSED = 0.1


class Writer:
    """Write the arms of an experiment with the same chance in each.

    Args:
        loaded: Model with its head, and tokenizer.
        prompts: The prompts; texts, for an encoder.
        seeds: Seeds of the draws.
        stack: Stack of an encoder-decoder that is acted on.
        settings: Passed on to ``generate``; for an encoder, the ``share`` that is hidden.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        prompts: Sequence[str],
        seeds: Sequence[int],
        *,
        stack: StackName,
        settings: dict[str, Any],
    ) -> None:
        self._loaded, self._prompts, self._seeds = loaded, list(prompts), tuple(seeds)
        self._stack, self._settings = stack, settings
        self._clean: dict[int, MaskedPredictions] = {}

    def clean(self) -> CellRecord:
        """Write the arm without an intervention.

        Returns:
            Its record; there is no control.
        """
        entries = [entry for seed in self._seeds for entry in self._write(None, seed)]
        return CellRecord({}, tuple(entries), ())

    def cell(self, cell: Cell, maker: ArmMaker) -> CellRecord:
        """Write both arms of a cell.

        Args:
            cell: The cell.
            maker: Builds the arms.

        Returns:
            Its record.
        """
        treated: list[Written] = []
        control: list[Written] = []
        about: dict[str, list[Any]] = {
            "reached": [],
            "control_reached": [],
            "layers": [],
            "control_layers": [],
        }
        for seed in self._seeds:
            arm = maker.treated(cell, seed)
            other = maker.control(cell, seed, arm)
            treated += self._write(arm, seed)
            control += self._write(other, seed)
            about["reached"].append(arm.reached)
            about["control_reached"].append(other.reached)
            about["layers"].append(list(arm.layers))
            about["control_layers"].append(list(other.layers))
        return CellRecord(about, tuple(treated), tuple(control))

    def _write(self, arm: Arm | None, seed: int) -> list[Written]:
        acting = (
            nullcontext()
            if arm is None
            else intervene(self._loaded, None, arm.layers, arm.operation, stack=self._stack)
        )
        if self._loaded.head == "masked":
            return self._fill(acting, seed, is_clean=arm is None)
        with acting:
            written = generate(self._loaded, self._prompts, seed=seed, **self._settings)
        surprise = nats_per_token(self._loaded, written)
        return [
            Written(number, seed, found.text, {"nats": float(nats) if np.isfinite(nats) else None})
            for number, (found, nats) in enumerate(zip(written, surprise, strict=True))
        ]

    def _fill(self, acting: Any, seed: int, *, is_clean: bool) -> list[Written]:
        fill: Callable[..., Any] = fill_in
        options = {"seed": seed, "share": self._settings["share"]}
        if seed not in self._clean:
            self._clean[seed], entries = fill(self._loaded, self._prompts, clean=None, **options)
            if is_clean:
                return entries
        with acting:
            _, entries = fill(self._loaded, self._prompts, clean=self._clean[seed], **options)
        return entries


def tell_about(cell: Cell, record: CellRecord, n_layers: int) -> str | None:
    """Say what a reader must know about a cell's arms.

    Args:
        cell: The cell.
        record: What it wrote.
        n_layers: The model's layer entries.

    Returns:
        A sentence, or ``None``.
    """
    asked = abs(cell.strength)
    reached, other = (float(np.mean(record.about[name])) for name in ("reached", "control_reached"))
    notes = []
    if abs(reached - asked) > _MISSED * asked:
        notes.append(f"reaches a relative norm of {reached:.2g} where {asked:g} was asked for")
    if abs(other - reached) > _MISSED * max(reached, 1e-9):
        notes.append(f"its control reaches {other:.2g}")
    shared = any(
        set(a) & set(b) for a, b in zip(record.about["layers"], record.about["control_layers"], strict=True)
    )
    if shared and cell.kind != "replacement":
        notes.append(
            f"too few of the {n_layers} layer entries lie outside the scale, so its control shares some"
        )
    return "; ".join(notes) or None


def list_repeats(cells: Sequence[Cell], records: Sequence[CellRecord]) -> dict[str, str]:
    """Find cells that do nothing, or no more than a weaker one: no head is so small, or all are out already.

    Args:
        cells: The cells.
        records: What each wrote.

    Returns:
        A sentence for each such cell, by its name; they are no experiments of their own.
    """
    seen: dict[tuple[str, str, bool, tuple[float, ...]], str] = {}
    found = {}
    for cell, record in sorted(zip(cells, records, strict=True), key=lambda pair: abs(pair[0].strength)):
        reached = tuple(float(norm) for norm in record.about["reached"])
        key = (cell.scale, cell.kind, cell.strength > 0, reached)
        if not any(reached):
            found[cell.name] = f"{cell.name}, because {cell.kind} cannot act so weakly on these layers"
        elif key in seen:
            most = float(np.mean(reached))
            found[cell.name] = (
                f"{cell.name}, because it is the same as {seen[key]}: {cell.kind} reaches {most:.2g}"
            )
        seen.setdefault(key, cell.name)
    return found
