"""Figures: arrays in, axes out; nothing is shown, and matplotlib's own settings are left alone.

The only package that imports matplotlib. Every function draws on the axes it is given, or makes a figure of
its own of one (3.5 in) or two (7 in) columns' width.
"""

from msma.plotting.ablation import plot_ablation
from msma.plotting.associations import plot_associations
from msma.plotting.bias_layers import plot_bias_layers
from msma.plotting.certificate import plot_certificate
from msma.plotting.coverage import plot_coverage, plot_probes
from msma.plotting.cross_similarity import plot_cross_similarity
from msma.plotting.detection import plot_detection
from msma.plotting.displacement import plot_displacement
from msma.plotting.dose import plot_dose_response
from msma.plotting.effects import plot_effects
from msma.plotting.inline import to_inline_svg
from msma.plotting.layers import plot_bands, plot_signals
from msma.plotting.manifold import CATEGORY_MARKERS, plot_clouds, plot_dimensions, plot_spectra, rank_groups
from msma.plotting.pareto import plot_pareto
from msma.plotting.prices import plot_prices
from msma.plotting.rows import plot_maps, plot_rows
from msma.plotting.saving import FORMATS, save_figure
from msma.plotting.similarity import plot_similarity
from msma.plotting.style import CATEGORIES, COLUMN, PAGE, SCALE_COLOURS
from msma.plotting.tokens import plot_tokens
from msma.plotting.tradeoff import plot_tradeoff
from msma.plotting.words import Wording, map_name, pair_name, wording

__all__ = [
    "CATEGORIES",
    "CATEGORY_MARKERS",
    "COLUMN",
    "FORMATS",
    "PAGE",
    "SCALE_COLOURS",
    "Wording",
    "map_name",
    "pair_name",
    "plot_ablation",
    "plot_associations",
    "plot_bands",
    "plot_bias_layers",
    "plot_certificate",
    "plot_clouds",
    "plot_coverage",
    "plot_cross_similarity",
    "plot_detection",
    "plot_dimensions",
    "plot_displacement",
    "plot_dose_response",
    "plot_effects",
    "plot_maps",
    "plot_pareto",
    "plot_prices",
    "plot_probes",
    "plot_rows",
    "plot_signals",
    "plot_similarity",
    "plot_spectra",
    "plot_tokens",
    "plot_tradeoff",
    "rank_groups",
    "save_figure",
    "to_inline_svg",
    "wording",
]
