"""A language model with a head for each scale and a map for each pair of scales, trained as one."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from msma._types import PAIRS, Pair, Scale
from msma.errors import ConfigError, ScaleError
from msma.extraction.tokens import Row
from msma.measures.critics import SeparableCritic
from msma.models import LoadedModel, Sequences, Stack
from msma.replication.config import RANDOM_START, JointTrainingConfig
from msma.replication.drawing import drawing, place_seed
from msma.replication.reading import ScaleReader
from msma.replication.scale_map import ScaleMap
from msma.scales import ScalePartition

__all__ = ["JointModel", "pair_key"]

_DTYPES = (torch.float32, torch.float64)


def pair_key(pair: Pair) -> str:
    """Name a pair of scales where a name may hold no tuple.

    Args:
        pair: Source and target.

    Returns:
        Both, joined.

    Examples:
        >>> pair_key(("global", "local"))
        'global-local'
    """
    return "-".join(pair)


class JointModel(nn.Module):
    """A language model, maps between its scales, and heads.

    The heads are drawn first, in the order of the scales, then the maps, then the critics.

    Args:
        loaded: The model; trained in place.
        stack: How it is read.
        partition: Which layers belong to which scale.
        n_classes: Labels of each scale that has a head.
        config: Widths, start, seed, quirks.
        has_critics: Whether information weighs something.
        longest: Tokens that each text is padded to where padding is averaged in (a quirk).

    Raises:
        ScaleError: When the partition is of another number of layers.
        ConfigError: When the model is in half precision, in which a step of training is lost in rounding.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        stack: Stack,
        partition: ScalePartition,
        *,
        n_classes: Mapping[Scale, int],
        config: JointTrainingConfig,
        has_critics: bool = True,
        longest: int = 0,
    ) -> None:
        super().__init__()
        if partition.n_layers != stack.n_layers:
            raise ScaleError(
                f"a partition of {partition.n_layers} layers came for a model of {stack.n_layers}; "
                "find the scales of this model first"
            )
        dtype = next(loaded.network.parameters()).dtype
        if dtype not in _DTYPES:
            raise ConfigError(
                f"a model in {dtype} came; training needs float32: load it with dtype='float32'"
            )
        self.loaded, self.stack, self.partition = loaded, stack, partition
        is_quirky = config.quirks.padding_in_means
        self.reader = ScaleReader(loaded.network, stack, partition, is_quirky, longest)
        self.backbone: nn.Module = loaded.network
        width = stack.d_model
        with drawing(place_seed(config.seed, "heads")):
            self.heads = nn.ModuleDict({scale: nn.Linear(width, n) for scale, n in n_classes.items()})
        with drawing(place_seed(config.seed, "maps")):
            self.maps = nn.ModuleDict()
            for pair in PAIRS:
                map_ = ScaleMap(width, width=config.width, depth=config.depth)
                if config.start == RANDOM_START:
                    map_.draw()
                self.maps[pair_key(pair)] = map_
        with drawing(place_seed(config.seed, "critics")):
            critics = {pair_key(pair): SeparableCritic(width, width) for pair in PAIRS if has_critics}
            self.critics = nn.ModuleDict(critics)
        self.to(device=stack.device, dtype=dtype)

    @property
    def scale_maps(self) -> dict[Pair, ScaleMap]:
        """The maps by pair of scales, source first."""
        found = {pair: self.maps[pair_key(pair)] for pair in PAIRS}
        return {pair: map_ for pair, map_ in found.items() if isinstance(map_, ScaleMap)}

    def named_additions(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Walk over what is trained beside the language model.

        Yields:
            Name and parameter of heads, maps and critics.
        """
        for name, parameter in self.named_parameters():
            if not name.startswith("backbone."):
                yield name, parameter

    def collate(self, rows: Sequence[Row]) -> Sequences:
        """Put texts into one batch.

        Args:
            rows: Their token ids.

        Returns:
            The batch; see :class:`ScaleReader`.
        """
        return self.reader.collate(rows)

    def scales(self, batch: Sequences) -> dict[Scale, Float[Tensor, "rows d_model"]]:
        """Run the language model and give the state of each scale.

        Args:
            batch: Token ids.

        Returns:
            The mean over the scale's layers of the mean over each text's tokens; gradients flow into the model.
        """
        return self.reader.scales(batch)

    def read(
        self, rows: Sequence[Row], *, batch_size: int = 32
    ) -> dict[Scale, Float[Tensor, "rows d_model"]]:
        """Give the state of each scale without training: no dropout, no gradient.

        Args:
            rows: Token ids of each text.
            batch_size: Texts a pass.

        Returns:
            One row a text, in the order given.
        """
        return self.reader.read(rows, batch_size=batch_size)
