"""Run a model quietly and in evaluation mode; what was set before returns on leaving."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

#: Libraries under transformers that say by themselves where parameters went and how they are cast.
_TALKATIVE = ("accelerate", "bitsandbytes")


@contextmanager
def quiet(*, keep_bars: bool = False) -> Iterator[None]:
    """Silence what transformers and the libraries under it print; the former settings return on leaving.

    Args:
        keep_bars: Leave progress bars on, for downloads watched on a terminal.

    Yields:
        Nothing.
    """
    from transformers.utils import logging as transformers_logging
    from transformers.utils.logging import hf_hub_utils

    verbosity = transformers_logging.get_verbosity()
    had_bars = transformers_logging.is_progress_bar_enabled()
    had_hub_bars = not hf_hub_utils.are_progress_bars_disabled()
    levels = {name: logging.getLogger(name).level for name in _TALKATIVE}
    transformers_logging.set_verbosity_error()
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    if not keep_bars and had_bars:
        transformers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if had_bars and not keep_bars:
            transformers_logging.enable_progress_bar()
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
