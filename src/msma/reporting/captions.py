"""Captions of a study's figures for papers: finding, n, seed, kind of interval, and what the marks mean."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from msma._version import __version__
from msma.plotting import COLUMN, PAGE
from msma.plotting.words import wording
from msma.reporting.caption_sources import Source, list_sources, name_split, span
from msma.reporting.latex import escape_latex
from msma.reporting.numbers import begin, join_words
from msma.reporting.reading import StudyRecord
from msma.reporting.titles import ABOUT, list_titles
from msma.results import Row
from msma.storage import write_text

#: What the rows' kinds of interval are called.
_KINDS = {
    "jackknife": "95 % delete-group jackknife over {over}",
    "bootstrap": "95 % bootstrap over {over}",
    "standard error": "95 % from the estimator's own standard error",
    "": "95 %, the rows do not say how",
}
#: What a row without a kind says in its note where its interval is no resampling.
_OWN_ERROR = "interval from its standard error"
#: Metrics named one by one where a figure mixes kinds of interval.
_MOST_NAMED = 4


class Caption(NamedTuple):
    """What stands below a figure in a paper.

    Args:
        finding: What it shows, as a sentence.
        about: What is drawn.
        sample: Samples and documents.
        seed: The seed, or seeds.
        interval: The kind of interval, and over what.
        marks: What null, floor and ceiling are, where they are drawn.
        origin: Model, texts and version.
    """

    finding: str
    about: str
    sample: str
    seed: str
    interval: str
    marks: str
    origin: str

    @property
    def text(self) -> str:
        """The whole caption as sentences."""
        known = [part for part in (self.sample, self.seed, self.interval) if part]
        facts = ". ".join(part if part.startswith("n =") else begin(part) for part in known)
        parts = (
            f"{self.finding.rstrip('.')}.",
            self.about,
            f"{facts}." if facts else "",
            self.marks,
            self.origin,
        )
        return " ".join(part for part in parts if part.strip("."))

    @property
    def facts(self) -> str:
        """Samples, seed and interval on one line, as under a figure of the report."""
        return " · ".join(part for part in (self.sample, self.seed, self.interval) if part)


def list_captions(record: StudyRecord, names: Iterable[str]) -> dict[str, Caption]:
    """Write the captions of figures; n, seed and kind of interval are read from the rows and the study.

    Args:
        record: A study.
        names: Names of its figures.

    Returns:
        Figure: its caption.
    """
    titles, sources = list_titles(record), list_sources(record)
    return {
        name: Caption(
            finding=titles.get(name, "") or ABOUT[name],
            about=ABOUT[name],
            sample=_tell_sample(record, sources.get(name, Source())),
            seed=_tell_seed(record, sources.get(name, Source())),
            interval=_tell_interval(sources.get(name, Source())),
            marks=_tell_marks(sources.get(name, Source())),
            origin=_tell_origin(record),
        )
        for name in names
    }


def write_captions(
    record: StudyRecord,
    names: Iterable[str],
    out: str | os.PathLike[str],
    *,
    widths: Mapping[str, float] | None = None,
) -> list[Path]:
    """Write captions beside figures: ``captions.md`` to read, ``captions.tex`` to include.

    Args:
        record: A study.
        names: Names of the figures that lie there.
        out: Their folder.
        widths: How wide each figure was drawn, in inches; 7 where nothing is said.

    Returns:
        The two files.

    Raises:
        StorageError: When a file cannot be written.
    """
    captions = list_captions(record, names)
    plain = "\n".join(f"## {name}\n\n{caption.text}\n" for name, caption in captions.items())
    inches = widths or {}
    floats = "\n".join(
        _float(name, caption, width=inches.get(name, PAGE)) for name, caption in captions.items()
    )
    return [
        write_text(Path(out) / "captions.md", f"# Captions\n\n{plain}"),
        write_text(Path(out) / "captions.tex", f"{_HEAD}\n{floats}"),
    ]


_HEAD = "% Needs \\usepackage{graphicx}, and \\graphicspath{{figures/}} with the folder of the figures.\n"


def _float(name: str, caption: Caption, *, width: float) -> str:
    """Write a float: across both columns where the figure is wider than one, and no larger than the page."""
    kind = "figure*" if width > COLUMN else "figure"
    # Its own size, but for a page that is narrower or too low for it and its caption; nothing is enlarged.
    size = f"width=\\ifdim{width:g}in>\\linewidth\\linewidth\\else{width:g}in\\fi"
    return (
        f"\\begin{{{kind}}}\n  \\centering\n"
        f"  \\includegraphics[{size},totalheight=0.65\\textheight,keepaspectratio]{{{name}.pdf}}\n"
        f"  \\caption{{{escape_latex(caption.text)}}}\n"
        f"  \\label{{fig:msma-{name}}}\n"
        f"\\end{{{kind}}}\n"
    )


def _tell_sample(record: StudyRecord, source: Source) -> str:
    """Say how many samples there are, of which split, and how many documents the study has."""
    known, unit = record.provenance, str(record.provenance.get("unit") or "text")
    if source.sample:
        return source.sample
    counts: dict[str, set[int]] = {}
    for row in source.rows:
        if row.n is not None:
            counts.setdefault(row.split if row.split in ("train", "validation", "test") else "", set()).add(
                row.n
            )
    if not counts:
        return ""
    told = [f"{span(found)} {name_split(split)}".rstrip() for split, found in sorted(counts.items())]
    total = known.get("n_documents")
    documents = f" (all splits together: {total:,} documents)" if isinstance(total, int) else ""
    return f"n = {join_words(told)} {unit}s{documents}"


def _tell_seed(record: StudyRecord, source: Source) -> str:
    seeds = source.provenance.get("seeds")
    if isinstance(seeds, (list, tuple)) and seeds:
        return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
    seed = source.provenance.get("seed", record.provenance.get("seed"))
    return "" if seed is None else f"seed {seed}"


def _tell_interval(source: Source) -> str:
    """Say how the intervals of the rows were made; where they were made in two ways, which is which."""
    kinds: dict[str, list[str]] = {}
    for row in source.rows:
        if row.low is not None:
            titles = kinds.setdefault(_kind_of(row), [])
            if (title := _name(row.metric)) not in titles:
                titles.append(title)
    if not kinds:
        return source.note or "no intervals"
    ordered = sorted(kinds, key=lambda kind: len(kinds[kind]))
    parts = []
    for number, kind in enumerate(ordered):
        own = "the others" if number and len(kinds[kind]) > _MOST_NAMED else join_words(kinds[kind])
        shared = f" for {own}" if len(kinds) > 1 else ""
        told = _KINDS.get(kind, f"95 % {kind} over {{over}}").format(over=source.over)
        parts.append(f"{told}{shared}")
    told = "; ".join(parts)
    head = "intervals: " if source.has_interval else "intervals, not drawn: "
    return f"{head}{told}" + (f"; {source.note}" if source.note else "")


def _kind_of(row: Row) -> str:
    return row.interval or ("standard error" if _OWN_ERROR in (row.note or "") else "")


def _name(metric: str) -> str:
    """Name a metric so that names can be listed: a comma within one becomes brackets."""
    title, *rest = wording(metric).title.split(", ", 1)
    return f"{title} ({rest[0]})" if rest else title


def _tell_marks(source: Source) -> str:
    drawn = {
        name: any(getattr(row, name) is not None for row in source.rows)
        for name in ("null", "floor", "ceiling")
    }
    told = [f"{name.capitalize()}: {words}." for name, words in source.marks.items() if drawn[name]]
    return " ".join(told)


def _tell_origin(record: StudyRecord) -> str:
    known = record.provenance
    revision = f", revision {known['revision']}" if known.get("revision") else ""
    model = f"Model {known.get('model') or record.config.get('model') or 'unknown'}{revision}"
    prints = [
        f"{what} {str(known[key])[:12]}"
        for what, key in (("fingerprint", "model_fingerprint"), ("texts", "texts_fingerprint"))
        if known.get(key)
    ]
    version = dict(known.get("versions") or {}).get("msma") or __version__
    return f"{', '.join((model, *prints))}; msma {version}."
