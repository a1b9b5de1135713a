"""Load a language model with its tokenizer, quietly, and say in one sentence what is wrong when it fails."""

import hashlib
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from torch import nn

from msma.errors import ConfigError, ModelError

Dtype: TypeAlias = Literal["float32", "bfloat16", "auto"]
Head: TypeAlias = Literal["none", "causal", "seq2seq", "masked"]

#: Values of each parameter that enter the fingerprint of a model.
_FINGERPRINT_VALUES = 16


@dataclass(frozen=True)
class LoadedModel:
    """A model, its tokenizer, and what is known about where they come from.

    Args:
        network: The model as loaded or as given.
        tokenizer: Its tokenizer.
        name: Name on the Hub, or the folder.
        revision: Commit of the files, where known.
    """

    network: Any
    tokenizer: Any
    name: str
    revision: str | None

    @property
    def architecture(self) -> str:
        """The configuration's family ("gpt2", "bert")."""
        return str(self.network.config.model_type)

    @property
    def head(self) -> Head:
        """What the model can write with: "causal", "seq2seq", "masked", or "none"."""
        return language_head(self.network)

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        device: torch.device = next(self.network.parameters()).device
        return device

    @property
    def dtype(self) -> str:
        """Precision of the parameters ("float32")."""
        return str(next(self.network.parameters()).dtype).removeprefix("torch.")

    def fingerprint(self, body: nn.Module | None = None) -> str:
        """Hash names, shapes and a few values of every parameter.

        Args:
            body: Part of the model to hash; the whole when left out.

        Returns:
            SHA-256, 64 hexadecimal digits.
        """
        digest = hashlib.sha256()
        for name, parameter in sorted((body or self.network).named_parameters()):
            flat = parameter.detach().reshape(-1)
            step = max(1, flat.numel() // _FINGERPRINT_VALUES)
            values = flat[::step][:_FINGERPRINT_VALUES].float().cpu().numpy()
            digest.update(f"{name}{tuple(parameter.shape)}".encode() + values.tobytes())
        return digest.hexdigest()


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


@contextmanager
def quiet(*, keep_bars: bool = False) -> Iterator[None]:
    """Silence what transformers and torch print and warn about; the former settings return on leaving.

    Args:
        keep_bars: Leave progress bars on, for downloads watched on a terminal.

    Yields:
        Nothing.
    """
    from transformers.utils import logging
    from transformers.utils.logging import hf_hub_utils

    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    had_hub_bars = not hf_hub_utils.are_progress_bars_disabled()
    logging.set_verbosity_error()
    if not keep_bars and had_bars:
        logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars and not keep_bars:
            logging.enable_progress_bar()
            if not had_hub_bars:
                hf_hub_utils.disable_progress_bars()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Switch dropout off and gradients out; every module's mode returns on leaving.

    Args:
        network: The model.

    Yields:
        Nothing.
    """
    training = [module for module in network.modules() if module.training]
    for module in training:
        module.training = False
    try:
        with torch.inference_mode(), quiet():
            yield
    finally:
        for module in training:
            module.training = True


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

    Returns:
        Model and tokenizer.

    Raises:
        ConfigError: When device or dtype do not exist here.
        ModelError: When model or tokenizer cannot be loaded.
    """
    options = {
        "revision": revision,
        "local_files_only": local_files_only,
        "trust_remote_code": trust_remote_code,
    }
    if isinstance(model, nn.Module):
        network = _check_network(model, device=device)
        source = str(getattr(network.config, "_name_or_path", "") or "")
    else:
        source = os.fspath(model)
        _check_folder(source, what="model", sign="config.json")
        if revision is not None and os.path.isdir(source):
            raise ModelError(
                f"revision '{revision}' came for the folder '{source}'; a folder has no revisions: leave it out"
            )
        load = partial(_load_with_head, label=name or source) if has_head else _load_body
        network = _load_network(source, load, dtype=dtype, device=_choose_device(device), options=options)
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


def _check_network(network: Any, *, device: str) -> Any:
    if not hasattr(network, "config") or not hasattr(network.config, "model_type"):
        raise ModelError(
            f"a {type(network).__name__} without a transformers configuration came; "
            "give a transformers model, a name on the Hub or a folder"
        )
    found = next(network.parameters()).device
    if device not in ("auto", str(found), found.type):
        raise ConfigError(
            f"the model given is on '{found}' and device '{device}' was asked for; move it first"
        )
    return network


def _choose_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"device '{device}' cannot be used here ({_first_line(error)}); use 'cpu' or 'auto'"
        ) from error
    return chosen


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


