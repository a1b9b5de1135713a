"""Division of a text into sentences by rules.

A sentence ends at ``.``, ``!``, ``?`` or ``…`` (with the quotes and brackets that close there) before white
space, and at the full stops of scripts that write no space. The rules below take back the ends that are none:
after abbreviations, initials and list numbers, before a lower-case word, and between a quoted question and
the words that say who asked it. Empty lines always divide; a single line break is white space.
"""

import re
import unicodedata
from itertools import pairwise

from msma.corpora.documents import Span

_CLOSING = "\"'”’»›)\\]}"
_OPENING = "\"'“‘«‹(\\[{¿¡„‚*_"
#: No end begins inside a row of marks: where its first mark is none, no other is, and looking costs a square.
_END = re.compile(
    rf"(?<![.!?…؟۔।])(?P<mark>\.(?:\s?\.)+|[!?](?:\s?[!?])+|[.!?…؟۔।]+)[{_CLOSING}]*(?=\s|$)"
    rf"|(?P<wide>[。！？｡]+)[{_CLOSING}」』）]*"
)
#: Characters before and after a mark that tell whether it ends a sentence; a whole text would cost a square.
_LOOKED_AT = 120
_PARAGRAPH = re.compile(r"\n[^\S\n]*\n\s*")
_NEXT = re.compile(rf"\s*(?:[{_OPENING}]|[-–—]\s?)*")
_LAST_WORD = re.compile(rf"[^\s{_OPENING}]+$")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Abbreviations that stand before the word they belong to: never an end.
_BEFORE_NAME = _words(
    "Mr Mrs Ms Mx Messrs Mme Mlle Dr Prof St Ste Sgt Lt Cpl Capt Cdr Cmdr Col Gen Maj Adm Brig Rev Revd Fr Hon "
    "Gov Sen Rep Supt Insp Mt Ft e.g i.e cf viz vs v approx ca Cf E.g I.e"
)
#: Abbreviations that stand before a number.
_BEFORE_NUMBER = _words(
    "no nos p pp fig figs vol vols ch chap sec sect art arts eq eqs ed para pt pl bk op nr cl "
    "jan feb mar apr jun jul aug sep sept oct nov dec"
)
#: Abbreviations that may end a sentence: an end only where a common first word follows.
_MAY_END = _words("etc inc ltd co corp bros jr sr esq dept univ ave blvd rd ph.d")
#: Words that begin sentences and hardly ever a name.
_STARTERS = _words(
    "a about after again all also although an and another any anyone as at because before both but by can "
    "did do does during each even every everyone few finally first for from had has have he her here his how "
    "however i if in instead is it its last later like many maybe most much my neither never no nobody none "
    "nor not nothing now of on once one only or other our out outside over perhaps she since so some "
    "someone sometimes soon still such than that the their then there these they this those though to today "
    "tomorrow tonight too two under until was we were what when where which while who why will with without "
    "yes yesterday yet you your"
)
_SPEECH = (
    "said|says|asked|asks|replied|replies|answered|answers|cried|cries|shouted|shouts|called|calls|whispered|"
    "whispers|murmured|muttered|mutters|yelled|exclaimed|demanded|inquired|enquired|wondered|wonders|snapped|"
    "sighed|laughed|growled|insisted|added|adds|began|continued|went on|wants to know|wanted to know|put in|"
    "protested|begged|told|tells|repeated|offered|announced|declared|observed|remarked|grumbled|hissed|"
    "roared|screamed|gasped|groaned|interrupted|objected|persisted|pressed|retorted|suggested|ventured"
)
_EMOTICON = re.compile(r"[:;=][-^']?[()DPOo|/]")
#: Signs that a writer does without capitals, so that a lower-case word may begin a sentence.
_INFORMAL = re.compile(
    r"\bi(?:['’]m|['’]ve| am| was| have| had| do| did| can| will| would| think| know| just)\b"
)
#: Who said it: up to four words without a mark between them, then a verb of saying.
_TAG = re.compile(rf"(?:[^\W\d_][\w'’-]*\.?\s+){{1,4}}(?:\w+ly\s+)?(?:{_SPEECH})\b")


