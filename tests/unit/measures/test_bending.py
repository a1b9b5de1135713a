"""The curvature of a map: known Hessians, the exact value by brute force, and why v must not be w."""

import numpy as np
import pytest
import torch

from msma.errors import ConfigError, ShapeError
from msma.maps import RidgeMap
from msma.maps.network import ResidualNetwork, smooth
from msma.measures.bending import map_curvature, second_derivative, squared_bending


def exact_squares(function, rows):
    """Squared Frobenius norm of the whole second derivative at each row, every entry computed."""
    found = []
    for row in rows:
        hessians = [
            torch.func.hessian(lambda x, k=k: function(x[None])[0, k])(row)
            for k in range(function(row[None]).shape[1])
        ]
        found.append(torch.stack(hessians).square().sum())
    return torch.stack(found)


def quadratic(matrices):
    """x -> (x^T M_k x / 2)_k, whose Hessians are the symmetric M_k everywhere."""
    return lambda x: 0.5 * torch.einsum("ni,kij,nj->nk", x, matrices, x)


@pytest.fixture
def matrices():
    drawn = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return drawn + drawn.mT


def covers(found, truth):
    # four standard errors: a seed that fails is a bug, not bad luck
    return abs(float(found.value) - truth) < 4.0 * found.standard_error + 1e-12


def test_a_quadratic_map_has_the_norm_of_its_hessian(matrices, rng):
    truth = float(matrices.square().sum())
    found = map_curvature(quadratic(matrices), rng.normal(size=(4000, 4)))
    assert covers(found, truth)
    assert found.standard_error < 0.03 * truth
    assert found.low < truth < found.high
    assert (found.n_samples, found.n_probes, found.is_relative) == (4000, 8, False)


def test_one_probe_for_both_directions_is_wrong(matrices):
    x = torch.zeros(20_000, 4, dtype=torch.float64)
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    same = second_derivative(quadratic(matrices), x, v, v).square().sum(dim=1)
    norm, traces = matrices.square().sum(), matrices.diagonal(dim1=1, dim2=2).sum(dim=1).square().sum()
    error = float(same.std()) / len(x) ** 0.5
    assert abs(float(same.mean() - (2 * norm + traces))) < 4 * error
    assert float(same.mean() - norm) > 20 * error


@pytest.mark.parametrize(("dimension", "radius"), [(1, 0.5), (3, 2.0), (6, 1.0)])
def test_the_sphere_chart(dimension, radius):
    def chart(u):
        return torch.cat([u, (radius**2 - u.square().sum(dim=1, keepdim=True)).sqrt()], dim=1)

    found = map_curvature(chart, np.zeros((20_000, dimension)), n_probes=1)
    assert covers(found, dimension / radius**2)


@pytest.mark.parametrize("d", [2, 3, 5])
def test_the_radial_map(d, rng):
    x = rng.normal(size=(3000, d))
    x *= 1.5 / np.linalg.norm(x, axis=1, keepdims=True)
    # at distance R: -r / R^2 for each of d - 1 tangent directions, and as much twice for each mixed with the radius
    truth = 3.0 * (d - 1) * 2.0**2 / 1.5**4
    found = map_curvature(lambda z: 2.0 * z / z.norm(dim=1, keepdim=True), x)
    assert covers(found, truth)
    exact = exact_squares(lambda z: 2.0 * z / z.norm(dim=1, keepdim=True), torch.from_numpy(x[:2]))
    np.testing.assert_allclose(exact, truth)
    # its second fundamental form along the sphere: normal curvature 1 / r in each of d - 1 directions
    point, along = torch.eye(d, dtype=torch.float64)[:1], torch.eye(d, dtype=torch.float64)[1:2]
    bent = second_derivative(lambda z: 2.0 * z / z.norm(dim=1, keepdim=True), 2.0 * point, along, along)
    assert bent[0, 0].item() == pytest.approx(-1.0 / 2.0)


