"""The published files are read as they are, and other files are refused in a sentence."""

import json
from collections import Counter

import pytest

from msma.bias.formats import (
    CrowsPair,
    StereoItem,
    WinoPair,
    differing_pronouns,
    read_crows,
    read_json_content,
    read_stereoset,
    read_stereoset_records,
    read_winobias,
)
from msma.errors import ConfigError, CorpusError, StorageError

ITEM = {
    "type": "intrasentence",
    "target": "cook",
    "bias_type": "profession",
    "context": "The cook was BLANK.",
    "stereotype": "The cook was fat.",
    "anti-stereotype": "The cook was thin.",
    "unrelated": "The cook was door.",
}


def official(kind="intrasentence", **changes):
    sentences = [
        {"sentence": "The cook was thin.", "id": "s2", "gold_label": "anti-stereotype"},
        {"sentence": "The cook was door.", "id": "s3", "gold_label": "unrelated"},
        {"sentence": "The cook was fat.", "id": "s1", "gold_label": "stereotype"},
    ]
    row = {
        "id": "i",
        "target": "cook",
        "bias_type": "profession",
        "context": ITEM["context"],
        "sentences": sentences,
    }
    return {"version": "1.1", "data": {kind: [{**row, **changes}]}}


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_crows_pairs_are_read_with_quotes_commas_and_letters_of_any_alphabet(tmp_path):
    path = write(
        tmp_path / "c.csv",
        ',sent_more,sent_less,stereo_antistereo,bias_type\n0,"A, ""é"" b",C,stereo,age\n1,D,E,antistereo,gender\n',
    )
    assert read_crows(path) == (
        CrowsPair('A, "é" b', "C", "stereo", "age"),
        CrowsPair("D", "E", "antistereo", "gender"),
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("sent_more,sent_less\na,b\n", "so no stereo_antistereo, bias_type"),
        (
            "sent_more,sent_less,stereo_antistereo,bias_type\na,b,up,age\n",
            "'up'; expected stereo or antistereo",
        ),
        ("sent_more,sent_less,stereo_antistereo,bias_type\na,,stereo,age\n", "no text in sent_less"),
        ("sent_more,sent_less,stereo_antistereo,bias_type\n", "holds no pair"),
        ("", "holds no pair"),
    ],
)
def test_a_file_that_is_not_crows_pairs_is_refused_with_its_name(tmp_path, content, said):
    path = write(tmp_path / "c.csv", content)
    with pytest.raises(CorpusError, match=said) as raised:
        read_crows(path)
    assert str(path) in str(raised.value)


def test_a_missing_file_is_an_error_of_storage(tmp_path):
    for read in (
        read_crows,
        read_stereoset,
        read_stereoset_records,
        lambda p: read_winobias(p, p, kind="type1"),
    ):
        with pytest.raises(StorageError, match="does not exist"):
            read(tmp_path / "none")
        with pytest.raises(StorageError, match="is not a file"):
            read(tmp_path)


def test_both_layouts_of_stereoset_give_the_same_items(tmp_path):
    expected = StereoItem(
        "intrasentence",
        "cook",
        "profession",
        ITEM["context"],
        "The cook was fat.",
        "The cook was thin.",
        "The cook was door.",
    )
    lines = write(tmp_path / "s.jsonl", json.dumps(ITEM) + "\n\n")
    one_line = write(tmp_path / "one.json", official())
    many_lines = write(tmp_path / "many.json", json.dumps(official(), indent=1))
    assert read_stereoset(lines) == read_stereoset(one_line) == read_stereoset(many_lines) == (expected,)
    assert read_stereoset_records(one_line)[0].ids == ("s1", "s2", "s3")
    assert expected.options == ("The cook was fat.", "The cook was thin.", "The cook was door.")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[1]", "expected StereoSet's layout"),
        ("{", "is not JSON"),
        ("", "holds no item"),
        (json.dumps({"version": 1, "data": {}}), "expected StereoSet's layout"),
        (json.dumps({"data": {"intrasentence": []}}), "holds no item"),
        (json.dumps(official(sentences=[])), "labelled nothing"),
        (json.dumps(official(target=None)), "no text in target"),
        (json.dumps(official(context="No gap.")), "no BLANK"),
        (json.dumps({**ITEM, "type": "other"}), "of type 'other'"),
        (json.dumps({**ITEM, "context": "No gap."}), "no BLANK"),
        (json.dumps({k: v for k, v in ITEM.items() if k != "unrelated"}), "so no unrelated"),
        (json.dumps(ITEM) + "\n{", "line 2"),
    ],
)
def test_a_file_that_is_not_stereoset_is_refused_with_its_name(tmp_path, content, said):
    path = write(tmp_path / "s.json", content)
    with pytest.raises(CorpusError, match=said) as raised:
        read_stereoset(path)
    assert str(path) in str(raised.value)


