"""A local web page on a finished study: explain a text, see where it lies, act on a scale and read what comes."""

from msma.explorer.application import make_app
from msma.explorer.serving import serve

__all__ = ["make_app", "serve"]
