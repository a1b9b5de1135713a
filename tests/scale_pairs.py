"""States whose maps are known, and a map of three terms that is trained in milliseconds."""

import numpy as np
import torch

from msma.errors import TrainingError
from msma.maps import BaseMap, RidgeMap
from msma.scales import ScalePartition
from msma.states import HiddenStates

PARTITION = ScalePartition.thirds(3)
PAIR = ("global", "intermediate")


def bent_states(*, n=600, d=3, bend=0.6, noise=0.2, seed=0):
    """intermediate = rotated global + bend (global^2 - 1) + noise; local likewise, without the bend."""
    rng = np.random.default_rng(seed)
    turns = np.linalg.qr(rng.normal(size=(2, d, d)))[0]
    z = rng.normal(size=(n, d))
    y = z @ turns[0] + bend * (z**2 - 1) + noise * rng.normal(size=(n, d))
    local = y @ turns[1] + noise * rng.normal(size=(n, d))
    return HiddenStates.from_arrays(np.stack([local, y, z]), documents=[str(i // 3) for i in range(n)])


class FeatureMap(BaseMap):
    """Ridge on random features in place of training: geometry lets them in, information stirs the output."""

    kind = "features_for_tests"
    fits = 0

    def __init__(
        self,
        *,
        lambda_geo=1.0,
        lambda_info=0.1,
        lambda_curv=0.01,
        width=64,
        depth=2,
        estimator="infonce",
        learning_rate=1e-3,
        max_epochs=20,
        checkpoint=None,
        seed=0,
    ):
        self.lambda_geo = lambda_geo
        self.lambda_info = lambda_info
        self.lambda_curv = lambda_curv
        self.width = width
        self.depth = depth
        self.estimator = estimator
        self.learning_rate = learning_rate
        self.max_epochs = max_epochs
        self.checkpoint = checkpoint
        self.seed = seed

    def _fit_rows(self, X, y):
        type(self).fits += 1
        if self.learning_rate > 0.5:
            raise TrainingError("the training diverged; give a smaller learning_rate")
        base = RidgeMap().fit(X, y)
        rng = np.random.default_rng(self.seed)
        self.coef_, self.intercept_ = base.coef_, base.intercept_
        self.inner_ = rng.normal(size=(X.shape[1], self.width)) / np.sqrt(X.shape[1])
        self.shift_ = rng.normal(size=self.width)
        features = np.tanh(X @ self.inner_ + self.shift_)
        self.outer_ = np.zeros((self.width, y.shape[1]))
        if self.max_epochs and self.lambda_geo:
            penalty = 1e-2 + 10 * self.lambda_curv + 1e-3 / self.learning_rate + 3.0 / self.max_epochs
            gram = features.T @ features + penalty * np.eye(self.width)
            self.outer_ = np.linalg.solve(gram, features.T @ (y - X @ self.coef_ - self.intercept_))
        if self.max_epochs and self.lambda_info:
            self.outer_ = self.outer_ + 0.02 * self.lambda_info * rng.normal(size=self.outer_.shape)

    def _forward(self, X):
        return X @ self.coef_ + self.intercept_ + np.tanh(X @ self.inner_ + self.shift_) @ self.outer_

    def _forward_tensor(self, X):
        bent = torch.tanh(X @ X.new_tensor(self.inner_) + X.new_tensor(self.shift_)) @ X.new_tensor(
            self.outer_
        )
        return X @ X.new_tensor(self.coef_) + X.new_tensor(self.intercept_) + bent

    def _backward(self, X):
        raise NotImplementedError

    @property
    def _n_features_out(self):
        return self.coef_.shape[1]
