"""Distance correlation against dcor.

dcor compiles itself through numba when first imported, for half a minute and into a cache that two processes
must not write at once: so it is imported by one worker only, and not in the default suite.
"""

import pytest

from msma.measures import distance_correlation
from truths import informed_pair

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("dcor")]


@pytest.fixture(scope="module")
def dcor():
    return pytest.importorskip("dcor")


@pytest.mark.parametrize("shape", [(7, 3), (60, 5), (20, 200)])
def test_distance_correlation_is_dcors(dcor, rng, shape):
    x, y = rng.normal(size=shape), rng.normal(size=shape)
    y = y + x**2
    assert distance_correlation(x, y) == pytest.approx(dcor.u_distance_correlation_sqr(x, y), abs=1e-10)
    plain = dcor.distance_correlation(x, y)
    assert distance_correlation(x, y, debiased=False) == pytest.approx(plain, abs=1e-10)


def test_distance_correlation_is_dcors_over_many_blocks_far_from_the_origin(dcor, rng):
    x, y = (part + 50.0 for part in informed_pair(rng, 2500, 3, mi=0.5))
    assert distance_correlation(x, y) == pytest.approx(dcor.u_distance_correlation_sqr(x, y), abs=1e-10)
