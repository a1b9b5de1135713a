"""Texts: read them from files, the Hub or Python, divide them into sentences, split them by document."""

from msma.corpora.demonstration import demo_corpus
from msma.corpora.documents import Corpus, Document, Label, Span
from msma.corpora.reading import read_documents
from msma.corpora.sentences import split_sentences
from msma.corpora.splitting import group_duplicates, rank_document, split_documents

__all__ = [
    "Corpus",
    "Document",
    "Label",
    "Span",
    "demo_corpus",
    "group_duplicates",
    "rank_document",
    "read_documents",
    "split_documents",
    "split_sentences",
]
