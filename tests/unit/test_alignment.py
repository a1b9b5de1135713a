"""An alignment finds planted maps, remembers where it comes from and returns from disk as it was."""

import numpy as np
import pytest

from msma import alignment as module
from msma.alignment import Alignment
from msma.errors import OriginError, ScaleError, StorageError
from msma.maps import MAPS, ProcrustesMap, RidgeMap
from msma.scales import ScalePartition
from msma.states import HiddenStates, Origin

PARTITION = ScalePartition.thirds(6)


def planted(rng, *, n_samples=300, noise=0.0, fingerprint="", documents=None):
    """Global states, and intermediate and local ones turned from them; truths beside."""
    z = rng.normal(size=(n_samples, 5)) * np.arange(1, 6)
    first, second = np.linalg.qr(rng.normal(size=(2, 5, 5)))[0]
    scales = [z @ first @ second + 1, z @ first - 2, z]
    layers = [s + noise * rng.normal(size=s.shape) for s in scales for _ in range(2)]
    origin = Origin(model="planted", n_layers=6, d_model=5, fingerprint=fingerprint)
    states = HiddenStates.from_arrays(np.stack(layers), origin=origin, documents=documents)
    return states, first, second


def test_planted_rotations_are_recovered(rng):
    states, first, second = planted(rng)
    alignment = Alignment(ProcrustesMap()).fit(states, PARTITION)
    assert np.allclose(alignment.maps_["global", "intermediate"].coef_, first, atol=1e-5)
    assert np.allclose(alignment.maps_["intermediate", "local"].coef_, second, atol=1e-5)
    mapped = alignment.transform(states)
    assert set(mapped) == {("global", "intermediate"), ("intermediate", "local"), ("global", "local")}
    assert np.allclose(mapped["global", "local"], states.layer(0), atol=1e-4)


def test_encoding_direction(rng):
    states, *_ = planted(rng)
    pairs = (("local", "intermediate"), ("intermediate", "global"))
    mapped = Alignment(RidgeMap(alpha=1e-6), pairs=pairs).fit(states, PARTITION).transform(states)
    assert np.allclose(mapped["local", "global"], states.layer(5), atol=1e-3)


def test_twins_fitted_on_shuffled_pairs_know_nothing(rng):
    states, *_ = planted(rng, n_samples=2000)
    alignment = Alignment(RidgeMap(alpha=1.0)).fit(states, PARTITION)
    target = states.layer(5)
    null = alignment.transform(states, is_null=True)["global", "intermediate"]
    assert null.var(axis=0).sum() < 0.05 * target.var(axis=0).sum()


@pytest.mark.parametrize("kind", sorted(MAPS))
def test_streaming_fits_the_same_maps(rng, kind, monkeypatch):
    states, *_ = planted(rng, noise=0.3)
    map_ = MAPS[kind](alpha=1.0) if kind in ("ridge", "reduced_rank") else MAPS[kind]()
    whole = Alignment(map_, is_standardised=True).fit(states, PARTITION)
    monkeypatch.setattr(module, "_LARGEST_IN_MEMORY", 10)
    streamed = Alignment(map_, is_standardised=True).fit(states, PARTITION)
    for pair, mapped in whole.transform(states).items():
        assert np.allclose(mapped, streamed.transform(states)[pair], atol=1e-6)


@pytest.mark.parametrize("is_standardised", [False, True])
def test_save_and_load_bit_for_bit(rng, tmp_path, is_standardised):
    states, *_ = planted(rng, noise=0.3)
    alignment = Alignment(is_standardised=is_standardised).fit(states, PARTITION)
    loaded = Alignment.load(alignment.save(tmp_path / "a"))
    for is_null in (False, True):
        before, after = (a.transform(states, is_null=is_null) for a in (alignment, loaded))
        for pair in before:
            assert np.array_equal(before[pair], after[pair])
    assert loaded.partition_ == alignment.partition_
    assert loaded.origin_ == alignment.origin_
    assert loaded.maps_["global", "intermediate"].origin_["source_layers"] == [4, 5]
    for scale in ("local", "global"):
        assert np.array_equal(loaded.bases_[scale].directions, alignment.bases_[scale].directions)


def test_states_of_another_model_are_refused(rng):
    states, *_ = planted(rng, fingerprint="a")
    alignment = Alignment().fit(states, PARTITION)
    other, *_ = planted(rng, fingerprint="b")
    with pytest.raises(OriginError, match="model_fingerprint"):
        alignment.transform(other)
    wide = HiddenStates.from_arrays(
        rng.normal(size=(6, 20, 7)), origin=Origin(model="planted", n_layers=6, d_model=7, fingerprint="a")
    )
    with pytest.raises(OriginError, match="d_model 7"):
        alignment.transform(wide)


def test_errors_say_what_to_do(rng, tmp_path):
    states, *_ = planted(rng)
    with pytest.raises(OriginError, match=r"call fit\(states, scales\) first"):
        Alignment().transform(states)
    with pytest.raises(OriginError, match="no fitted maps"):
        Alignment().save(tmp_path)
    with pytest.raises(ScaleError, match="expected two different ones"):
        Alignment(pairs=[("global", "global")])
    with pytest.raises(ScaleError, match="expected two different ones"):
        Alignment(pairs=[("global", "middle")])
    with pytest.raises(StorageError, match="holds no alignment"):
        Alignment.load(tmp_path)
    folder = Alignment().fit(states, PARTITION).save(tmp_path / "a")
    (folder / "alignment.json").write_text('{"settings": {}}')
    with pytest.raises(StorageError, match="damaged alignment"):
        Alignment.load(folder)
    with pytest.raises(ScaleError, match="states of 6 layers"):
        Alignment().fit(states, ScalePartition.thirds(7))


def test_repr_tells_the_state(rng):
    states, *_ = planted(rng)
    assert "not fitted" in repr(Alignment())
    assert "not fitted" not in repr(Alignment().fit(states, PARTITION))


def test_hub_round_trip(rng, tmp_path, monkeypatch):
    import shutil

    pushed = tmp_path / "hub"

    class Api:
        def create_repo(self, repo_id, *, private, exist_ok):
            assert (repo_id, private, exist_ok) == ("you/msma", True, True)

        def upload_folder(self, *, repo_id, folder_path):
            shutil.copytree(folder_path, pushed)
            return f"https://hub/{repo_id}"

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda name, revision: str(pushed))
    states, *_ = planted(rng)
    alignment = Alignment().fit(states, PARTITION)
    assert alignment.push_to_hub("you/msma", private=True).endswith("you/msma")
    for loaded in (Alignment.from_pretrained("you/msma"), Alignment.from_pretrained(pushed)):
        pair = ("global", "local")
        assert np.array_equal(loaded.transform(states)[pair], alignment.transform(states)[pair])


def test_an_unreachable_hub_is_named(rng, monkeypatch):
    def refuse(*args, **kwargs):
        raise OSError("no connection\nand more")

    states, *_ = planted(rng)
    monkeypatch.setattr("huggingface_hub.HfApi.create_repo", refuse)
    with pytest.raises(StorageError, match=r"could not push to 'you/msma' \(no connection\)"):
        Alignment().fit(states, PARTITION).push_to_hub("you/msma")
    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(StorageError, match="neither a folder nor a repository"):
        Alignment.from_pretrained("you/absent")