def test_winobias_loses_numbers_brackets_and_doubled_articles(tmp_path):
    pro = write(tmp_path / "pro_type1.txt", "1 [The cook] met the the chief because [he] ran.\n")
    anti = write(tmp_path / "anti_type1.txt", "1 [The cook] met the [the chief] because [she] ran.\n")
    expected = WinoPair(
        "The cook met the chief because he ran.", "The cook met the chief because she ran.", "type1", "cook"
    )
    assert read_winobias(pro, anti) == (expected,)
    assert read_winobias(pro, anti, kind="type2")[0].kind == "type2"


def test_lines_that_differ_in_more_than_pronouns_are_left_out_or_refused(tmp_path):
    good, said = "[The cook] slept because [he] was ill.", []
    pro = write(tmp_path / "pro_type2", "\n".join([good] * 20 + ["[He] ran home."]))
    anti = write(
        tmp_path / "anti_type2", "\n".join([good.replace("[he]", "[she]")] * 20 + ["[She] ran off."])
    )
    assert len(read_winobias(pro, anti, say=said.append)) == 20
    assert said == [
        "left out 1 of 21 lines of 'pro_type2', whose two sentences differ in more than their pronouns: 21"
    ]
    with pytest.raises(CorpusError, match="line 21 of"):
        read_winobias(pro, anti, is_strict=True)
    shifted = write(tmp_path / "shifted_type2", "\n".join(["[She] ran off.", *[good] * 20]))
    with pytest.raises(CorpusError, match="check that the files belong together"):
        read_winobias(pro, shifted)


def test_files_that_do_not_fit_together_are_refused(tmp_path):
    one, two = write(tmp_path / "a", "He ran.\n"), write(tmp_path / "b", "She ran.\nShe sat.\n")
    with pytest.raises(CorpusError, match=r"has 1 lines and .* 2"):
        read_winobias(one, two, kind="type1")
    with pytest.raises(ConfigError, match="neither type1 nor type2"):
        read_winobias(one, two)
    with pytest.raises(CorpusError, match="holds no line"):
        read_winobias(write(tmp_path / "c", "\n"), two, kind="type1")
    (tmp_path / "d").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(CorpusError, match="not text in UTF-8"):
        read_winobias(tmp_path / "d", two, kind="type1")
    with pytest.raises(CorpusError, match="not JSON in UTF-8"):
        read_json_content(tmp_path / "d")


def test_sentences_that_are_equal_or_of_other_length_have_no_differing_pronoun():
    assert differing_pronouns("He ran.", "He ran.") == []
    assert differing_pronouns("He ran.", "She ran off.") == []
    found = differing_pronouns("He saw his dog.", "She saw her dog.")
    assert found == [((0, 2), (0, 3)), ((7, 10), (8, 11))]


def test_the_published_files_hold_what_their_papers_say(shared_dir):
    pairs = read_crows(shared_dir / "data/crows_pairs/crows_pairs_anonymized.csv")
    assert Counter(pair.direction for pair in pairs) == {"stereo": 1290, "antistereo": 218}
    assert len({pair.bias_type for pair in pairs}) == 9
    items = read_stereoset(shared_dir / "data/stereoset/stereoset_dev.jsonl")
    assert Counter(item.kind for item in items) == {"intrasentence": 2106, "intersentence": 2123}
    folder = shared_dir / "data/winobias"
    kept = {
        f"{kind} {part}": len(
            read_winobias(
                folder / f"pro_stereotyped_{kind}.txt.{part}", folder / f"anti_stereotyped_{kind}.txt.{part}"
            )
        )
        for kind in ("type1", "type2")
        for part in ("dev", "test")
    }
    assert kept == {"type1 dev": 394, "type2 dev": 390, "type1 test": 391, "type2 test": 391}
