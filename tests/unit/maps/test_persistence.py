import json
import logging

import numpy as np
import pytest
from huggingface_hub import HfApi

from msma import __version__
from msma.errors import StorageError
from msma.maps import BaseMap, RidgeMap


@pytest.fixture
def fitted(rng):
    source = rng.normal(size=(20, 3))
    map_ = RidgeMap(alpha=2.0).fit(source, rng.normal(size=(20, 2)))
    map_.origin_ = {"model": "gpt2", "revision": None, "texts": "0f"}
    return map_


@pytest.fixture
def folder(fitted, tmp_path):
    return fitted.save(tmp_path / "map")


def edit(folder, **changes):
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (folder / "config.json").write_text(json.dumps(config))


def test_the_configuration_says_what_is_in_the_folder(folder):
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("weights_sha256")
    assert config == {
        "map": "ridge",
        "params": {"alpha": 2.0},
        "fitted": {"n_features_in_": 3, "alpha_": 2.0, "alpha_rule_": "given"},
        "origin": {"model": "gpt2", "revision": None, "texts": "0f"},
        "msma_version": __version__,
    }


def test_what_another_program_wrote_is_refused(folder):
    for content in (
        "[]",
        "{}",
        '{"map": "ridge", "params": 3, "fitted": {}, "origin": 0, "weights_sha256": 0}',
    ):
        (folder / "config.json").write_text(content)
        with pytest.raises(StorageError, match="is not a map's configuration"):
            BaseMap.load(folder)


def test_an_unknown_kind_is_refused_and_never_imported(folder):
    edit(folder, map="os.system")
    with pytest.raises(
        StorageError, match=r"kind 'os.system', saved by msma .* expected .*identity, .*transport"
    ):
        BaseMap.load(folder)


def test_weights_of_another_save_are_refused(folder):
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(StorageError, match="damaged or belongs to another save"):
        BaseMap.load(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(StorageError, match=name):
        BaseMap.load(folder)


def test_a_local_folder_is_loaded_as_the_class_it_was(fitted, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        assert fitted.save_pretrained(tmp_path) is None
        loaded = BaseMap.from_pretrained(str(tmp_path))
    assert type(loaded) is RidgeMap
    assert (loaded.coef_ == fitted.coef_).all()
    assert not caplog.records
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]


def test_the_card_tells_the_origin_and_is_not_overwritten(fitted, tmp_path):
    fitted.save_pretrained(tmp_path)
    card = (tmp_path / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: msma")
    assert "RidgeMap" in card
    assert "model gpt2, texts 0f" in card
    assert "3 -> 2 dimensions" in card
    (tmp_path / "README.md").write_text("mine")
    fitted.save_pretrained(tmp_path)
    assert (tmp_path / "README.md").read_text() == "mine"


def test_a_card_without_origin_says_so(fitted):
    fitted.origin_ = None
    assert "not recorded" in str(fitted.generate_model_card())


def test_pushing_uploads_the_three_files(fitted, tmp_path, monkeypatch):
    uploaded = {}

    class Repository:
        repo_id = "you/map"

    def upload(self, *, folder_path, repo_id, **options):
        uploaded[repo_id] = {path.name: path.read_bytes() for path in folder_path.iterdir()}
        return f"https://hub/{repo_id}"

    monkeypatch.setattr(HfApi, "create_repo", lambda self, **options: Repository())
    monkeypatch.setattr(HfApi, "upload_folder", upload)
    assert fitted.push_to_hub("you/map") == "https://hub/you/map"
    assert (
        fitted.save_pretrained(tmp_path / "a", repo_id="you/map", push_to_hub=True) == "https://hub/you/map"
    )
    assert set(uploaded["you/map"]) == {"README.md", "config.json", "model.safetensors"}
    for name, content in uploaded["you/map"].items():
        (tmp_path / name).write_bytes(content)
    assert (BaseMap.from_pretrained(tmp_path).coef_ == fitted.coef_).all()


def test_a_repository_is_downloaded(fitted, folder, monkeypatch):
    monkeypatch.setattr("msma.maps.persistence.snapshot_download", lambda name, **options: str(folder))
    assert (RidgeMap.from_pretrained("you/map").coef_ == fitted.coef_).all()


@pytest.mark.parametrize("name", ["you/nothing-of-that-name", "./no/such/folder"])
def test_what_is_neither_folder_nor_repository_is_refused(name, tmp_path):
    with pytest.raises(StorageError, match="neither a folder nor a repository"):
        BaseMap.from_pretrained(name, cache_dir=tmp_path, local_files_only=True)


def test_numpy_parameters_are_saved_as_numbers(rng, tmp_path):
    source = rng.normal(size=(20, 3))
    RidgeMap(alpha=np.float32(0.5)).fit(source, source).save(tmp_path)
    assert BaseMap.load(tmp_path).alpha == 0.5
