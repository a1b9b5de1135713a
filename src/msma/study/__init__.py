"""The whole main job in one folder: texts to states, scales, maps, honest measures and figures.

Every stage writes its piece whole before the next begins, and is skipped when its piece is there: the same
command after an interruption goes on where it stopped.
"""

from msma.study.choosing import choose_scales, make_joint
from msma.study.demo import DEMO_DECODER, DEMO_MODEL, DemoModel, demo_decoder, demo_model, find_model
from msma.study.reading import Say, extract_corpus, extract_states
from msma.study.study import Study

__all__ = [
    "DEMO_DECODER",
    "DEMO_MODEL",
    "DemoModel",
    "Say",
    "Study",
    "choose_scales",
    "demo_decoder",
    "demo_model",
    "extract_corpus",
    "extract_states",
    "find_model",
    "make_joint",
]
