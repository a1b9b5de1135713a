"""States written shard by shard, and opened when all are there."""

from msma.shards import AttentionSummary, ShardWriter
from msma.states.hidden_states import HiddenStates


class StatesWriter(ShardWriter):
    """Write states shard by shard and open them when all are there; see :class:`ShardWriter`."""

    def finish(
        self, *, attention: AttentionSummary | None = None, n_shards: int | None = None
    ) -> HiddenStates:
        """Declare the states whole and open them; what was just written is not read again.

        Args:
            attention: Attention statistics to keep with them.
            n_shards: How many shards there must be; as many as there are, from 0 on, when left out.

        Returns:
            The states.

        Raises:
            StorageError: When a shard is missing or too many, or they cannot be written.
        """
        self.close(attention=attention, n_shards=n_shards)
        if self.folder is not None:
            return HiddenStates.load(self.folder, verify=False)
        return HiddenStates(self.kept, self.origin, attention=attention)
