"""Documents check themselves; a corpus can be walked through more than once."""

import hashlib

import pytest

from msma.corpora import Corpus, Document, read_documents
from msma.errors import CorpusError


@pytest.mark.parametrize("spans", [((0, 99),), ((-1, 2),), ((3, 3),)])
def test_spans_outside_the_text_are_refused(spans):
    with pytest.raises(CorpusError, match="document 'd' has 9 characters and a sentence span outside"):
        Document("It rains.", "d", sentences=spans)


def test_overlapping_spans_are_refused():
    with pytest.raises(CorpusError, match="overlap"):
        Document("It rains.", "d", sentences=((0, 5), (4, 9)))


@pytest.mark.parametrize("spans", [None, ((0, 9),)])
def test_sentence_labels_need_one_mapping_a_sentence(spans):
    with pytest.raises(CorpusError, match="2 sentence labels for"):
        Document("It rains.", "d", sentences=spans, sentence_labels=({}, {}))


def test_a_document_without_spans_has_no_sentence_texts():
    assert Document("It rains.", "d").sentence_texts == ()


def test_a_corpus_gives_its_documents_afresh_and_opens_the_source_no_more_than_it_must():
    opened = []

    def opener():
        opened.append(1)
        yield from (Document(text, text) for text in "abc")

    corpus = Corpus(opener, source="letters")
    assert corpus.peek().text == "a"
    assert [d.text for d in corpus] == list("abc")
    assert len(opened) == 1, "the walk that peeked is the one that is used first"
    assert [d.text for d in corpus] == list("abc")
    assert corpus.count() == 3
    assert corpus.count() == 3
    assert len(opened) == 3
    assert repr(corpus) == "Corpus('letters')"


def test_an_empty_corpus_says_so_when_peeked():
    with pytest.raises(CorpusError, match="'void' holds no text"):
        Corpus(lambda: iter(()), source="void").peek()


def test_the_fingerprint_depends_on_texts_and_order_alone():
    def fingerprint(*texts):
        return read_documents(texts).fingerprint

    assert fingerprint("one", "two") == fingerprint("one", "two")
    assert fingerprint("one", "two") != fingerprint("two", "one")
    assert fingerprint("one", "two") != fingerprint("onet", "wo")
    inner = hashlib.sha256(b"one").digest()
    assert fingerprint("one") == hashlib.sha256(inner).hexdigest()
