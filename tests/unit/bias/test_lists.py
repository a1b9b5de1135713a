"""Association tests as data: standard lists against the published files, sentences, readers, every fault told."""

import json
from types import SimpleNamespace

import pytest

from msma.bias.list_files import STANDARD_TESTS, read_association_tests, standard_tests
from msma.bias.lists import SIDES, AssociationTest, check_names, check_vocabulary
from msma.bias.sentence_templates import TEMPLATES, with_article
from msma.errors import ConfigError, CorpusError
from tiny import make_tokenizer

LISTS = {
    "targets_x": ["rose", "ant"],
    "targets_y": ["Ann", "Bob"],
    "attributes_a": ["joy", "fun"],
    "attributes_b": ["woe", "war"],
}


def make_test(**changes):
    return AssociationTest(**{"name": "demo", **LISTS, **changes})


def published(*, x=("rose", "tulip"), y=("ant", "bee"), a=("joy", "fun"), b=("woe", "war")):
    keys = ("targ1", "targ2", "attr1", "attr2")
    names = ("Flowers", "Insects", "Good", "Bad")
    return {
        k: {"category": n, "examples": list(v)} for k, n, v in zip(keys, names, (x, y, a, b), strict=True)
    }


def write(tmp_path, content, name="mine.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


# Standard tests


def test_standard_tests_have_the_published_sizes_sources_and_labels():
    tests = standard_tests()
    assert [test.name for test in tests] == list(STANDARD_TESTS)
    sizes = [tuple(len(words) for words in test.lists.values()) for test in tests]
    assert sizes == [
        (25, 25, 25, 25), (25, 25, 25, 25), (32, 32, 25, 25), (16, 16, 25, 25), (16, 16, 8, 8), (8, 8, 8, 8),
        (8, 8, 8, 8), (8, 8, 8, 8), (6, 6, 7, 7), (8, 8, 8, 8), (25, 25, 8, 8),
    ]  # fmt: skip
    assert all(test.source and "/" in test.label for test in tests)
    assert all(set(test.exceptions) <= set(test.words) for test in tests)


@pytest.mark.parametrize("number", range(1, 11))
def test_standard_words_are_the_published_ones(number, shared_dir):
    path = shared_dir / "data" / "seat_weat" / f"weat{number}.jsonl"
    if not path.is_file():
        pytest.skip("no published word lists beside this checkout")
    (theirs,), (ours,) = read_association_tests(path), standard_tests([f"weat{number}"])
    for side in SIDES:
        assert {word.lower() for word in ours.lists[side]} == {word.lower() for word in theirs.lists[side]}


@pytest.mark.parametrize("number", [1, 4, 6, 7, 10])
def test_published_sentences_are_brought_back_to_their_words(number, shared_dir):
    folder = shared_dir / "data" / "seat_weat"
    if not (folder / f"sent-weat{number}.jsonl").is_file():
        pytest.skip("no published sentences beside this checkout")
    (test,) = read_association_tests(folder / f"sent-weat{number}.jsonl")
    (plain,) = read_association_tests(folder / f"weat{number}.jsonl")
    record = json.loads((folder / f"sent-weat{number}.jsonl").read_text(encoding="utf-8"))
    singular = {"parents": "parent", "children": "child", "cousins": "cousin", "relatives": "relative",
                "equations": "equation", "numbers": "number"}  # fmt: skip
    for side, key in zip(SIDES, ("targ1", "targ2", "attr1", "attr2"), strict=True):
        texts = test.sentences(side).texts
        assert sorted(texts) == sorted(record[key]["examples"])
        words = {singular.get(word, word).lower() for word in plain.lists[side]} - {"hers"}
        assert {word.lower() for word in test.lists[side]} - {"hers"} == words


def test_a_standard_test_that_does_not_exist_is_told():
    with pytest.raises(ConfigError, match="'weat11' was asked for, which is unknown; did you mean 'weat1"):
        standard_tests(["weat11"])
    with pytest.raises(ConfigError, match="there are weat1, weat2"):
        standard_tests(["?"])


# Sentences


def test_kinds_choose_sentences_and_words_keep_theirs():
    test = make_test(kinds=("noun", "name", "mass", "word"), exceptions={"fun": "adjective"})
    x, y, a, b = (test.sentences(side) for side in SIDES)
    assert x.texts[0] == "I am thinking of a rose."
    assert x.texts[6] == "I am thinking of an ant."
    assert x.words == ("rose",) * 6 + ("ant",) * 6
    assert y.texts[1] == "They spoke about Ann."
    assert a.texts[5:7] == ("We heard about joy.", "I am thinking of something fun.")
    assert b.texts[0] == "I am thinking of the word woe."
    assert test.sentences("b", is_templated=False).texts == ("woe", "war")
    with pytest.raises(ConfigError, match="list 'z' was asked for; a test has x, y, a, b"):
        test.sentences("z")


def test_every_word_of_every_kind_gets_equally_many_sentences():
    assert {len(templates) for kind, templates in TEMPLATES.items() if kind != "sentence"} == {6}
    for test in standard_tests():
        for side in SIDES:
            sentences = test.sentences(side)
            assert len(sentences.texts) == 6 * len(test.lists[side])
            assert len(set(sentences.texts)) == len(sentences.texts)
            assert not any("{" in text for text in sentences.texts)


def test_templates_of_ones_own_begin_with_a_capital():
    test = make_test(templates={"word": ["{a word} is here.", "{word}"]})
    assert test.sentences("x").texts == ("A rose is here.", "rose", "An ant is here.", "ant")


def test_it_is_told_whether_both_targets_stand_in_the_same_sentences():
    assert make_test(kinds=("noun", "name", "mass", "mass")).is_matched  # articles apart
    assert not make_test(kinds=("noun", "adjective", "mass", "mass")).is_matched
    assert {test.name for test in standard_tests() if not test.is_matched} == {"weat9", "intelligence"}


def test_articles_go_by_sound():
    with_an = ("ant", "honest man", "heir", "uncle", "unimportant thing", "oboe", "umbrella", "hour", "Asian")
    with_a = ("rose", "union", "European", "user", "one-way street", "house", "uterus", "ukulele")
    assert all(with_article(word) == f"an {word}" for word in with_an)
    assert all(with_article(word) == f"a {word}" for word in with_a)


# Faults of a test


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets_x": ["rose"]}, "list 'X' of test 'demo' came with 1 words; expected at least 2"),
        ({"targets_y": []}, "list 'Y' of test 'demo' came with 0 words"),
        ({"targets_x": ["rose", "ant", "rose"]}, "list 'X' of test 'demo' came with 'rose' twice"),
        ({"attributes_a": ["joy", " "]}, "list 'A' of test 'demo' came with an empty word"),
        ({"targets_y": ["Ann", "rose"]}, "'rose' stands in both 'X' and 'Y' of test 'demo'"),
        ({"attributes_b": ["joy", "war"]}, "'joy' stands in both 'A' and 'B' of test 'demo'"),
        ({"targets_x": "rose"}, "'rose' as targets_x; expected a list of strings"),
        ({"targets_x": ["rose", 3]}, "expected a list of strings"),
        ({"names": ["X", "Y"]}, "came with 2 names; expected four"),
        ({"kinds": ["noun"]}, "came with 1 kinds; expected four"),
        (
            {"kinds": ["noun", "noun", "noun", "gerund"]},
            "words of kind 'gerund'; its templates know name, noun",
        ),
        ({"exceptions": {"joy": "gerund"}}, "words of kind 'gerund'"),
        ({"templates": {"word": ["no place."]}}, "came with 'no place.' as a template of 'word'"),
        ({"templates": {"word": "{word}"}}, "came with '{word}' as a template of 'word'; expected a list"),
        ({"templates": {"word": []}}, "as a template of 'word'"),
    ],
)
def test_a_faulty_test_is_told(changes, message):
    with pytest.raises(CorpusError) as caught:
        make_test(**changes)
    assert message in str(caught.value)


