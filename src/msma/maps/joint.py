"""The learned map: a closed form plus a small smooth network, trained on geometry, information and curvature."""

import os
from typing import Any, NoReturn, Self

import numpy as np
import scipy.linalg
from jaxtyping import Float
from sklearn.utils.validation import check_is_fitted

from msma.errors import ConfigError
from msma.linalg import as_numpy
from msma.maps.base import BaseMap
from msma.maps.frames import Frame, best_base, refit_base
from msma.maps.holdout import Holdout, check_validation, split_holdout
from msma.maps.inputs import check_training, is_tensor, precise, restore_dtype, restore_tensor
from msma.maps.linear import INVERSE_RTOL, LinearMap
from msma.maps.preimage import refine_preimage
from msma.maps.settings import check_settings, make_base
from msma.moments import CrossMoments

_Rows = Float[np.ndarray, "samples d_source"]
_Targets = Float[np.ndarray, "samples d_target"]
_Pair = tuple[_Rows, _Targets]

#: Rows sent through the network together.
_CHUNK = 8192
#: A base that leaves less than this share of the target's spread leaves nothing to learn.
_EXACT = 1e-6


class JointMap(BaseMap):
    r"""Start at a closed-form map and learn what it misses, without bending more than pays.

    .. math:: f(x) = \mathrm{base}(x) + \mathrm{network}(x - \bar x)

    minimising :math:`L = \lambda_{geo}L_{geo} + \lambda_{info}L_{info} + \lambda_{curv}L_{curv}` (see
    ``docs/joint-map.md``): the squared error over the target's variance and the stress of pairwise distances;
    minus a lower bound on I(f(x); y) under a critic trained along; and the share of the variance that the map's
    second derivative brings. The network is zero at the start, so that training begins at the base; it ends
    where the objective of held-out documents is lowest, which may be the base itself. The base is then fitted
    again on all rows, the held-out ones included.

    Where the samples do not suffice to hold any out, or the base fits exactly, the base stands alone and
    ``note_`` says so. ``inverse_transform`` gives an approximate pre-image: the base's pseudo-inverse, refined
    by fixed-point steps of which only those that lower the error are taken.

    Args:
        lambda_geo: Weight of geometry.
        lambda_info: Weight of information, a nat against a share of variance.
        lambda_curv: Weight of curvature.
        isometry: Weight of the distances' stress within geometry.
        beta: Weight of the rate within information, for a stochastic map.
        base: A closed-form map, its name, "best" for the best of them on held-out rows; ridge when left out.
        width: Width of the hidden layers.
        depth: Number of hidden layers.
        estimator: Lower bound on information: "infonce", "nwj", "smile", "mine".
        is_stochastic: Whether to learn a variance beside the mean (variational bottleneck). ``transform`` gives
            the mean; :meth:`sample` draws.
        learning_rate: Highest learning rate.
        weight_decay: Decoupled decay of the weights.
        batch_size: Pairs a step at most; fewer, from 32 up, where an epoch would else have under 64 steps.
        max_epochs: Passes over the pairs at most.
        patience: Epochs without improvement before stopping.
        validation_fraction: Share of the rows held out to stop by.
        device: "auto" (a GPU where there is one), "cpu", "cuda", "mps".
        checkpoint: Folder in which every epoch is kept, so that an interrupted fit goes on there, bit for bit.
        seed: Fixes everything that is drawn.

    Fitted attributes: ``coef_``, ``intercept_`` (the linear part), ``mean_source_``, ``layer0_weight_``,
    ``layer0_bias_``, ... (the network), ``n_layers_``, ``base_kind_``, ``history_`` (one line an epoch),
    ``n_epochs_``, ``best_epoch_`` (0: the base), ``gain_on_validation_`` (R2 over the base's, on held-out rows),
    ``n_directions_`` (leading directions of the source that the network sees), ``n_validation_``, ``note_``.

    Examples:
        >>> x = np.random.default_rng(0).normal(size=(400, 2))
        >>> y = np.column_stack([x[:, 0], x[:, 1] + x[:, 0] ** 2])
        >>> fitted = JointMap(width=32, lambda_info=0.0, learning_rate=0.01).fit(x, y)
        >>> bool(fitted.gain_on_validation_ > 0.3)
        True
    """

    kind = "joint"

    coef_: Float[np.ndarray, "d_source d_target"]
    intercept_: Float[np.ndarray, " d_target"]

    def __init__(
        self,
        *,
        lambda_geo: float = 1.0,
        lambda_info: float = 0.01,
        lambda_curv: float = 0.01,
        isometry: float = 0.1,
        beta: float = 1e-3,
        base: BaseMap | str | None = None,
        width: int = 256,
        depth: int = 2,
        estimator: str = "infonce",
        is_stochastic: bool = False,
        learning_rate: float = 2e-3,
        weight_decay: float = 0.01,
        batch_size: int = 512,
        max_epochs: int = 12,
        patience: int = 4,
        validation_fraction: float = 0.1,
        device: str = "auto",
        checkpoint: str | os.PathLike[str] | None = None,
        seed: int = 0,
    ) -> None:
        self.lambda_geo = lambda_geo
        self.lambda_info = lambda_info
        self.lambda_curv = lambda_curv
        self.isometry = isometry
        self.beta = beta
        self.base = base
        self.width = width
        self.depth = depth
        self.estimator = estimator
        self.is_stochastic = is_stochastic
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.device = device
        self.checkpoint = checkpoint
        self.seed = seed

    def fit(self, X: Any, y: Any, *, groups: Any = None, validation: Any = None, report: Any = None) -> Self:
        """Fit on paired samples.

        Args:
            X: Source samples in rows, (samples, d_source): numpy, torch, data frame or nested sequence.
            y: Target samples, (samples, d_target); row i belongs to row i of X.
            groups: The document of each row: whole documents are held out to stop by.
            validation: Pairs (source, target) to stop by instead; then all rows of X are trained on.
            report: Called after each epoch with its line of the history, a dict; what it raises ends the
                training (pruning).

        Returns:
            Itself.

        Raises:
            ShapeError: When samples, documents or validation pairs cannot be used together.
            ConfigError: When a setting is impossible, or the checkpoint belongs to another fit.
            TrainingError: When the training diverges.
        """
        check_settings(self)
        rows, targets = check_training(self, X, y)
        self._forget()
        if validation is None:
            parts = split_holdout(rows, groups=groups, fraction=self.validation_fraction, seed=self.seed)
            held_out = rows[parts.validation], targets[parts.validation]
        else:
            parts = Holdout(np.arange(len(rows)), np.arange(0), "")
            held_out = check_validation(validation, rows, d_target=targets.shape[1])
        self._fit_parts(rows, targets, parts, held_out, groups=groups, report=report)
        return self

    def fit_moments(self, moments: Any) -> NoReturn:
        """Refuse: a learned map needs the rows themselves.

        Args:
            moments: Not used.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "moments came; JointMap learns from rows, which moments do not hold: use fit(X, y), or RidgeMap"
        )

    def _forget(self) -> None:
        """Drop every fitted attribute, so that a fit that fails leaves no half of another behind."""
        kept = {"n_features_in_", "feature_names_in_"}
        for name in [name for name in vars(self) if name.endswith("_") and name not in kept]:
            del self.__dict__[name]

    def _fit_rows(self, X: _Rows, y: _Targets) -> None:
        self.fit(X, y)

    def _fit_parts(
        self, X: _Rows, y: _Targets, parts: Holdout, held_out: _Pair, *, groups: Any, report: Any
    ) -> None:
        learned, note, has_held_out = None, parts.note, len(held_out[0]) > 0
        cross = CrossMoments.from_batch(X[parts.train], y[parts.train])
        base = best_base(
            make_base(self.base),
            X[parts.train],
            y[parts.train],
            documents=None if groups is None else as_numpy(groups)[parts.train],
            held_out=held_out if has_held_out else None,
        )
        frame = Frame.from_moments(cross)
        if has_held_out:
            learned, exact = self._learn(frame, base, (X[parts.train], y[parts.train]), held_out, report)
            note = "; ".join(part for part in (note, exact) if part)
        if len(parts.validation):  # all rows, now that nothing is left to be chosen by the held-out ones
            cross = CrossMoments.from_batch(X, y)
            base = refit_base(base, cross, n_before=len(parts.train))
        self.base_kind_, self.note_ = base.kind, note
        self.n_validation_ = len(held_out[0])
        self.mean_source_ = cross.mean_source
        self.coef_, self.intercept_ = base.coef_.copy(), base.intercept_.copy()
        self.n_directions_ = frame.inward.shape[1]
        self._keep(frame, learned)

    def _learn(
        self, frame: Frame, base: LinearMap, train: _Pair, held_out: _Pair, report: Any
    ) -> tuple[Any, str]:
        """Train the network; nothing, and why, where there is nothing to learn."""
        from msma.maps.session import Session

        session = Session(self, frame=frame, base=base, train=train, held_out=held_out)
        if session.spread < _EXACT:
            return None, "the base map fits exactly, so that nothing is left to learn"
        return session.run(report=report), ""

    def _keep(self, frame: Frame, learned: Any) -> None:
        """Store what was learned as arrays in the units of the states."""
        self.n_layers_ = 0
        self.history_ = [] if learned is None else learned.history
        self.n_epochs_ = 0 if learned is None else learned.n_epochs
        self.best_epoch_ = 0 if learned is None else learned.best_epoch
        self.gain_on_validation_ = 0.0 if learned is None else learned.r2_gain
        if learned is None or not (self.best_epoch_ or self.is_stochastic):
            return
        straight = frame.inward @ learned.straight
        self.coef_ = self.coef_ + straight
        self.intercept_ = self.intercept_ - frame.mean_source @ straight
        self.mean_source_ = frame.mean_source
        self.n_layers_ = len(learned.layers)
        for i, (weight, bias) in enumerate(learned.layers):
            setattr(self, f"layer{i}_weight_", frame.inward @ weight if i == 0 else weight)
            setattr(self, f"layer{i}_bias_", bias)
        if learned.noise is not None:
            self.noise_weight_, self.noise_bias_ = learned.noise
            self.noise_scale_ = frame.scale

    @property
    def _n_features_out(self) -> int:
        return int(self.coef_.shape[1])

    def _layers(self, like: Any) -> list[tuple[Any, Any]]:
        names = [(f"layer{i}_weight_", f"layer{i}_bias_") for i in range(self.n_layers_)]
        return [tuple(like.new_tensor(getattr(self, name)) for name in pair) for pair in names]

    def _forward_tensor(self, X: Any) -> Any:
        straight = X @ X.new_tensor(self.coef_) + X.new_tensor(self.intercept_)
        if not self.n_layers_:
            return straight
        from msma.maps.network import apply_layers

        return straight + apply_layers(X - X.new_tensor(self.mean_source_), self._layers(X))

    def _forward(self, X: _Rows) -> _Targets:
        if not self.n_layers_:
            return np.asarray(X @ self.coef_ + self.intercept_)
        import torch

        parts = (np.require(X[i : i + _CHUNK], requirements=["C", "W"]) for i in range(0, len(X), _CHUNK))
        return np.concatenate([self._forward_tensor(torch.from_numpy(part)).numpy() for part in parts])

    def _backward(self, X: _Targets) -> _Rows:
        way = np.asarray(scipy.linalg.pinv(self.coef_, rtol=INVERSE_RTOL, check_finite=False))
        centre = self.mean_source_ @ self.coef_ + self.intercept_
        source = (X - centre) @ way + self.mean_source_
        if not self.n_layers_:
            return source
        return refine_preimage(self._forward, source, X, way)

    def sample(self, X: Any, *, seed: int = 0) -> Any:
        r"""Draw from a stochastic map: :math:`y \sim N(f(x), \operatorname{diag} \sigma^2(x))`.

        Args:
            X: Source samples, (samples, d_source), numpy or torch.
            seed: Fixes the draw.

        Returns:
            (samples, d_target), of the kind and precision that came.

        Raises:
            ConfigError: When the map was fitted without ``is_stochastic``.
        """
        check_is_fitted(self)
        if not hasattr(self, "noise_weight_"):
            why = self.note_ or "it was fitted without is_stochastic=True"
            raise ConfigError(f"this map has no variance to draw from: {why}")
        import torch

        from msma.maps.network import draw_noise

        mapped = self.transform(X)
        rows = precise(X) if is_tensor(X) else torch.from_numpy(as_numpy(X).astype(np.float64))
        head = rows.new_tensor(self.noise_weight_), rows.new_tensor(self.noise_bias_)
        centred = rows - rows.new_tensor(self.mean_source_)
        noise = self.noise_scale_ * draw_noise(centred, [*self._layers(rows)[:-1], head], seed=seed)
        return mapped + (restore_tensor(noise, X) if is_tensor(X) else restore_dtype(as_numpy(noise), X))
