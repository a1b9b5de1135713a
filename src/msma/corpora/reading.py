"""Read documents from a file, a dataset on the Hub, or Python: ``read_documents``."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msma.corpora.columns import Wanted, to_documents
from msma.corpora.documents import Corpus, Document
from msma.corpora.formats import Paragraphs, Row, open_rows
from msma.corpora.hub import is_hub_name, read_hub
from msma.errors import ConfigError, CorpusError

#: Longest path most file systems take.
_LONGEST_NAME = 4096


def read_documents(
    source: str | os.PathLike[str] | Iterable[str | Mapping[str, Any] | Document],
    *,
    column: str | None = None,
    id_column: str | None = None,
    label_columns: Sequence[str] = (),
    paragraphs: Paragraphs = "auto",
    split: str = "train",
    config: str | None = None,
    min_words: int = 1,
    max_documents: int | None = None,
) -> Corpus:
    """Read texts from a file, a dataset on the Hub, or anything in Python that can be iterated over.

    Files by their ending: .txt (also .text, .tokens), .jsonl, .json (a list), .csv, .tsv, each also .gz;
    .parquet (needs pyarrow). Texts are read as they are asked for; no file is ever held in memory whole. The
    first text is read at once, so that a mistake shows before any work is done.

    Args:
        source: Path of a file; name of a dataset on the Hub (needs ``datasets``); or an iterable of texts,
            of mappings or of documents. A string that is no file is taken for a Hub name if it can be one.
        column: Column of the texts. When left out: the only column of texts, or else the first of text,
            sentence, content, document, body, paragraph, story, review, article that there is.
        id_column: Column of the document each text belongs to; each text is its own, numbered, when left out.
        label_columns: Columns of labels: text, numbers or truth values, ``None`` where empty.
        paragraphs: What one text of a .txt file is: a "line"; the lines between two empty ones ("blank"); or
            "auto", which is "blank" when among the first 1,000 lines there are empty ones and most lines that
            another follows directly break off mid-sentence.
        split: Split of a Hub dataset.
        config: Configuration of a Hub dataset.
        min_words: Texts of fewer words are left out.
        max_documents: Texts read, at most.

    Returns:
        Documents that can be walked through more than once.

    Raises:
        CorpusError: When the source does not exist, is damaged or empty, or has no such column; the message
            names the path as given and the line.
        ConfigError: When a setting is impossible.
        MissingExtraError: When a file or dataset needs a package that is not installed.

    Examples:
        >>> corpus = read_documents([{"text": "It rains.", "mood": "low"}, {"text": "", "mood": "none"}],
        ...                         label_columns=["mood"])
        >>> [(document.id, document.text, dict(document.labels)) for document in corpus]
        [('0', 'It rains.', {'mood': 'low'})]
    """
    for name, value in (("min_words", min_words), ("max_documents", max_documents)):
        if value is not None and value < 1:
            raise ConfigError(f"{name} {value} came; expected 1 or more")
    if paragraphs not in ("auto", "line", "blank"):
        raise ConfigError(f"paragraphs '{paragraphs}' came; expected auto, line or blank")
    if isinstance(label_columns, str):
        label_columns = (label_columns,)
    shown, opener = _open_source(source, config=config, split=split, paragraphs=paragraphs)
    wanted = Wanted(shown, column, id_column, tuple(label_columns))

    def read() -> Iterator[Document]:
        n_read = n_kept = 0
        for document in to_documents(opener(wanted), wanted):
            n_read += 1
            if len(document.text.split(maxsplit=min_words)) < min_words:
                continue
            n_kept += 1
            yield document
            if n_kept == max_documents:
                return
        if n_kept == 0:
            rows = "1 row was" if n_read == 1 else f"{n_read} rows were"
            least = "a word" if min_words == 1 else f"{min_words} words"
            raise CorpusError(
                f"'{shown}' holds no text: {rows} read, none of at least {least}; give more texts"
            )

    corpus = Corpus(read, source=shown)
    corpus.peek()
    return corpus


def _open_source(
    source: Any, *, paragraphs: Paragraphs, split: str, config: str | None
) -> tuple[str, Callable[[Wanted], Iterator[Row]]]:
    """Tell what a source is: its name to show, and how its rows are opened."""
    if isinstance(source, str | os.PathLike):
        shown = os.fspath(source)
        if isinstance(shown, str) and not _is_file_name(source, shown):
            return shown, lambda wanted: read_hub(shown, config=config, split=split, labels=wanted.labels)
        if isinstance(shown, str):
            path = _expand(shown)
            return shown, lambda wanted: open_rows(path, paragraphs=paragraphs, select=wanted.select)
    kind = type(source).__name__
    if hasattr(source, "iloc") and hasattr(source, "columns"):
        raise CorpusError(f"a {kind} came, which iterates over its column names; give .to_dict('records')")
    if isinstance(source, bytes | Mapping | Document) or not isinstance(source, Iterable):
        raise CorpusError(f"a {kind} came; expected a path, the name of a Hub dataset, or a list of texts")
    shown = f"<{kind}>"
    if isinstance(source, Iterator):
        return shown, lambda wanted: _walk_once(source, shown)
    return shown, lambda wanted: ((f"item {n}", item) for n, item in enumerate(source, start=1))


def _expand(shown: str) -> Path:
    try:
        return Path(shown).expanduser()
    except RuntimeError as error:
        raise CorpusError(f"'{shown}' begins with the name of no user here; check the path") from error


def _is_file_name(source: str | os.PathLike[str], shown: str) -> bool:
    if len(shown) > _LONGEST_NAME or "\n" in shown:
        raise CorpusError(
            f"a string of {len(shown)} characters came ('{shown[:30].strip()}...'), which is no path; "
            "to read a text itself, put it in a list"
        )
    return isinstance(source, os.PathLike) or not is_hub_name(shown) or Path(shown).exists()


def _walk_once(items: Iterator[Any], shown: str) -> Iterator[Row]:
    """Number the items of an iterator, and say so when it has nothing more to give a second time."""
    number = 0
    for number, item in enumerate(items, start=1):
        yield f"item {number}", item
    if number == 0:
        raise CorpusError(
            f"the {shown} is empty, or was read before and gives its texts only once; give a list"
        )