def test_a_word_may_be_target_and_attribute():
    assert make_test(attributes_a=["rose", "fun"]).words == ("rose", "ant", "Ann", "Bob", "fun", "woe", "war")


# Vocabulary


def test_words_that_a_tokenizer_does_not_know_are_named():
    known = make_test(
        targets_x=["river", "boat"], targets_y=["dog", "bird"], attributes_a=["spring", "winter"],
        attributes_b=["no", "every"],
    )  # fmt: skip
    check_vocabulary([known], make_tokenizer())
    with pytest.raises(
        CorpusError, match=r"test 'demo' has 7 of 8 words .* \(ant, Ann, Bob, joy, fun, woe, war\)"
    ):
        check_vocabulary([known, make_test()], make_tokenizer())
    many = make_test(targets_x=[f"word{i}" for i in range(12)])
    with pytest.raises(CorpusError, match=r"has 18 of 18 words .* and 10 more"):
        check_vocabulary([many], make_tokenizer())


def test_a_tokenizer_without_an_unknown_token_knows_every_word():
    check_vocabulary([make_test()], SimpleNamespace(unk_token_id=None))


# Readers


def test_json_with_our_names_is_read(tmp_path):
    record = {
        **LISTS,
        "name": "mine",
        "names": ["F", "P", "good", "bad"],
        "kinds": ["noun", "name", "mass", "mass"],
    }
    (test,) = read_association_tests(write(tmp_path, record))
    assert (test.name, test.label, test.targets_x) == ("mine", "F/P, good/bad", ("rose", "ant"))
    tests = read_association_tests(write(tmp_path, [record, {**LISTS, "label": "second"}]))
    assert [test.name for test in tests] == ["mine", "mine-2"]
    assert tests[1].label == "second"
    assert tests[1].kinds == ("word",) * 4