def split_sentences(text: str) -> list[Span]:
    """Find the sentences of a text.

    Made for edited prose in languages that write like English; other scripts are divided at their own full
    stops. A lower-case word begins a sentence only in text that does without capitals ("i am", or a first
    word in lower case).

    Args:
        text: Any text.

    Returns:
        Character spans in order, apart, without white space at either end; every character that is not white
        space is in exactly one.

    Examples:
        >>> text = 'Dr. A. Osei paid 3.50. "Was it late?" asked Ruth. It was... late.'
        >>> [text[start:end] for start, end in split_sentences(text)]
        ['Dr. A. Osei paid 3.50.', '"Was it late?" asked Ruth.', 'It was... late.']
    """
    has_capitals = not (text.lstrip()[:1].islower() or _INFORMAL.search(text))
    ends = []
    for block_start, block_end in _blocks(text):
        begin = block_start
        for match in _END.finditer(text, block_start, block_end):
            if _is_end(text, match, begin=begin, limit=block_end, has_capitals=has_capitals):
                ends.append(match.end())
                begin = match.end()
        ends.append(block_end)
    spans: list[Span] = []
    begin = 0
    for end in ends:
        piece = text[begin:end]
        if stripped := piece.strip():
            start = begin + piece.index(stripped[0])
            spans.append((start, start + len(stripped)))
        begin = end
    return spans


def _blocks(text: str) -> list[Span]:
    """Divide at empty lines, which no sentence crosses."""
    borders = [0, *(match.end() for match in _PARAGRAPH.finditer(text)), len(text)]
    return list(pairwise(borders))


def _is_end(text: str, match: re.Match[str], *, begin: int, limit: int, has_capitals: bool) -> bool:
    if match["wide"]:
        return True
    rest = text[match.end() : min(limit, match.end() + _LOOKED_AT)]
    opening = _NEXT.match(rest)
    following = rest[opening.end() :] if opening else rest
    if not following:
        return True
    if (has_capitals and following[0].islower()) or _EMOTICON.match(following):
        return False
    mark = match["mark"]
    if mark == ".":
        # A quote or bracket closed after the stop: what stands before it is a whole sentence.
        is_closed = match.end() > match.end("mark")
        before = text[max(begin, match.start() - _LOOKED_AT) : match.start()]
        return is_closed or not _is_abbreviation(before, following)
    is_closed = match.end() > match.end("mark") and text[match.end("mark")] in "\"'”’»"
    return not (is_closed and opening is not None and not opening.group().strip() and _TAG.match(following))


def _is_abbreviation(before: str, following: str) -> bool:
    """Whether the full stop after ``before`` belongs to its last word and not to a sentence."""
    found = _LAST_WORD.search(before)
    if found is None:
        return False
    word = found.group()
    lower = word.casefold()
    starts_plainly = _first_word(following) in _STARTERS
    if before.strip(" \t\n" + _OPENING) == word and re.fullmatch(r"\d{1,3}|[A-Za-z]|[ivxIVX]{1,4}", word):
        return word != "I" or not starts_plainly  # a list number
    if word in _BEFORE_NAME:
        return True
    if following[0].isdigit() and lower in _BEFORE_NUMBER:
        return True
    if lower in _MAY_END or before.endswith("et al") or re.fullmatch(r"(?:[a-z]\.)+[a-z]", lower):
        return not starts_plainly
    is_initial = len(word) == 1 and unicodedata.category(word) == "Lu" and word != "I"
    return is_initial and not starts_plainly


def _first_word(following: str) -> str:
    """The next word in lower case; empty where a full stop makes it an initial."""
    found = re.match(r"[^\W\d_]+(?:['’][^\W\d_]+)?", following)
    if found is None or following[found.end() : found.end() + 1] == ".":
        return ""
    return re.split("['’]", found.group())[0].casefold()
