"""Find social bias by scale: association tests, language-model tests, where it lives, what taking it out costs."""

from msma.bias.association_testing import associate
from msma.bias.associations import AssociationTable
from msma.bias.audit import audit_bias
from msma.bias.carrying import carried_bias
from msma.bias.crows import CrowsScore
from msma.bias.crows_scoring import crows_score
from msma.bias.formats import CrowsPair, StereoItem, WinoPair, read_crows, read_stereoset, read_winobias
from msma.bias.list_files import read_association_tests, standard_tests
from msma.bias.lists import AssociationTest
from msma.bias.location import locate_bias, read_pairs_states
from msma.bias.ordinary import OrdinaryTexts
from msma.bias.pairs import TextPairs, gender_pairs, read_pairs
from msma.bias.price import Price
from msma.bias.price_list import PriceList
from msma.bias.pricing import price_erasure
from msma.bias.record import CAUTIONS, BiasAudit
from msma.bias.stereoset import StereoScore
from msma.bias.stereoset_predictions import read_stereoset_predictions
from msma.bias.stereoset_scoring import stereoset_score
from msma.bias.winobias import WinoScore, winobias_score

__all__ = [
    "CAUTIONS",
    "AssociationTable",
    "AssociationTest",
    "BiasAudit",
    "CrowsPair",
    "CrowsScore",
    "OrdinaryTexts",
    "Price",
    "PriceList",
    "StereoItem",
    "StereoScore",
    "TextPairs",
    "WinoPair",
    "WinoScore",
    "associate",
    "audit_bias",
    "carried_bias",
    "crows_score",
    "gender_pairs",
    "locate_bias",
    "price_erasure",
    "read_association_tests",
    "read_crows",
    "read_pairs",
    "read_pairs_states",
    "read_stereoset",
    "read_stereoset_predictions",
    "read_winobias",
    "standard_tests",
    "stereoset_score",
    "winobias_score",
]
