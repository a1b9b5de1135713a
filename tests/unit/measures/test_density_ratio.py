"""The classifier's bound: below the truth, above nothing, and never scored by what it was fitted on."""

import numpy as np
import pytest
import torch

from msma.errors import ShapeError
from msma.measures.density_ratio import classifier_kl_bound
from truths import DependentLaw, independent_pair, shifted_pair


def test_reads_a_shift_nearly_in_full(rng):
    x, y = shifted_pair(rng, 2000, 5, kl=1.0)
    assert 0.8 < classifier_kl_bound(x, y) < 1.1


def test_reads_a_scale_which_linear_logits_cannot(rng):
    x, y = independent_pair(rng, 2000, 4)
    truth = 4 * 0.5 * (0.25 - 1 - np.log(0.25))
    assert 0.7 * truth < classifier_kl_bound(0.5 * x, y) < 1.05 * truth


def test_reads_what_is_not_gaussian(rng):
    # A law with mean 0 and variance 1 that no Gaussian fit tells from the target.
    signs = rng.choice([-1.0, 1.0], size=(2000, 1))
    x, y = 0.9 * signs + np.sqrt(1 - 0.81) * rng.normal(size=(2000, 1)), rng.normal(size=(2000, 1))
    assert classifier_kl_bound(x, y) > 0.1


def test_equal_laws_read_about_zero_and_are_not_clipped(rng):
    values = [classifier_kl_bound(*independent_pair(rng, 200, 10), seed=i) for i in range(6)]
    assert abs(np.mean(values)) < 0.2
    assert min(values) < 0


def test_pairs_of_equal_laws_read_about_zero(rng):
    law = DependentLaw(rng, 6, correlation=0.99)
    _, y = law.sample(rng, 1000)
    assert abs(classifier_kl_bound(y + 1e-3 * rng.normal(size=y.shape), y)) < 0.05


def test_unequal_numbers_of_samples(rng):
    x, y = shifted_pair(rng, 1500, 3, kl=0.5, n_target=700)
    assert 0.3 < classifier_kl_bound(x, y) < 0.65


def test_documents_stay_in_one_fold(rng):
    # 30 documents of 20 near-copies: folds that cut through documents would learn them by heart.
    centres = rng.normal(size=(2, 30, 30))
    x, y = (np.repeat(part, 20, axis=0) + 0.01 * rng.normal(size=(600, 30)) for part in centres)
    kept_apart = classifier_kl_bound(x, y, groups=np.repeat(np.arange(30), 20))
    assert classifier_kl_bound(x, y) > 0.3
    assert kept_apart < 0.1


def test_same_seed_same_answer_and_tensors_give_tensors(rng):
    x, y = shifted_pair(rng, 100, 3, kl=0.5)
    found = classifier_kl_bound(torch.from_numpy(x), torch.from_numpy(y))
    assert isinstance(found, torch.Tensor)
    assert float(found) == classifier_kl_bound(x, y)


def test_refusals(rng):
    x, y = shifted_pair(rng, 60, 3, kl=0.5)
    with pytest.raises(ShapeError, match="at least 25"):
        classifier_kl_bound(x[:24], y)
    with pytest.raises(ShapeError, match="source is 3 wide and target 2"):
        classifier_kl_bound(x, y[:, :2])
    with pytest.raises(ShapeError, match="expected pairs"):
        classifier_kl_bound(x, y[:50], groups=np.arange(60))
    with pytest.raises(ShapeError, match="at least 10 groups"):
        classifier_kl_bound(x, y, groups=np.zeros(60))
    with pytest.raises(ShapeError, match="constant and equal"):
        classifier_kl_bound(np.ones((30, 2)), np.ones((30, 2)))
