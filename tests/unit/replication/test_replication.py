"""A replication from end to end on a tiny model: run, stopped, gone on with, saved, drawn, told."""

import json

import pytest

from joint_inputs import LABELS, build, make_documents, small
from msma.errors import ConfigError, ShapeError, StorageError
from msma.plotting.replication import plot_collapse_course, plot_replication
from msma.replication import replication as module
from msma.replication.measurement import Key
from msma.replication.record import Cell, Replication
from msma.replication.replication import replicate
from process_launcher import launch

ARMS = ("baseline", "full")


def run(**options):
    network, tokenizer = build("gpt2")
    settings = {"arms": ARMS, "seeds": (0, 1), "config": small(epochs=1), "labels": LABELS, **options}
    documents = settings.pop("documents", make_documents(60))
    return replicate(settings.pop("model", network), documents, tokenizer=tokenizer, **settings)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("replication")


@pytest.fixture(scope="module")
def done(folder):
    return run(out=folder, tensorboard=False)


class TestWhatIsFound:
    def test_every_arm_and_seed_is_there(self, done):
        assert [(cell.arm, cell.seed) for cell in done.cells] == [(a, s) for a in ARMS for s in (0, 1)]
        assert (done.arms, done.seeds) == (ARMS, (0, 1))
        for cell in done.cells:
            assert set(cell.epochs) == {0, 1}
            assert set(cell.accuracies) == set(LABELS)
            assert cell.collapse.verdict == "none"

    def test_only_arms_with_alignment_have_maps_of_their_own(self, done):
        own = Key("cka", "global", "intermediate", "trained")
        assert own in done.by_arm()["full"][0].readings
        assert own not in done.by_arm()["baseline"][0].readings
        assert own not in done.before.readings

    def test_before_training_all_seeds_and_arms_are_alike(self, done):
        first = done.cells[0].epochs[0]
        assert all(cell.epochs[0] == first for cell in done.cells)
        measured = done.before.value("effective_rank", target="global")
        assert first["effective_rank"]["global"] == pytest.approx(measured, rel=1e-5)

    def test_rows_frame_and_sentences(self, done):
        result = done.to_result()
        assert result.row("effective_rank", map="before", target="global").value > 1.0
        assert result.row("cka_minus_baseline", map="full: none", source="global").null == 0.0
        assert result.provenance["findings"] == done.describe()
        frame = done.to_frame()
        assert set(frame["arm"]) == {"before", *ARMS}
        assert len(frame) == sum(len(c.after.readings) for c in done.cells) + len(done.before.readings)
        assert any("Due to alignment (full minus baseline)" in sentence for sentence in done.describe())

    def test_the_model_given_stays_as_it_is(self):
        network, _ = build("gpt2")
        before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        run(model=network, arms=("only_geo",), seeds=(0,), config=small(epochs=1, learning_rate=1e-2))
        assert all(tensor.equal(before[name]) for name, tensor in network.state_dict().items())

    def test_tuned_models_do_not_stay_unless_asked_for(self, done, folder):
        assert not (folder / "full-0" / "training").exists()
        assert (folder / "full-0" / "cell.json").is_file()


