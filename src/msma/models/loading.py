"""Load a language model with its tokenizer, quietly, and say in one sentence what is wrong when it fails."""

import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from msma.errors import ConfigError, ModelError, MsmaError
from msma.models.explaining import explain
from msma.models.loaded import LoadedModel, language_head
from msma.models.parameters import input_device
from msma.models.placement import DeviceMap, Dtype, Placement, Quantization
from msma.models.quieting import quiet
from msma.models.spreading import expand_map


def load_with_head(model: Any, **options: Any) -> LoadedModel:
    """Load a model with its language-model head where it has one, without where it has none.

    Args:
        model: As :func:`load_model` takes it.
        **options: As :func:`load_model` takes them.

    Returns:
        Model and tokenizer; ``head`` says which it is.

    Raises:
        ModelError: When it cannot be loaded either way.
    """
    if isinstance(model, LoadedModel):
        return model
    try:
        return load_model(model, has_head=True, **options)
    except ModelError:
        return load_model(model, **options)


def load_model(
    model: Any,
    *,
    tokenizer: Any = None,
    name: str | None = None,
    revision: str | None = None,
    dtype: Dtype = "float32",
    device: str = "auto",
    local_files_only: bool = False,
    trust_remote_code: bool = False,
    has_head: bool = False,
    device_map: DeviceMap | None = None,
    quantization: Quantization = "none",
    offload_folder: str | os.PathLike[str] | None = None,
    max_memory: Mapping[int | str, int | str] | None = None,
) -> LoadedModel:
    """Load a model and its tokenizer, or take those given.

    A model that is already loaded stays on its device and in its precision.

    Args:
        model: Name on the Hub, folder, or a transformers model.
        tokenizer: Name, folder or tokenizer; the model's own when left out.
        name: What to call the model in results; its name or folder when left out.
        revision: Commit, tag or branch.
        dtype: Precision to load in; "auto" is that of the files.
        device: "auto" takes CUDA where there is some.
        local_files_only: Never ask the Hub.
        trust_remote_code: Let the model bring its own code.
        has_head: Load it with its language-model head, and refuse one that has none.
        device_map: Spread a model that does not fit in one place over accelerators, memory and disk: "auto",
            "balanced", "sequential", or a place for each part ({"": 0, "layers.31": "cpu"}); needs accelerate.
        quantization: Keep the weights of linear layers in 8 bits (LLM.int8; Dettmers et al. 2022) or 4 bits
            (NormalFloat; Dettmers et al. 2023); needs bitsandbytes.
        offload_folder: Where weights that go to disk are written when the model's own files do not do; a
            temporary folder, which goes with the model, when left out.
        max_memory: Most that each place may hold ({0: "70GB", "cpu": "200GB"}), for strategies of device_map.

    Returns:
        Model and tokenizer.

    Raises:
        ConfigError: When device, device_map, dtype or quantization are impossible here or together.
        MissingExtraError: When device_map or quantization needs a package that is not installed.
        ModelError: When model or tokenizer cannot be loaded.
    """
    options = {
        "revision": revision,
        "local_files_only": local_files_only,
        "trust_remote_code": trust_remote_code,
    }
    placement = Placement(
        dtype=dtype,
        device=device,
        device_map=device_map,
        quantization=quantization,
        offload_folder=offload_folder,
        max_memory=max_memory,
    )
    if isinstance(model, nn.Module):
        network = _check_network(model, placement)
        source = str(getattr(network.config, "_name_or_path", "") or "")
    else:
        source = os.fspath(model)
        _check_folder(source, what="model", sign="config.json")
        if revision is not None and os.path.isdir(source):
            raise ModelError(
                f"revision '{revision}' came for the folder '{source}'; a folder has no revisions: leave it out"
            )
        load = partial(_load_with_head, label=name or source) if has_head else _load_body
        network = _load_network(source, load, placement, options=options)
    if has_head and language_head(network) == "none":
        raise _headless(name or source or type(network).__name__)
    if tokenizer is None or isinstance(tokenizer, (str, os.PathLike)):
        tokenizer = _load_tokenizer(source if tokenizer is None else os.fspath(tokenizer), options=options)
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        raise ModelError(
            f"the tokenizer of '{source}' knows {len(tokenizer)} tokens, all of them special, which happens "
            "when the folder holds no tokenizer files; give one: tokenizer='name or folder'"
        )
    revision = getattr(network.config, "_commit_hash", None) or revision
    return LoadedModel(network, tokenizer, name or source or type(network).__name__, revision)


