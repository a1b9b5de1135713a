r"""What a joint training minimises: classification at every scale, and the three alignment terms.

.. math:: L = \sum_s CE_s + \lambda_{geo} L_{geo} + \lambda_{info} L_{info} + \lambda_{curv} L_{curv}

each alignment term summed over the two maps. The terms are those of :mod:`msma.maps.objective`. They look at
states centred and divided by the root of their batch's mean variance, so that making all states smaller lowers
none of them; the centre and the spread belong to what is differentiated. Two quirks give the geometric term a form
that does reward a collapse, for comparison.
"""

from collections.abc import Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from msma._types import PAIRS, Pair, Scale
from msma.maps.objective import (
    CURVATURE_SHARE,
    SCORED_PAIRS,
    Prediction,
    Terms,
    Weights,
    map_bending,
    paired_error,
)
from msma.replication.model import JointModel, pair_key
from msma.replication.quirks import Quirks
from msma.replication.samples import MISSING
from msma.replication.scale_map import ScaleMap

__all__ = ["JointObjective", "Standard", "parameter_norm", "unshuffled_bound"]


class Standard(NamedTuple):
    """Centre and spread of a batch of states.

    Args:
        centre: Their mean.
        spread: Root of the mean variance of their coordinates.
    """

    centre: Float[Tensor, " d"]
    spread: Float[Tensor, ""]

    @classmethod
    def of(cls, states: Float[Tensor, "samples d"]) -> "Standard":
        """Take both from a batch.

        Args:
            states: Samples in rows.

        Returns:
            Both, differentiable.

        Examples:
            >>> float(Standard.of(torch.tensor([[0.0, 2.0], [4.0, 6.0]])).spread)
            2.0
        """
        centre = states.mean(dim=0)
        return cls(centre, (states - centre).square().mean().sqrt())

    def apply(self, states: Float[Tensor, "samples d"]) -> Float[Tensor, "samples d"]:
        """Bring states into these coordinates.

        Args:
            states: Samples in rows.

        Returns:
            Without units.
        """
        return (states - self.centre) / self.spread


