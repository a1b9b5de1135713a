"""Sentences end where a reader would end them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from msma.corpora import demo_corpus, split_sentences

# Each case is written as its sentences, which are joined by a space and must come back.
CASES = {
    "plain": ["It rains.", "Does it?", "It does!", "So…"],
    "titles": ["Dr. Osei met Mrs. Lund and Prof. A. B. Cole.", "They left."],
    "initials": ["J. S. Bach wrote it.", "It was Plan B.", "Then he left.", "So did I.", "Ruth stayed."],
    "latin": ["Use tools, e.g. Saws or i.e. Blades, cf. Smith.", "See Jones et al. Smith agrees."],
    "may end": ["He works for Lund Inc. Boston pays.", "It is owned by Lund Inc.", "The rent is low."],
    "acronyms": [
        "She lives in the U.S. Army base.",
        "She left the U.S.",
        "Then she came back at 5 p.m. sharp.",
    ],
    "decimals": ["It costs 3.50 or 1.234,00 euros.", "Version 2.0.1 is out."],
    "numbers": [
        "See No. 7 and p. 12, fig. 3.",
        "He said no.",
        "Five left.",
        "It was Jan. 5 of 1984.",
        "1984 was long.",
    ],
    "list": ["1. Mix the flour.", "2) Wait.", "A. Stir.", "IV. Serve it."],
    "year": ["It began in 1984.", "It ended."],
    "ellipsis": ["It was... late.", "Wait...", "He waited. . . and left.", "She … slept."],
    "tags": ['"Is it late?" asked Ruth.', '"Run!" he cried.', '"Why?" Mrs. Lund wondered.', "He ran."],
    "tag after a name": ['"Where to?" the old man asked.', '"Home!" Ruth whispered softly.', "They went."],
    "no tag": ['"Is it late?"', "Ruth sat down.", '"It is."', "She rose."],
    "closed stop": ['He signed it "Dr."', "Then he left."],
    "curly": ["“Are you there?” asked Lena.", "‘No.’", "«Bien.»", "(She was.)", "[Exit.]"],
    "runs": ["What?!", "No!!!", "Really ? !", "Yes."],
    "site": ["Read example.com today.", "Ask Yahoo! about it."],
    "emoticon": ["That is great. :) Thanks.", "Bye."],
    "opening marks": ["¿Vienes?", "¡Sí!", "— No.", "*Good.*"],
    "informal": ["i am late.", "we lost the bus.", "did you wait?"],
    "all lower": ["it rains.", "i stay."],
}


@pytest.mark.parametrize("name", CASES)
def test_sentences_come_back(name):
    sentences = CASES[name]
    text = " ".join(sentences)
    assert [text[start:end] for start, end in split_sentences(text)] == sentences


def test_scripts_that_write_no_space_end_at_their_own_stops():
    text = "雨が降る。本当？「はい。」次。"
    assert [text[a:b] for a, b in split_sentences(text)] == ["雨が降る。", "本当？", "「はい。」", "次。"]


def test_empty_lines_divide_and_single_line_breaks_do_not():
    text = "A heading without a stop\n\nIt rains\nall day. We stay.\n \n"
    expected = ["A heading without a stop", "It rains\nall day.", "We stay."]
    assert [text[a:b] for a, b in split_sentences(text)] == expected


def test_nothing_gives_nothing():
    assert split_sentences("") == split_sentences(" \n\n ") == []


@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("aA.!?…。 \n\"'1"))))
def test_spans_are_in_order_apart_stripped_and_cover_what_is_not_space(text):
    spans = split_sentences(text)
    covered = set()
    last = 0
    for start, end in spans:
        assert last <= start < end
        assert text[start:end].strip() == text[start:end]
        covered.update(range(start, end))
        last = end
    assert all(i in covered for i, character in enumerate(text) if not character.isspace())


def test_the_sentences_of_the_demo_corpus_are_recovered():
    found = total = 0
    for document in demo_corpus():
        total += len(document.sentences)
        found += len(set(document.sentences) & set(split_sentences(document.text)))
    assert found / total > 0.98
