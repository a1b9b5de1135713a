"""How large a model is, found from its configuration alone: it is built without values."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from msma._types import Stack as StackName
from msma.errors import MsmaError
from msma.models.explaining import explain
from msma.models.finding import choose_stack
from msma.models.quieting import quiet


@dataclass(frozen=True, kw_only=True)
class ModelShape:
    """What of a model decides what reading it costs.

    Args:
        n_parameters: Parameters that are loaded, without a language-model head; both stacks of an
            encoder-decoder.
        n_layers: Layer entries of the stack that is read, the embedding output included.
        d_model: Width of one state.
        n_embedding: Parameters of embeddings, which are looked up and not multiplied.
        n_active: Parameters that one token is multiplied with: matrices outside embeddings, those of shared
            blocks as often as they run, of experts as many as are chosen; all outside embeddings when left out.
        n_attentions: Times a text's tokens are compared with one another; once a block when left out. A decoder
            that is fed by an encoder looks at itself and at what was encoded.
        width: Widest inner layer; four times ``d_model`` when left out.

    Examples:
        >>> shape = ModelShape(n_parameters=1_000, n_layers=3, d_model=8, n_embedding=200)
        >>> shape.n_blocks, shape.n_multiplied, shape.n_compared, shape.n_inner
        (2, 800, 2, 32)
    """

    n_parameters: int
    n_layers: int
    d_model: int
    n_embedding: int = 0
    n_active: int | None = None
    n_attentions: int | None = None
    width: int | None = None

    @property
    def n_blocks(self) -> int:
        """Blocks of the stack that is read."""
        return self.n_layers - 1

    @property
    def n_multiplied(self) -> int:
        """Parameters that one token is multiplied with."""
        return self.n_parameters - self.n_embedding if self.n_active is None else self.n_active

    @property
    def n_compared(self) -> int:
        """Times a text's tokens are compared with one another."""
        return self.n_blocks if self.n_attentions is None else self.n_attentions

    @property
    def n_inner(self) -> int:
        """Widest inner layer."""
        return 4 * self.d_model if self.width is None else self.width


def model_shape(
    model: Any,
    *,
    stack: StackName = "auto",
    revision: str | None = None,
    local_files_only: bool = False,
    trust_remote_code: bool = False,
) -> ModelShape:
    """Find how large a model is from its configuration; no weights are read and none are made.

    Args:
        model: Name on the Hub, folder, or a transformers configuration.
        stack: Stack that is to be read; "auto" is the encoder of an encoder-decoder.
        revision: Commit, tag or branch.
        local_files_only: Never ask the Hub.
        trust_remote_code: Let the model bring its own code.

    Returns:
        Its shape.

    Raises:
        ModelError: When the configuration cannot be found or read.
    """
    from transformers import AutoConfig, AutoModel

    has_code = {"trust_remote_code": trust_remote_code}
    is_name = isinstance(model, (str, os.PathLike))
    try:
        with quiet(), torch.device("meta"):
            if is_name:
                path = Path(model).expanduser()
                source = str(path) if path.is_dir() else os.fspath(model)
                places = {"revision": revision, "local_files_only": local_files_only}
                model = AutoConfig.from_pretrained(source, **places, **has_code)
            return measure_network(AutoModel.from_config(model, **has_code), stack=stack)
    except MsmaError:
        raise
    except Exception as error:  # every library underneath has its own kinds
        label = os.fspath(model) if is_name else type(model).__name__
        raise explain(error, label, what="model", revision=revision) from error


def measure_network(network: Any, *, stack: StackName = "auto") -> ModelShape:
    """Count what of a network decides what reading it costs.

    Args:
        network: A transformers model without a language-model head, with or without values.
        stack: Stack that is to be read.

    Returns:
        Its shape.
    """
    read = choose_stack(network, stack)
    embeddings = {
        id(parameter)
        for module in network.modules()
        if isinstance(module, nn.Embedding)
        for parameter in module.parameters()
    }
    parameters = list(network.parameters())
    matrices = [p for p in parameters if p.ndim > 1 and id(p) not in embeddings]
    n_blocks = _count_blocks(read.module, read.kind)
    # A decoder is fed what its encoder has read, so that both run.
    stacks = [(read.module, n_blocks)]
    n_attentions = n_blocks
    if read.encoder is not None:
        stacks.append((read.encoder, _count_blocks(read.encoder, "encoder")))
        n_attentions += sum(n for _, n in stacks)
    return ModelShape(
        n_parameters=sum(p.numel() for p in parameters),
        n_layers=n_blocks + 1,
        d_model=int(read.module.config.get_text_config().hidden_size),
        n_embedding=sum(p.numel() for p in parameters if id(p) in embeddings),
        n_active=sum(_count_active(module, embeddings, n_blocks=n) for module, n in stacks),
        n_attentions=n_attentions,
        width=max((max(p.shape[-2:]) for p in matrices), default=None),
    )


def _count_blocks(module: Any, kind: str) -> int:
    config = module.config.get_text_config()
    names = ("decoder_layers", "num_decoder_layers") if kind == "decoder" else ()
    declared = [getattr(config, name, None) for name in (*names, "num_hidden_layers")]
    return next(int(value) for value in declared if value is not None)


def _count_active(module: nn.Module, embeddings: set[int], *, n_blocks: int) -> int:
    config: Any = module.config.get_text_config()  # type: ignore[union-attr, operator]
    names = ("num_local_experts", "num_experts", "n_routed_experts")
    n_experts = next((n for n in (getattr(config, name, None) for name in names) if n), 0)
    chosen = getattr(config, "num_experts_per_tok", None) or n_experts
    experts = _find_experts(module, n_experts) if n_experts else set()
    lists = [part for part in module.modules() if isinstance(part, nn.ModuleList)]
    # Where no list holds a module for each block, the blocks share theirs (ALBERT).
    shared = max(lists, key=len, default=None)
    is_shared = shared is not None and all(len(part) != n_blocks for part in lists)
    repeated = {id(p) for p in shared.parameters()} if shared is not None and is_shared else set()
    active = 0.0
    for name, parameter in module.named_parameters():
        # Norms and biases are added, embeddings are looked up, and a pooler sees one token of a text.
        if parameter.ndim < 2 or id(parameter) in embeddings or name.startswith("pooler"):
            continue
        times = chosen / n_experts if id(parameter) in experts else 1.0
        if id(parameter) in repeated and shared is not None:
            times *= n_blocks / len(shared)
        active += times * parameter.numel()
    return round(active)


def _find_experts(module: nn.Module, n_experts: int) -> set[int]:
    """Parameters of which each token meets only a few: one matrix an expert, stacked or in a list."""
    stacked = {id(p) for p in module.parameters() if p.ndim == 3 and p.shape[0] == n_experts}
    listed = {
        id(parameter)
        for name, part in module.named_modules()
        if isinstance(part, nn.ModuleList) and len(part) == n_experts and name.endswith("experts")
        for parameter in part.parameters()
    }
    return stacked | listed
