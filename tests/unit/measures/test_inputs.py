"""What comes into a measure, in every kind it may come."""

import numpy as np
import pytest
import torch

from msma.errors import ShapeError
from msma.measures._inputs import answer, centre, check_varies, check_width, to_pairs, to_tensor


def test_every_kind_of_number_becomes_float64(rng):
    x = rng.integers(0, 9, size=(5, 2))
    for given in (x, x.astype(np.float32), x.tolist(), torch.from_numpy(x), torch.from_numpy(x).bfloat16()):
        found = to_tensor(given, name="states")
        assert found.dtype == torch.float64
        assert found.tolist() == x.tolist()


def test_read_only_and_reversed_arrays_pass_without_a_warning(rng, tmp_path):
    x = rng.normal(size=(4, 3))
    np.save(tmp_path / "x.npy", x)
    assert to_tensor(np.load(tmp_path / "x.npy", mmap_mode="r"), name="states").tolist() == x.tolist()
    assert to_tensor(x[::-1], name="states").tolist() == x[::-1].tolist()


def test_gradients_pass_through():
    x = torch.ones(2, 2, requires_grad=True)
    to_tensor(x, name="states").sum().backward()
    assert x.grad.tolist() == [[1, 1], [1, 1]]


def test_answers_come_in_the_kind_that_came():
    value = torch.tensor(2.0).double()
    assert isinstance(answer(value, np.ones(1), np.ones(1)), float)
    assert answer(value, np.ones(1), torch.ones(1)) is value


def test_refusals():
    with pytest.raises(ShapeError, match="states came with shape"):
        to_tensor(torch.ones(3), name="states")
    with pytest.raises(ShapeError, match="source holds NaN"):
        to_pairs(torch.tensor([[np.nan]]), np.ones((1, 1)))
    with pytest.raises(ShapeError, match="3 samples and target with 2"):
        to_pairs(np.ones((3, 1)), np.ones((2, 1)))
    with pytest.raises(ShapeError, match="1 wide and target 2"):
        check_width(torch.ones(3, 1), torch.ones(3, 2))
    with pytest.raises(ShapeError, match=r"source is constant in column 1 \(1 of 2"):
        check_varies(torch.tensor([1.0, 0.0]), torch.zeros(2), name="source")
    with pytest.raises(ShapeError, match="all 3 samples of source are equal"):
        centre(torch.full((3, 2), 0.1), name="source")