def unshuffled_bound(scores: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    r"""Compute what the published code takes for MINE: both expectations over the same pairs (a quirk).

    .. math:: \frac1n\sum_i T_{ii} - \log\frac1n\sum_i e^{T_{ii}} \le 0

    Args:
        scores: T(x_i, y_j), of which only the diagonal is looked at.

    Returns:
        0 at most, whatever the pairs.

    Examples:
        >>> abs(float(unshuffled_bound(torch.full((4, 4), 3.0)))) < 1e-6
        True
    """
    joint = scores.diagonal()
    return joint.mean() - (torch.logsumexp(joint, dim=0) - torch.log(joint.new_tensor(float(len(joint)))))


def parameter_norm(maps: Mapping[Pair, ScaleMap]) -> Float[Tensor, ""]:
    """Compute what the published code takes for curvature: the L2 norm of all parameters (a quirk).

    Args:
        maps: Every map.

    Returns:
        0 or more; above 0 for nearly every affine map.
    """
    squares = [parameter.square().sum() for map_ in maps.values() for parameter in map_.parameters()]
    return torch.stack(squares).sum().sqrt()


class JointObjective:
    """Compute the terms of one batch; what weighs nothing is not computed.

    Args:
        weights: Of the alignment terms.
        estimator: Name of the lower bound on information.
        quirks: Published departures.
        model: Whose maps, heads and critics are used.
    """

    def __init__(self, weights: Weights, *, estimator: str, quirks: Quirks, model: JointModel) -> None:
        self.weights, self.quirks, self.model = weights, quirks, model
        self.is_mine = estimator == "mine"
        critics = dict(model.critics.items())
        self.terms: dict[Pair, Terms] = {
            pair: Terms(
                weights,
                estimator=estimator,
                critic=critics.get(pair_key(pair)),
            )
            for pair in PAIRS
        }

    def parts(
        self,
        states: Mapping[Scale, Float[Tensor, "samples d_model"]],
        codes: Mapping[Scale, Int[Tensor, " samples"]],
        *,
        generator: torch.Generator,
    ) -> dict[str, Float[Tensor, ""]]:
        """Compute every term and their weighted sum.

        Args:
            states: The state of each scale.
            codes: The label of each text, for each scale with a head.
            generator: Draws the probes of curvature.

        Returns:
            "ce_<scale>"; "geo", "info", "curv" and "bound_<pair>" where they weigh something; "loss".
        """
        parts: dict[str, Tensor] = {}
        for scale, head in self.model.heads.items():
            known = codes[scale]  # type: ignore[index]
            if bool((known != MISSING).any()):
                logits = head(states[scale])  # type: ignore[index]
                parts[f"ce_{scale}"] = functional.cross_entropy(logits, known, ignore_index=MISSING)
        losses = list(parts.values())
        parts |= self.alignment(states, generator=generator)
        if any((self.weights.geo, self.weights.info, self.weights.curv)):
            losses.append(next(iter(self.terms.values())).total(parts))
        total = losses[0] if losses else next(iter(states.values())).sum() * 0.0
        for loss in losses[1:]:
            total = total + loss
        parts["loss"] = total
        return parts

    def alignment(
        self, states: Mapping[Scale, Float[Tensor, "samples d_model"]], *, generator: torch.Generator
    ) -> dict[str, Float[Tensor, ""]]:
        """Compute the alignment terms, summed over the maps.

        Args:
            states: The state of each scale.
            generator: Draws the probes of curvature.

        Returns:
            "geo", "info", "curv" and "bound_<pair>", those that weigh something.
        """
        parts: dict[str, Tensor] = {}

        def add(name: str, value: Tensor) -> None:
            parts[name] = parts[name] + value if name in parts else value

        for pair, map_ in self.model.scale_maps.items():
            source, target = states[pair[0]], states[pair[1]]
            if self.weights.geo or self.weights.info:
                standard = Standard.of(target)
                mapped = standard.apply(map_(source))
                batch = Prediction(mapped=mapped, mean=mapped, target=standard.apply(target))
                if self.weights.geo:
                    add("geo", self._geometry(pair, batch, source, target, standard))
                if self.weights.info:
                    found = self._information(pair, batch)
                    add("info", found["info"])
                    parts[f"bound_{pair_key(pair)}"] = found["bound"].detach()
            if self.weights.curv and not self.quirks.parameter_norm:
                add("curv", bending_share(map_, source, target, generator=generator))
        if self.weights.curv and self.quirks.parameter_norm:
            parts["curv"] = parameter_norm(self.model.scale_maps)
        return parts

    def _geometry(
        self,
        pair: Pair,
        batch: Prediction,
        source: Float[Tensor, "samples d_model"],
        target: Float[Tensor, "samples d_model"],
        standard: Standard,
    ) -> Float[Tensor, ""]:
        if self.quirks.unmapped_geometry:
            mapped = standard.apply(source)
            batch = Prediction(mapped=mapped, mean=mapped, target=batch.target)
        if self.quirks.undivided_geometry:
            error = paired_error(batch.mapped, batch.target)
            return error * standard.spread.square() * target.shape[1]
        return self.terms[pair].geometry(batch)["geo"]

    def _information(self, pair: Pair, batch: Prediction) -> dict[str, Float[Tensor, ""]]:
        terms = self.terms[pair]
        if not self.quirks.unshuffled_marginals or terms.critic is None:
            found = terms.information(batch, is_training=True)
            # MINE ascends a surrogate whose value means nothing: its gradient is kept, the value is the bound's.
            info, bound = found["info"], found["bound"]
            return {"bound": bound, "info": info + (-bound - info).detach()} if self.is_mine else found
        bound = unshuffled_bound(terms.critic(batch.mapped[:SCORED_PAIRS], batch.target[:SCORED_PAIRS]))
        return {"bound": bound, "info": -bound}

    @property
    def averages(self) -> list[float | None]:
        """MINE's moving average for each map, which a checkpoint keeps."""
        return [terms.average for terms in self.terms.values()]

    @averages.setter
    def averages(self, values: list[float | None]) -> None:
        for terms, value in zip(self.terms.values(), values, strict=True):
            terms.average = value


def bending_share(
    map_: ScaleMap,
    source: Float[Tensor, "samples d_model"],
    target: Float[Tensor, "samples d_model"],
    *,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Compute the share of the target's variance that a map's second order brings, on one text in sixteen.

    Args:
        map_: The map.
        source: States of a batch.
        target: Row i belongs to row i.
        generator: Draws the probes.

    Returns:
        0 or more; 0 for every affine map.
    """
    before, after = Standard.of(source), Standard.of(target)
    rows = before.apply(source)
    rows = rows[::CURVATURE_SHARE] if len(rows) > CURVATURE_SHARE else rows

    def standardised(places: Tensor) -> Tensor:
        mapped: Tensor = map_(before.centre + before.spread * places)
        return mapped / after.spread  # the centre has no derivative

    return map_bending(standardised, rows, generator=generator)
