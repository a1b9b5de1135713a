"""One step of a joint training: states of a whole batch, terms on all of them, gradients back into the model.

The terms need the whole batch (contrast, distances, spreads), which may not fit. So the states of all its
texts are computed first, piece by piece and process by process; the terms and their gradients with respect to
the states come from all of them together; then each piece's gradient goes back into the model (Gao et al. 2021,
Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup). The result does not depend on how the
batch was cut, but for rounding and for the dropout that each piece draws.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from msma._types import SCALES, Scale
from msma.extraction.tokens import Row
from msma.models.accelerating import Processes
from msma.replication.config import JointTrainingConfig
from msma.replication.drawing import drawing, place_seed
from msma.replication.model import JointModel
from msma.replication.objective import JointObjective
from msma.replication.reading import chunk_rows
from msma.replication.samples import Samples

__all__ = ["BatchStep"]


_States: TypeAlias = dict[Scale, Float[Tensor, "rows d_model"]]


class _Piece(NamedTuple):
    """Texts of a batch that go through the model together.

    Args:
        number: Its place among the pieces of the batch, by which its dropout is drawn.
        places: Where its texts are in the batch.
    """

    number: int
    places: list[int]


class BatchStep:
    """Compute the terms of a batch and put their gradients into the parameters.

    Args:
        model: What is trained.
        objective: Its terms.
        samples: The texts.
        config: How batches are cut, and the seed.
        processes: Who else computes.
    """

    def __init__(
        self,
        model: JointModel,
        objective: JointObjective,
        samples: Samples,
        *,
        config: JointTrainingConfig,
        processes: Processes,
    ) -> None:
        self.model, self.objective, self.samples = model, objective, samples
        self.config, self.processes = config, processes

    def run(self, batch: Int[Tensor, " samples"], *, step: int) -> dict[str, Float[Tensor, ""]]:
        """Compute terms and gradients; the gradients from before must be gone.

        Args:
            batch: Positions of its texts.
            step: From 0; fixes what is drawn.

        Returns:
            Every term by name.
        """
        rows = [self.samples.rows[i] for i in batch.tolist()]
        mine = self._cut(rows)[self.processes.rank :: self.processes.n]
        has_to_recompute = self.config.recompute and len(mine) > 1
        runs = [self._read(rows, piece, step=step, is_traced=not has_to_recompute) for piece in mine]
        states = self._gather(len(rows), mine, runs)
        device = self.model.stack.device
        codes = {scale: labels.codes[batch].to(device) for scale, labels in self.samples.labels.items()}
        generator = torch.Generator().manual_seed(place_seed(self.config.seed, "probes", step))
        parts = self.objective.parts(states, codes, generator=generator)
        parts["loss"].backward()  # type: ignore[no-untyped-call]
        for piece, run in zip(mine, runs, strict=True):
            _send_back(
                self._read(rows, piece, step=step, is_traced=True) if has_to_recompute else run,
                {scale: tensor.grad for scale, tensor in states.items()},
                piece,
            )
        self._share_gradients()
        return {name: part.detach() for name, part in parts.items()}

    def _cut(self, rows: Sequence[Row]) -> list[_Piece]:
        """Cut a batch by length, where it is cut at all, so that little is padded."""
        size = self.config.micro_batch
        if size is None:
            size = -(-len(rows) // self.processes.n)
        is_whole = size >= len(rows) and self.model.stack.padding.is_mixed
        order = list(range(len(rows)))
        if not is_whole:
            order.sort(key=lambda place: rows[place].length)
        chunks = chunk_rows([rows[place] for place in order], size=size, stack=self.model.stack)
        return [_Piece(number, [order[i] for i in chunk]) for number, chunk in enumerate(chunks)]

    def _read(self, rows: Sequence[Row], piece: _Piece, *, step: int, is_traced: bool) -> _States:
        """Run one piece; the same piece of the same step draws the same dropout."""
        batch = self.model.collate([rows[place] for place in piece.places])
        seed = place_seed(self.config.seed, "dropout", step, piece.number)
        with drawing(seed, self.model.stack.device), torch.set_grad_enabled(is_traced):
            return self.model.scales(batch)

    def _gather(self, n_rows: int, mine: Sequence[_Piece], runs: Sequence[_States]) -> _States:
        """Put the states of all pieces of all processes in the order of the batch, cut off from the model."""
        like = next(self.model.backbone.parameters())
        states: _States = {}
        for scale in SCALES:
            whole = like.new_zeros(n_rows, self.model.stack.d_model)
            for piece, run in zip(mine, runs, strict=True):
                whole[piece.places] = run[scale].detach()
            states[scale] = self.processes.sum(whole).requires_grad_()
        return states

    def _share_gradients(self) -> None:
        """Add up what each process found for the model; what all found alike stays as it is."""
        if self.processes.n == 1:
            return
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        # A process without a piece has no gradient where others have one; what nobody has a gradient of, such as
        # a norm behind the layers that are read, must stay without, or it would decay.
        found = torch.tensor([float(p.grad is not None) for _, p in named], device=self.model.stack.device)
        for (name, parameter), n_found in zip(named, self.processes.sum(found).tolist(), strict=True):
            if not n_found:
                continue
            grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            total = self.processes.sum(grad)
            parameter.grad = total if name.startswith("backbone.") else total / n_found


def _send_back(run: _States, gradients: Mapping[Scale, Tensor | None], piece: _Piece) -> None:
    """Put one piece's gradient into the model."""
    found = [(run[scale], grad[piece.places]) for scale, grad in gradients.items() if grad is not None]
    if found:
        torch.autograd.backward([states for states, _ in found], [grad for _, grad in found])