class TestGoingOn:
    def test_what_is_done_is_not_done_again(self, done, folder, monkeypatch):
        def refuse(*_, **__):
            raise AssertionError("trained again")

        monkeypatch.setattr(module, "train_jointly", refuse)
        monkeypatch.setattr(module, "measure_joint", refuse)
        assert run(out=folder) == done

    @pytest.mark.slow
    def test_stopped_on_the_way_it_goes_on_to_the_same_end(self, done, tmp_path, monkeypatch):
        real, asked = module.detect_collapse, []

        def stop_at_the_third(*args, **options):
            asked.append(1)
            if len(asked) == 3:
                raise InterruptedError
            return real(*args, **options)

        monkeypatch.setattr(module, "detect_collapse", stop_at_the_third)
        with pytest.raises(InterruptedError):
            run(out=tmp_path)
        assert sorted(path.parent.name for path in tmp_path.glob("*/cell.json")) == ["baseline-0", "full-0"]
        assert run(out=tmp_path).cells == done.cells

    def test_a_further_seed_trains_only_what_is_missing(self, done, folder, monkeypatch):
        asked = []
        real = module.train_jointly

        def watch(*args, **options):
            asked.append((options["arm"], options["config"].seed))
            return real(*args, **options)

        monkeypatch.setattr(module, "train_jointly", watch)
        more = run(out=folder, seeds=(0, 1, 2), arms=("baseline",))
        assert asked == [("baseline", 2)]
        assert more.by_arm()["baseline"][0] == done.by_arm()["baseline"][0]

    def test_other_settings_are_refused(self, done, folder):
        with pytest.raises(StorageError, match="epochs"):
            run(out=folder, config=small(epochs=2))

    def test_it_is_saved_and_loaded(self, done, tmp_path):
        done.save(tmp_path)
        assert Replication.load(tmp_path) == done

    @pytest.mark.parametrize("content", ["[]", "{}", '{"before": {}, "cells": []}'])
    def test_a_damaged_file_is_refused(self, tmp_path, content):
        (tmp_path / "replication.json").write_text(content)
        with pytest.raises(StorageError):
            Replication.load(tmp_path)

    def test_a_damaged_arm_is_refused(self, done):
        content = json.loads(json.dumps(done.cells[0].to_dict()))
        assert Cell.from_dict(content) == done.cells[0]
        del content["collapse"]["verdict"]
        with pytest.raises(StorageError, match="no arm of a replication came"):
            Cell.from_dict(content)

    def test_models_and_logs_stay_where_asked_for(self, tmp_path):
        pytest.importorskip("tensorboard", reason="pip install 'msma[replicate]'")
        run(out=tmp_path, arms=("only_geo",), seeds=(3,), keeps_models=True, tensorboard=True)
        assert list((tmp_path / "only_geo-3" / "tensorboard").glob("events*"))
        assert (tmp_path / "only_geo-3" / "training" / "arm.json").is_file()


class TestRefusals:
    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"arms": ("half",)}, "arm 'half' came"),
            ({"arms": ()}, "expected different ones"),
            ({"arms": ("full", "full")}, "expected different ones"),
            ({"seeds": ()}, "whole numbers from 0"),
            ({"seeds": (1, 1)}, "whole numbers from 0"),
            ({"seeds": (-1,)}, "whole numbers from 0"),
            ({"tensorboard": True}, "without a folder"),
        ],
    )
    def test_impossible_settings(self, options, words):
        with pytest.raises(ConfigError, match=words):
            run(**options)


class TestFigure:
    def test_each_quantity_and_each_scale_has_a_panel(self, done):
        panels = [panel for panel in done.plot().child_axes if panel.get_visible()]
        heads = [panel.get_title(loc="left") for panel in panels]
        assert heads[:2] == ["KL, diagonal", "KL, full"]
        assert heads[-3:] == [f"Rank, {scale}" for scale in LABELS]
        assert [label.get_text() for label in panels[0].get_yticklabels()] == ["before", "baseline", "full"]
        lines = panels[-1].get_lines()
        values = [cell.epochs[1]["effective_rank"]["global"] for cell in done.cells if cell.arm == "full"]
        assert list(lines[1].get_xdata()) == [0, 1]
        assert lines[1].get_ydata()[-1] == pytest.approx(sum(values) / 2)

    def test_another_course_can_be_drawn(self, done):
        courses = {arm: [dict(c.epochs) for c in done.cells if c.arm == arm] for arm in ARMS}
        panels = plot_collapse_course(courses, quantity="relative_spread").child_axes
        assert [panel.get_title(loc="left") for panel in panels] == ["Local", "Intermediate", "Global"]

    def test_nothing_to_draw_is_refused(self):
        with pytest.raises(ShapeError, match="0 rows of an arm"):
            plot_replication([], {})
        with pytest.raises(ShapeError, match="0 epochs"):
            plot_collapse_course({"full": [{}]})


def run_processes(out, n):
    launch("replication_processes.py", out, n)
    return Replication.load(out)


@pytest.mark.slow
def test_two_processes_find_what_one_finds_and_go_on(tmp_path):
    one, two = run_processes(tmp_path / "one", 1), run_processes(tmp_path / "two", 2)
    for mine, yours in zip(one.cells, two.cells, strict=True):
        assert (mine.arm, mine.seed, mine.collapse.verdict) == (yours.arm, yours.seed, yours.collapse.verdict)
        for key, reading in mine.after.readings.items():
            if key.metric in ("effective_rank", "cka", "kl_diagonal"):
                assert reading.value == pytest.approx(yours.after.readings[key].value, rel=1e-3)
    assert run_processes(tmp_path / "two", 2) == two