def test_the_published_layout_is_read_over_any_number_of_lines(tmp_path):
    text = json.dumps(published(), indent=2) + "\n\n" + json.dumps(published(x=("oak", "elm"))) + "\n"
    first, second = read_association_tests(write(tmp_path, text, "some.jsonl"))
    assert (first.name, second.name) == ("some-1", "some-2")
    assert first.label == "Flowers/Insects, Good/Bad"
    assert second.targets_x == ("oak", "elm")


def test_sentences_of_one_word_stay_together(tmp_path):
    record = published(
        x=("This is a lily.", "The lilies are here.", "That is a Rose.", "They are roses."),
        y=("This is Ann.", "Bob is there.", "The person's name is Bob."),
        a=("These are men.", "A man is here.", "This is a wolf.", "Wolves are there.", "Boxes are here.", "A box."),
        b=("This is her.", "It is hers.", "This is a knife.", "Those are knives."),
    )  # fmt: skip
    (test,) = read_association_tests(write(tmp_path, record, "sent.jsonl"))
    assert (test.targets_x, test.targets_y) == (("lily", "Rose"), ("Ann", "Bob"))
    assert (test.attributes_a, test.attributes_b) == (("men", "wolf", "Boxes"), ("her", "hers", "knife"))
    x = test.sentences("x")
    assert x.texts == ("This is a lily.", "The lilies are here.", "That is a Rose.", "They are roses.")
    assert x.words == ("lily", "lily", "Rose", "Rose")
    assert test.sentences("y", is_templated=False).texts == ("Ann", "Bob")
    assert test.is_matched


def test_sentences_whose_word_cannot_be_told_stand_for_themselves(tmp_path):
    long = "Ann runs the largest bakery in the whole old town."
    record = published(
        x=("This is it.", "That is there."), y=(long, "This is Bob."), a=("It is joy.", "It is fun."),
        b=("It is woe.", "It is war."),
    )  # fmt: skip
    (test,) = read_association_tests(write(tmp_path, record))
    assert test.targets_x == ("This is it.", "That is there.")
    assert test.targets_y == (long, "This is Bob.")
    assert test.attributes_a == ("joy", "fun")
    assert test.sentences("y").texts == (long, "This is Bob.")


