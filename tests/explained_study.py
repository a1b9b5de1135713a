"""A small finished study to explain texts against, and an explanation made by hand."""

from msma.configuration import StudyConfig
from msma.explanation.corpus import StudyCorpus
from msma.explanation.reading import ScaleReader
from msma.explanation.record import (
    Attribution,
    Decoding,
    Departure,
    Explanation,
    LabelShare,
    Neighbour,
    Piece,
    Place,
)
from msma.study import Study
from study_inputs import save_model, write_texts

SCALES = ("local", "intermediate", "global")
HOSTILE = "<b>rain</b> & snow."


def make_study(folder, *, family="gpt2", loaded=None, unit="text", **settings):
    """Run a study of a tiny model, a family's or one that is loaded with its head, on texts of two topics."""
    if loaded is None:
        save_model(family, folder / "model")
    else:
        loaded.network.save_pretrained(folder / "model")
        loaded.tokenizer.save_pretrained(folder / "model")
    texts = write_texts(folder / "texts.jsonl")
    config = StudyConfig(
        model=str(folder / "model"),
        texts=str(texts),
        column="text",
        id_column="id",
        label_columns=("topic",),
        unit=unit,
        scales="thirds",
        attention_texts=0,
        maps=("ridge",),
        **settings,
    )
    study = Study(config, folder / "study")
    study.run()
    return study


def open_parts(study):
    """Open a study and what reads texts as it did."""
    corpus = StudyCorpus.open(study.folder)
    return corpus, ScaleReader(corpus.load_model(), corpus.states.origin, corpus.alignment.representation_)


def make_explanation():
    """Two sentences, with numbers that are easily told apart."""
    text = f"Snow fell. {HOSTILE}"
    words = ["Snow", "fell", ".", "<", "b", ">", "rain", "</", "b", ">", "&", "snow", "."]
    tokens, here = [], 0
    for number, word in enumerate(words):
        start = text.index(word, here)
        here = start + len(word)
        tokens.append(Piece(text=word, start=start, end=here, sentence=int(number >= 3)))
    near = Neighbour(text=HOSTILE, document="d1", similarity=0.5, labels={"topic": "first"})
    label = LabelShare(column="topic", value="first", share=0.9, base=0.5)
    scores = tuple(float(k - 6) for k in range(len(words)))
    return Explanation(
        text=text,
        tokens=tuple(tokens),
        sentences=(
            Piece(text="Snow fell.", start=0, end=10),
            Piece(text=HOSTILE, start=11, end=len(text), sentence=1),
        ),
        places=tuple(
            Place(
                scale=scale,
                texts=(near,),
                sentences=(near,),
                distance=3.0 + k,
                p_value=(0.5, 0.02, 0.9)[k],
                position=(0.25, -1.0),
                labels=(label,),
            )
            for k, scale in enumerate(SCALES)
        ),
        attributions=tuple(
            Attribution(
                scale=scale,
                method="occlusion",
                direction="own",
                coordinate=1.5,
                scores=scores,
                comprehensiveness=2.0,
                random=0.25,
                p_value=(0.01, 0.4, 0.03)[k],
            )
            for k, scale in enumerate(SCALES)
        ),
        decodings=(
            Decoding(
                path=("global", "intermediate"),
                method="lens",
                words=(("rain", 2.5), ("snow", 1.0)),
                auc=0.8,
                control=0.5,
                p_value=0.02,
            ),
        ),
        departures=(
            Departure(
                pair=("global", "local"),
                sentence_scores=(1.0, 9.0),
                sentence_p_values=(0.6, 0.01),
                token_scores=scores,
                token_p_values=tuple(0.5 for _ in words),
            ),
            Departure(
                pair=("global", "intermediate"),
                sentence_scores=(1.0, 2.0),
                sentence_p_values=(0.6, 0.04),
                token_scores=scores,
                token_p_values=tuple(0.5 for _ in words),
            ),
        ),
        provenance={"model": "gpt2", "scales": "0-2|3-8|9-12", "seed": 0},
    )