def _load_network(
    source: str, load: Any, *, dtype: str, device: torch.device, options: dict[str, Any]
) -> Any:
    precisions = {"float32": torch.float32, "bfloat16": torch.bfloat16, "auto": "auto"}
    if dtype not in precisions:
        raise ConfigError(f"dtype '{dtype}' came; expected one of {', '.join(precisions)}")
    try:
        with quiet(keep_bars=sys.stderr.isatty() and not _is_local(source)):
            path = str(Path(source).expanduser()) if _is_local(source) else source
            network = load(path, dtype=precisions[dtype], **options)
        return network.eval().to(device)
    except ModelError:
        raise
    except Exception as error:  # every library underneath has its own kinds
        raise _explain(error, source, what="model", revision=options["revision"]) from error


def _load_body(path: str, **options: Any) -> Any:
    from transformers import AutoModel

    return AutoModel.from_pretrained(path, **options)


def _load_with_head(path: str, *, label: str, dtype: Any, **options: Any) -> Any:
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
    network, report = kind.from_pretrained(path, dtype=dtype, output_loading_info=True, **options)
    if report["missing_keys"]:
        raise _headless(label)
    return network


def _headless(source: str) -> ModelError:
    return ModelError(
        f"'{source}' has no language-model head, so it can neither write nor fill in; give a model saved with "
        "its head (one that ends in LMHeadModel, ForCausalLM, ForConditionalGeneration or ForMaskedLM)"
    )


def language_head(network: nn.Module) -> Head:
    """Tell what a model can write with.

    Args:
        network: A transformers model.

    Returns:
        "causal", "seq2seq", "masked", or "none".
    """
    get = getattr(network, "get_output_embeddings", None)
    with quiet():
        if get is None or get() is None:
            return "none"
        if not network.can_generate():  # type: ignore[operator]
            return "masked" if "MaskedLM" in type(network).__name__ else "none"
    return "seq2seq" if network.config.is_encoder_decoder else "causal"  # type: ignore[union-attr]


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
        raise _explain(error, source, what="tokenizer", revision=options["revision"]) from error


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _explain(error: Exception, source: str, *, what: str, revision: str | None) -> ModelError:
    """Turn a library's error into one sentence with what to do."""
    kinds: set[str] = set()
    link: BaseException | None = error
    while link is not None:
        kinds.add(type(link).__name__)
        link = link.__cause__ or link.__context__
    at = f" at revision '{revision}'" if revision else ""
    subject = f"could not load the {what} '{source}'{at}"
    if "RevisionNotFoundError" in kinds:
        return ModelError(f"{subject}: there is no such revision; give a commit, tag or branch that exists")
    if "GatedRepoError" in kinds:
        return ModelError(f"{subject}: access has to be granted on its page first; log in and ask for it")
    if "RepositoryNotFoundError" in kinds:
        return ModelError(f"{subject}: the Hub has no such repository, or it is private; check the name")
    if "trust_remote_code" in str(error):
        return ModelError(f"{subject}: it brings its own code; read it, then pass trust_remote_code=True")
    if {"LocalEntryNotFoundError", "OfflineModeIsEnabled"} & kinds or "couldn't connect" in str(error):
        return ModelError(
            f"{subject}: it is not in the local cache and the Hub was not reached; "
            "check the name and the connection, or download it first"
        )
    return ModelError(f"{subject}: {_first_line(error)}; check that the files are whole and of one model")
