"""The texts the decoder learns from: read, cleaned, and split by stretches so that held-out paragraphs stay unseen.

Sources, all free to train on and to ship what was trained: ``public_domain_books`` (Project Gutenberg texts),
``wikitext2`` (Wikipedia, CC BY-SA) and ``tinystories`` (CDLA-Sharing). One book is kept out whole.
"""

import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

#: Read nowhere in training: what is measured on it is the fall from known books to an unknown one.
UNSEEN_BOOK = "The-Picture-of-Dorian-Gray"

#: Paragraphs of a book that go into one split together, so that a held-out one stands among held-out ones.
_STRETCH = 24
_SHARES = {"test": 0.02, "validation": 0.02}


@dataclass(frozen=True)
class Document:
    """One running text.

    Args:
        name: Source and place, unique.
        text: Paragraphs with a blank line between them.
        split: "train", "validation", "test" or "unseen".
    """

    name: str
    text: str
    split: str


def read_documents(data: Path) -> list[Document]:
    """Read every source below a folder.

    Args:
        data: The folder that holds ``public_domain_books``, ``wikitext2`` and ``tinystories``.

    Returns:
        The documents, in the order of the files.

    Raises:
        FileNotFoundError: When a source is missing.
    """
    return [
        *_books(data / "public_domain_books"),
        *_articles(data / "wikitext2"),
        *_stories(data / "tinystories"),
    ]


def _books(folder: Path) -> list[Document]:
    found = []
    files = sorted(folder.glob("*.txt.gz"))
    if not files:
        raise FileNotFoundError(f"no *.txt.gz in {folder}")
    for file in files:
        book = file.name.removesuffix(".txt.gz")
        lines = gzip.decompress(file.read_bytes()).decode("utf-8").split("\n")
        paragraphs = [_tidy(line) for line in lines if line.strip()]
        for start in range(0, len(paragraphs), _STRETCH):
            name = f"{book}/{start // _STRETCH}"
            split = "unseen" if book == UNSEEN_BOOK else split_of(name)
            found.append(Document(name, "\n\n".join(paragraphs[start : start + _STRETCH]), split))
    return found


def _only(folder: Path, pattern: str) -> Path:
    files = sorted(folder.glob(pattern))
    if len(files) != 1:
        raise FileNotFoundError(f"{len(files)} files {pattern} in {folder}; expected one")
    return files[0]


def _articles(folder: Path) -> list[Document]:
    file = _only(folder, "*.tokens")
    articles: list[list[str]] = []
    for line in file.read_text("utf-8").split("\n"):
        if re.fullmatch(r" = [^=]+ = ", line):
            articles.append([])
        paragraph = undo_tokens(line)
        if articles and paragraph and not line.startswith(" ="):
            articles[-1].append(paragraph)
    texts = ["\n\n".join(paragraphs) for paragraphs in articles if paragraphs]
    return [Document(f"wikitext2/{i}", text, split_of(f"wikitext2/{i}")) for i, text in enumerate(texts)]


def _stories(folder: Path) -> list[Document]:
    file = _only(folder, "*.json")
    stories = [_tidy(story) for story in json.loads(file.read_text("utf-8"))]
    return [
        Document(f"tinystories/{i}", text, split_of(f"tinystories/{i}")) for i, text in enumerate(stories)
    ]


def split_of(name: str) -> str:
    """Assign a document to a split by its name alone, the same on every machine.

    Args:
        name: The document's name.

    Returns:
        "train", "validation" or "test".
    """
    place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    if place < _SHARES["test"]:
        return "test"
    return "validation" if place < _SHARES["test"] + _SHARES["validation"] else "train"


def undo_tokens(line: str) -> str:
    """Write a line of WikiText as prose, without the sentences whose words were cut out.

    Args:
        line: Tokens with blanks between them.

    Returns:
        The prose; empty where no whole sentence is left.
    """
    sentences = re.split(r"(?<= [.!?]) (?=[A-Z\"])", line.strip())
    text = " ".join(sentence for sentence in sentences if "<unk>" not in sentence)
    text = re.sub(r" @([-.,])@ ", r"\1", text)
    text = re.sub(r" ([,.;:!?)\]%]|'s\b|n't\b|'(?:re|ve|ll|d|m)\b)", r"\1", text)
    text = re.sub(r"([(\[$£]) ", r"\1", text)
    text = re.sub(r'" ([^"]*?) "', r'"\1"', text)
    text = re.sub(r"(\w) ' (?=\w?\s|s\b)", r"\1' ", text)
    return _tidy(text)


def _tidy(text: str) -> str:
    """Plain quotes, no marks of emphasis, single blanks."""
    for old, new in (("“", '"'), ("”", '"'), ("’", "'"), ("‘", "'"), ("—", "--"), ("\ufeff", "")):
        text = text.replace(old, new)
    text = re.sub(r"_([^_\n]+)_", r"\1", text)
    return "\n".join(re.sub(r"[ \t\r]+", " ", line).strip() for line in text.split("\n")).strip()
