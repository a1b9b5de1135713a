"""The certificate: a two-sided, readable bound on how far the mapped scale's law is from the target's."""

from msma.certificate.bounds import compose_errors, kl_upper_bound, resolution, wasserstein2_scores
from msma.certificate.floor import Floor, error_floor
from msma.certificate.limits import Limits, mean_limits
from msma.certificate.lipschitz import Stretch, measure_stretch
from msma.certificate.rate import distortion_rate, shannon_lower_bound
from msma.certificate.record import Certificate, CurvePoint
from msma.certificate.run import certify
from msma.certificate.smoothing import smoothed_gaussian_kl, smoothed_kl_lower_bound

__all__ = [
    "Certificate",
    "CurvePoint",
    "Floor",
    "Limits",
    "Stretch",
    "certify",
    "compose_errors",
    "distortion_rate",
    "error_floor",
    "kl_upper_bound",
    "mean_limits",
    "measure_stretch",
    "resolution",
    "shannon_lower_bound",
    "smoothed_gaussian_kl",
    "smoothed_kl_lower_bound",
    "wasserstein2_scores",
]
