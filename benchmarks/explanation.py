"""Whether explanations of texts say what is so: on two models, on documents that nothing was fitted on.

Run: python benchmarks/explanation.py --only faithfulness --studies FOLDER. The two demonstration studies are made in
FOLDER (minutes) where they are not there yet. Occlusion costs one pass of the model a token, so a table takes minutes
a model on one core.
"""

import argparse
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from msma import Study, StudyConfig
from msma.corpora import split_sentences
from msma.explanation.attribution import N_STEPS
from msma.explanation.corpus import StudyCorpus
from msma.explanation.faithfulness import measure_faithfulness
from msma.explanation.reading import ScaleReader

#: The MiniLM and the decoder that come with the package: folder, model, unit.
STUDIES = (("encoder", "demo", "sentence"), ("decoder", "demo-decoder", "text"))


def open_study(folder, model, unit):
    """Open a study of the demonstration corpus, made first where it is not there yet."""
    if not (folder / "study.json").is_file():
        Study(StudyConfig(model=model, texts="demo", unit=unit), folder).run()
    corpus = StudyCorpus.open(folder)
    return corpus, ScaleReader(corpus.load_model(), corpus.states.origin, corpus.alignment.representation_)


def faithfulness_table(name, corpus, reader, options):
    """Yield one row a coordinate, method and scale; plain gradient times input is the gradient in one step."""
    chosen = corpus.whole_texts(corpus.splits.test, most=options.texts, seed=options.seed)
    documents = [document for document, _ in chosen]
    texts = [_first_sentences(text, options.sentences) for _, text in chosen]
    kinds = {"plain": (("gradient",), 1), "both": (("occlusion", "gradient"), N_STEPS)}
    for coordinate in options.coordinates:
        for kind in options.kinds:
            methods, n_steps = kinds[kind]
            begin = time.perf_counter()
            result = measure_faithfulness(
                reader,
                corpus,
                texts,
                documents=documents,
                coordinate=coordinate,
                methods=methods,
                n_draws=options.draws,
                n_steps=n_steps,
                seed=options.seed,
            )
            seconds = (time.perf_counter() - begin) / len(texts)
            for row in result.where(metric="faithfulness"):
                same = {"map": row.map, "target": row.target}
                agreement = result.where(metric="attribution_agreement", target=row.target).rows
                yield {
                    "study": name,
                    "coordinate": coordinate,
                    "method": "gradient x input" if n_steps == 1 else row.map,
                    "scale": row.target,
                    "texts": row.n,
                    "top deleted": _written(result.row("comprehensiveness", **same)),
                    "random deleted": _written(result.row("comprehensiveness_random", **same)),
                    "faithfulness": _written(row),
                    "agreement": _written(agreement[0]) if agreement else "–",
                    "s a text": f"{seconds:.1f}",
                }


def _first_sentences(text, n_sentences):
    borders = split_sentences(text)
    return text[: borders[min(n_sentences, len(borders)) - 1][1]]


def _written(row):
    return f"{row.value:.2f} ({row.low:.2f} to {row.high:.2f})"


TABLES = {"faithfulness": faithfulness_table}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=tuple(TABLES), help="one table; all when left out")
    parser.add_argument("--studies", type=Path, required=True, help="where the two studies are, or are made")
    parser.add_argument(
        "--models", nargs="+", default=[study[0] for study in STUDIES], help="of the two studies"
    )
    parser.add_argument("--texts", type=int, default=60, help="test documents a study, at most")
    parser.add_argument("--sentences", type=int, default=3, help="sentences of each document that are read")
    parser.add_argument("--coordinates", nargs="+", default=["own"], help="what is attributed")
    parser.add_argument("--kinds", nargs="+", default=["plain", "both"], choices=("plain", "both"))
    parser.add_argument("--draws", type=int, default=10, help="random orders a text")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for title, table in TABLES.items():
        if options.only in (None, title):
            print(f"\n{title}")
            head = None
            for folder, model, unit in STUDIES:
                if folder not in options.models:
                    continue
                corpus, reader = open_study(options.studies / folder, model, unit)
                for row in table(folder, corpus, reader, options):
                    if head is None:
                        head = tuple(row)
                        print(f"| {' | '.join(head)} |\n|{'---|' * len(head)}")
                    print(f"| {' | '.join(str(row[key]) for key in head)} |", flush=True)


if __name__ == "__main__":
    main()
