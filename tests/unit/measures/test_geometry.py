"""Spread, isotropy and norm of one cloud; and the transport between two."""

import numpy as np
import pytest
import torch

from msma.errors import ShapeError
from msma.measures.geometry import covariance_spectrum, isotropy, mean_norm, participation_ratio
from msma.measures.transport import wasserstein2_gaussian
from truths import shifted_pair


def test_spectrum_adds_up_to_the_variance(rng):
    x = rng.normal(size=(40, 5)) * [1, 2, 3, 4, 5] + 7
    spectrum = covariance_spectrum(x)
    assert (np.diff(spectrum) <= 0).all()
    assert spectrum.sum() == pytest.approx(x.var(axis=0, ddof=1).sum())
    assert covariance_spectrum(x[:3])[2:] == pytest.approx(np.zeros(3), abs=1e-9)
    assert isinstance(covariance_spectrum(torch.from_numpy(x)), torch.Tensor)


@pytest.mark.parametrize("heavy", [False, True])
def test_participation_ratio_is_right_with_fewer_samples_than_dimensions(rng, heavy):
    scale = np.sqrt(np.linspace(0.1, 2, 120))
    truth = (scale**2).sum() ** 2 / (scale**4).sum()
    draw = (lambda: rng.standard_t(8, size=(60, 120)) * np.sqrt(6 / 8)) if heavy else rng.standard_normal
    clouds = [(draw() if heavy else draw((60, 120))) * scale for _ in range(200)]
    values = [participation_ratio(cloud) for cloud in clouds]
    assert np.mean(values) == pytest.approx(truth, rel=0.02)
    assert np.mean([participation_ratio(cloud, corrected=False) for cloud in clouds]) < 0.5 * truth


def test_isotropy_ignores_mean_rotation_and_scale(rng):
    x = rng.normal(size=(200, 6))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    assert isotropy(5 * x @ turn + 100) == pytest.approx(isotropy(x), abs=1e-9)
    assert isotropy(x) == pytest.approx(1, abs=0.05)
    assert isotropy(x * [100, 1, 1, 1, 1, 1]) == pytest.approx(0, abs=0.01)


def test_mean_norm_keeps_the_mean(rng):
    assert mean_norm(np.full((5, 4), 3.0)) == 6


@pytest.mark.parametrize("measure", [participation_ratio, isotropy, mean_norm, covariance_spectrum])
def test_gradients_are_right(rng, measure):
    x = torch.tensor(rng.normal(size=(12, 3)) * [1, 2, 3], requires_grad=True)
    assert torch.autograd.gradcheck(measure, (x,))


def test_refusals(rng):
    with pytest.raises(ShapeError, match="at least 2"):
        covariance_spectrum(rng.normal(size=(1, 3)))
    with pytest.raises(ShapeError, match="at least 4"):
        participation_ratio(rng.normal(size=(3, 3)))
    with pytest.raises(ShapeError, match="all 9 samples of states are equal"):
        participation_ratio(np.full((9, 3), 0.1))
    with pytest.raises(ShapeError, match="unbiased trace"):
        participation_ratio(np.eye(4))
    with pytest.raises(ShapeError, match="1 wide"):
        isotropy(rng.normal(size=(9, 1)))


def test_transport_of_shift_and_scale_is_known(rng):
    x = rng.normal(size=(50, 3))
    x -= x.mean(axis=0)
    spread = x.var(axis=0, ddof=1).sum()
    assert wasserstein2_gaussian(x, x) == pytest.approx(0, abs=1e-6)
    assert wasserstein2_gaussian(x, 3 * x) == pytest.approx(2 * np.sqrt(spread))
    assert wasserstein2_gaussian(x, 3 * x + [1, 2, 2]) == pytest.approx(np.sqrt(9 + 4 * spread))


def test_transport_takes_singular_covariances_and_unequal_numbers(rng):
    x, y = rng.normal(size=(5, 20)), rng.normal(size=(9, 20))
    assert wasserstein2_gaussian(x, y) == pytest.approx(wasserstein2_gaussian(y, x))
    flat = x * (np.arange(20) < 3)
    assert wasserstein2_gaussian(flat, flat + 1) == pytest.approx(np.sqrt(20))


def test_transport_gradients_and_refusals(rng):
    x, y = (torch.tensor(part, requires_grad=True) for part in shifted_pair(rng, 10, 3, kl=1.0, n_target=12))
    assert torch.autograd.gradcheck(wasserstein2_gaussian, (x, y))
    assert isinstance(wasserstein2_gaussian(x, y), torch.Tensor)
    with pytest.raises(ShapeError, match="3 wide and target 2"):
        wasserstein2_gaussian(x, y[:, :2])
    with pytest.raises(ShapeError, match="at least 2"):
        wasserstein2_gaussian(x[:1], y)