def test_csv_is_read(tmp_path):
    rows = [
        ("x", "rose", "noun", "plants"),
        ("x", "ant", "noun", ""),
        ("Y", "Ann", "name", "people"),
        ("y", "Bob", "", ""),
    ]
    rows += [("a", "joy", "mass", ""), ("a", "fun", "", ""), ("b", "woe", "", ""), ("b", "war", "", "bad")]  # fmt: skip
    text = "\ufefftest,list,word,kind,category\n" + "\n".join(",".join(("one", *row)) for row in rows)
    (test,) = read_association_tests(write(tmp_path, text, "mine.CSV"))
    assert (test.name, test.names) == ("one", ("plants", "people", "A", "bad"))
    assert test.exceptions == {"rose": "noun", "ant": "noun", "Ann": "name", "joy": "mass"}
    assert test.sentences("x").texts[6] == "I am thinking of an ant."
    assert test.sentences("b").texts[0] == "I am thinking of the word woe."
    plain = "list,test,word\n" + "\n".join(f"{row[0]},{name},{row[1]}" for name in ("p", "q") for row in rows)
    assert [test.name for test in read_association_tests(write(tmp_path, plain, "two.csv"))] == ["p", "q"]


FAULTS = [
    ("mine.txt", "", "ends in '.txt'; association tests are read from .json, .jsonl and .csv"),
    ("mine.json", "", "holds no test"),
    ("mine.csv", "test,list,word\n", "holds no test"),
    ("mine.json", '{"a": 1,\n "b" 2}', "is not JSON (line 2: "),
    ("mine.json", "[3]", "holds int where a test was expected"),
    ("mine.json", {**LISTS, "target_x": []}, "has the key 'target_x', which is unknown; did you mean 'targets_x'?"),
    ("mine.json", {**LISTS, "zzz": []}, "has the key 'zzz', which is unknown; expected name, targets_x"),
    ("mine.json", {"targets_x": ["a", "b"]}, "has no 'targets_y'; a test needs targets_x, targets_y"),
    ("mine.json", {"targ1": {"category": "x", "examples": []}}, "has no 'targ2' with 'category' and 'examples'"),
    ("mine.json", {**published(), "attr1": ["joy"]}, "has no 'attr1' with 'category' and 'examples'"),
    ("mine.json", [{**LISTS, "name": "n"}] * 2, "two tests are called 'n'"),
    ("mine.csv", "", "has the columns none; expected test, list, word"),
    ("mine.csv", "test,list,words\n", "has the columns test, list, words; expected test, list, word"),
    ("mine.csv", "test,list,word,colour\n", "has the columns test, list, word, colour; expected"),
    ("mine.csv", "test,list,word\none,z,rose\n", "line 2 of "),
    ("mine.csv", "test,list,word\none,z,rose\n", "names list 'z'; expected one of x, y, a, b"),
    ("mine.csv", "test,list,word\none,x\n", "has not the 3 cells"),
    ("mine.csv", "test,list,word\none,x,rose,extra\n", "has not the 3 cells"),
    ("mine.csv", "test,list,word,kind\none,x,rose,noun\none,a,rose,name\n", "the kinds 'noun' and 'name'"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "message"), FAULTS)
def test_a_faulty_file_is_told(tmp_path, name, content, message):
    with pytest.raises(CorpusError) as caught:
        read_association_tests(write(tmp_path, content, name))
    assert message in str(caught.value)


def test_a_file_that_cannot_be_opened_is_told(tmp_path):
    with pytest.raises(CorpusError, match="is a folder; give one of the files in it"):
        read_association_tests(tmp_path)
    with pytest.raises(CorpusError, match="there is no file"):
        read_association_tests(tmp_path / "none.json")
    (tmp_path / "bad.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CorpusError, match=r"could not read .*bad\.json"):
        read_association_tests(tmp_path / "bad.json")


def test_two_tests_of_one_name_are_told():
    with pytest.raises(CorpusError, match="two tests are called 'demo'"):
        check_names([make_test(), make_test()])