def _check_network(network: Any, placement: Placement) -> Any:
    if not hasattr(network, "config") or not hasattr(network.config, "model_type"):
        raise ModelError(
            f"a {type(network).__name__} without a transformers configuration came; "
            "give a transformers model, a name on the Hub or a folder"
        )
    if placement.device_map is not None or placement.quantization != "none":
        raise ConfigError(
            "device_map or quantization came with a model that is loaded already; "
            "give the model's name or folder, or load it as you want it and leave them out"
        )
    device, found = placement.device, input_device(network)
    if device not in ("auto", str(found), found.type):
        raise ConfigError(
            f"the model given is on '{found}' and device '{device}' was asked for; move it first"
        )
    return network


def _is_local(source: str) -> bool:
    return source.startswith((".", "/", "~", "\\")) or Path(source).exists()


def _check_folder(source: str, *, what: str, sign: str) -> None:
    if not _is_local(source):
        return
    folder = Path(source).expanduser()
    if not folder.is_dir():
        state = "is a file" if folder.exists() else "does not exist"
        raise ModelError(
            f"the {what} folder '{source}' {state}; give the folder that holds {sign}, or a name on the Hub"
        )
    if not (folder / sign).is_file():
        raise ModelError(f"the folder '{source}' holds no {sign}, so no {what}; check the path")


def _load_network(source: str, load: Any, placement: Placement, *, options: dict[str, Any]) -> Any:
    placement.check()
    places = placement.options()
    try:
        with quiet(keep_bars=sys.stderr.isatty() and not _is_local(source)):
            path = str(Path(source).expanduser()) if _is_local(source) else source
            network = load(path, places=places, **options)
            return placement.settle(network, places)
    except MsmaError:
        placement.discard(places)
        raise
    except Exception as error:  # every library underneath has its own kinds
        placement.discard(places)
        raise explain(error, source, what="model", revision=options["revision"]) from error


def _load_body(path: str, *, places: dict[str, Any], **options: Any) -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(path, **_spread(path, AutoModel, places, options), **options)


def _spread(path: str, kind: Any, places: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
    """Give every part of a model its place, where a mapping names some of them."""
    given = places.get("device_map")
    if not isinstance(given, dict) or list(given) == [""]:
        return places
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(path, **options)
    with torch.device("meta"):
        empty = kind.from_config(config, trust_remote_code=options["trust_remote_code"])
    return {**places, "device_map": expand_map(given, empty)}


def _load_with_head(path: str, *, label: str, places: dict[str, Any], **options: Any) -> Any:
    """Load the kind of head that the files declare, and refuse a head that they do not hold."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    config = AutoConfig.from_pretrained(path, **options)
    declared = " ".join(getattr(config, "architectures", None) or ())
    is_masked = config.model_type in MASKED and not any(
        word in declared for word in ("CausalLM", "LMHeadModel")
    )
    if config.is_encoder_decoder:
        kind: Any = AutoModelForSeq2SeqLM
    elif is_masked:
        kind = AutoModelForMaskedLM
    elif config.model_type in CAUSAL:
        kind = AutoModelForCausalLM
    else:
        raise _headless(label)
    places = _spread(path, kind, places, options)
    network, report = kind.from_pretrained(path, output_loading_info=True, **places, **options)
    if report["missing_keys"]:
        raise _headless(label)
    return network


def _headless(source: str) -> ModelError:
    return ModelError(
        f"'{source}' has no language-model head, so it can neither write nor fill in; give a model saved with "
        "its head (one that ends in LMHeadModel, ForCausalLM, ForConditionalGeneration or ForMaskedLM)"
    )


def _load_tokenizer(source: str, *, options: dict[str, Any]) -> Any:
    if not source:
        raise ModelError(
            "a model without a name came, so its tokenizer cannot be found; give it: tokenizer=..."
        )
    try:
        from transformers import AutoTokenizer

        with quiet():
            path = str(Path(source).expanduser()) if _is_local(source) else source
            return AutoTokenizer.from_pretrained(path, **options)
    except Exception as error:  # every library underneath has its own kinds
        raise explain(error, source, what="tokenizer", revision=options["revision"]) from error