@pytest.mark.slow
def test_unbiased_on_a_network():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)).double()
    rows = torch.randn(20, 3, dtype=torch.float64)
    exact = exact_squares(network, rows)
    drawn = squared_bending(network, rows, n_probes=1500, generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(drawn.detach(), exact.detach(), rtol=0.4)
    assert drawn.sum().item() == pytest.approx(exact.sum().item(), rel=0.06)


@pytest.mark.parametrize("is_relative", [False, True])
def test_affine_maps_do_not_bend(is_relative, rng):
    x = rng.normal(size=(60, 4))
    ridge = RidgeMap().fit(x, x @ rng.normal(size=(4, 3)) + 1.0)
    found = map_curvature(ridge, x, is_relative=is_relative)
    assert (found.value, found.standard_error, found.low, found.high) == (0.0, 0.0, 0.0, 0.0)


def test_relu_networks_hide_their_bending(rng):
    torch.manual_seed(0)
    relu = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)).double()
    assert map_curvature(relu, rng.normal(size=(50, 3))).value == 0.0


def test_relative_is_the_share_of_variance_and_knows_no_units(rng):
    # y = (x1, x2 + (x3^2 - 1) / sqrt 2): the second order brings a third of the variance
    x = rng.normal(size=(20_000, 3))

    def bend(z):
        return torch.stack([z[:, 0], z[:, 1] + (z[:, 2] ** 2 - 1.0) / 2**0.5], dim=1)

    found = map_curvature(bend, x, is_relative=True, n_probes=2)
    assert found.value == pytest.approx(1.0 / 3.0, rel=0.05)
    mixing = rng.normal(size=(3, 3)) * [1.0, 10.0, 100.0]
    back = torch.from_numpy(np.linalg.inv(mixing))
    elsewhere = map_curvature(lambda z: 7.0 * bend(z @ back) + 3.0, x @ mixing, is_relative=True, n_probes=2)
    assert elsewhere.value == pytest.approx(found.value, rel=0.1)


def test_the_gradient_reaches_the_parameters():
    scale = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)
    rows = torch.zeros(50, 2, dtype=torch.float64)
    found = map_curvature(lambda z: scale * z.square(), rows)
    found.value.backward()
    # quadratic in the scale: d/ds c s^2 = 2 c s
    assert scale.grad.item() == pytest.approx(2.0 * found.value.item() / 2.0)
    numbers = map_curvature(lambda z: scale * z.square(), rows.numpy())
    assert isinstance(numbers.value, float)


def test_chunks_precision_and_seeds(rng):
    x = rng.normal(size=(5000, 2))
    cube = map_curvature(lambda z: z**3, x, n_probes=1, seed=3)
    assert cube == map_curvature(lambda z: z**3, x, n_probes=1, seed=3)
    assert cube.value != map_curvature(lambda z: z**3, x, n_probes=1, seed=4).value
    network = ResidualNetwork(2, 2, width=4, depth=1)  # float32, as a module comes
    assert map_curvature(network, torch.zeros(5, 2)).value.dtype == torch.float32


def test_our_silu_is_theirs():
    rows = torch.linspace(-20, 20, 101, dtype=torch.float64)
    np.testing.assert_allclose(smooth(rows), torch.nn.functional.silu(rows), rtol=1e-14)


def test_refusals():
    with pytest.raises(ConfigError, match="n_probes=0 came"):
        map_curvature(lambda z: z, np.zeros((3, 2)), n_probes=0)
    with pytest.raises(ShapeError, match="at least 2"):
        map_curvature(lambda z: z, np.zeros((1, 2)))
    with pytest.raises(ShapeError, match="one row of the target a sample"):
        map_curvature(lambda z: z.sum(dim=0), np.zeros((3, 2)), is_relative=True)
    with pytest.raises(ShapeError, match="to one point"):
        map_curvature(lambda z: 0.0 * z, np.eye(3), is_relative=True)
