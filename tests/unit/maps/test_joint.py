"""The learned map: what it learns, that it never does worse, that it repeats itself, and what it refuses."""

import json
import warnings

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from msma.errors import ConfigError, MsmaError, ShapeError, StorageError, TrainingError
from msma.maps import ALL_MAPS, LEARNED_MAPS, MAPS, BaseMap, JointMap, ProcrustesMap, RidgeMap
from msma.maps.holdout import hash_rows, split_holdout
from msma.maps.network import ResidualNetwork
from msma.maps.objective import Prediction, Terms, Weights, distance_stress, map_bending, paired_error
from msma.measures.bending import map_curvature
from msma.measures.bounds import BOUNDS, jensen_shannon_bound, mine_bound
from msma.measures.critics import SeparableCritic

QUICK = {"width": 32, "max_epochs": 4, "learning_rate": 1e-2, "lambda_info": 0.01}


class CurvedLaw:
    """y = x A + g(x) B + noise, whose explainable variance is known: all but the noise's."""

    def __init__(self, rng, d=3, *, bend="tanh", noise=0.3):
        self.linear, self.mixing = rng.normal(size=(2, d, d)) / np.sqrt(d)
        self.bend = {"tanh": lambda z: 3.0 * np.tanh(3.0 * z), "quadratic": lambda z: z**2 - 1.0}[bend]
        self.out = 1.5 * rng.normal(size=(d, d)) / np.sqrt(d)
        self.noise, self.d = noise, d

    def mean(self, x):
        return x @ self.linear + self.bend(x @ self.mixing) @ self.out

    def sample(self, rng, n):
        x = rng.normal(size=(n, self.d))
        return x, self.mean(x) + self.noise * rng.normal(size=(n, self.d))


def explained(map_, x, y, ceiling):
    return map_.score(x, y) / (1.0 - ((y - ceiling) ** 2).sum() / ((y - y.mean(axis=0)) ** 2).sum())


@pytest.fixture
def curved(rng):
    return CurvedLaw(rng, bend="quadratic").sample(rng, 600)


@pytest.mark.slow
@pytest.mark.parametrize("bend", ["tanh", "quadratic"])
def test_it_learns_what_no_linear_map_can(rng, bend):
    law = CurvedLaw(rng, bend=bend)
    x, y = law.sample(rng, 3000)
    x_test, y_test = law.sample(rng, 4000)
    learned = JointMap(width=64, batch_size=128, lambda_info=0.0, learning_rate=0.01, max_epochs=8).fit(x, y)
    ridge = RidgeMap().fit(x, y)
    assert explained(learned, x_test, y_test, law.mean(x_test)) > 0.95
    assert explained(ridge, x_test, y_test, law.mean(x_test)) < 0.9
    assert learned.gain_on_validation_ == pytest.approx(
        learned.score(x_test, y_test) - ridge.score(x_test, y_test), abs=0.1
    )
    if (
        bend == "quadratic"
    ):  # the edges of a tanh are too sharp for a few epochs; a parabola's bend is one number
        exact = map_curvature(lambda z: torch_mean(law, z), x_test[:1000], is_relative=True)
        found = map_curvature(learned, x_test[:1000], is_relative=True)
        assert found.value == pytest.approx(exact.value, rel=0.35)


def torch_mean(law, z):
    linear, mixing, out = (torch.from_numpy(part) for part in (law.linear, law.mixing, law.out))
    return z @ linear + ((z @ mixing) ** 2 - 1.0) @ out


def test_linear_pairs_are_left_to_the_base(rng):
    coef = rng.normal(size=(8, 8))
    x, x_test = rng.normal(size=(1000, 8)), rng.normal(size=(1000, 8))
    y, y_test = x @ coef + rng.normal(size=x.shape), x_test @ coef + rng.normal(size=x.shape)
    learned = JointMap(**QUICK).fit(x, y)
    ridge = RidgeMap().fit(x, y)
    errors = [((map_.transform(x_test) - y_test) ** 2).sum(axis=1) for map_ in (learned, ridge)]
    worse = (errors[0] - errors[1]) / y_test.var(axis=0).sum()
    assert worse.mean() < 0.002 + 2 * worse.std() / np.sqrt(len(worse))
    assert map_curvature(learned, x_test, is_relative=True).value < 1e-3


def test_training_starts_at_exactly_the_base(curved):
    x, y = curved
    learned = JointMap(base=RidgeMap(alpha=3.0), max_epochs=0).fit(x, y)
    base = RidgeMap(alpha=3.0).fit(x, y)
    assert learned.transform(x).tobytes() == base.transform(x).tobytes()
    assert (learned.best_epoch_, learned.n_epochs_, learned.gain_on_validation_) == (0, 0, 0.0)
    assert learned.n_layers_ == 0
    np.testing.assert_allclose(learned.inverse_transform(y), base.inverse_transform(y))


@pytest.mark.slow
def test_noise_alone_is_not_learned(rng):
    x, y = rng.normal(size=(2, 1000, 5))
    # (with isometry the map pays some error to be as spread as the target)
    learned = JointMap(**QUICK | {"isometry": 0.0}).fit(x, y)
    fresh = rng.normal(size=(2, 4000, 5))
    assert learned.score(*fresh) > RidgeMap().fit(x, y).score(*fresh) - 0.02
    assert len(learned.history_) == learned.n_epochs_ + 1
    patient = JointMap(**QUICK | {"max_epochs": 30, "patience": 2, "learning_rate": 0.03}).fit(
        x[:300], y[:300]
    )
    assert patient.n_epochs_ == patient.best_epoch_ + 2 < 30
    gains = [line["gain"] for line in patient.history_]
    assert patient.best_epoch_ == int(np.argmax(gains))


@pytest.mark.slow
@pytest.mark.parametrize("base", ["procrustes", "best", ProcrustesMap(scaling=False), RidgeMap(alpha=1.0)])
def test_it_starts_at_any_closed_form(base, curved, tmp_path):
    x, y = curved
    learned = JointMap(base=base, **QUICK).fit(x, y)
    assert learned.base_kind_ == getattr(base, "kind", base) or base == "best"
    loaded = BaseMap.load(learned.save(tmp_path))
    assert repr(loaded) == repr(learned)
    assert (loaded.transform(x) == learned.transform(x)).all()
    assert repr(clone(loaded)) == repr(learned)
    loaded.fit(x, y)  # its parameters are maps again
    assert (loaded.transform(x) == learned.transform(x)).all()


def test_the_best_base_is_the_one_that_explains_most(rng):
    x = rng.normal(size=(400, 6))
    y = x @ np.linalg.qr(rng.normal(size=(6, 6)))[0] @ np.diag([5.0, 4.0, 0.0, 0.0, 0.0, 0.0]) + 1.0
    fitted = JointMap(base="best", max_epochs=0).fit(x, y + 0.1 * rng.normal(size=y.shape))
    assert fitted.base_kind_ in ("ridge", "reduced_rank")  # no rotation drops four directions
    assert (
        JointMap(base="best", max_epochs=0).fit(x, x + 0.1 * rng.normal(size=x.shape)).base_kind_ != "ridge"
    )
    assert JointMap(base="best", **QUICK).fit(x, y[:, :2]).base_kind_ in (
        "ridge",
        "reduced_rank",
        "procrustes",
    )


# --- the objective


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, 6, 3, generator=generator, dtype=torch.float64)


def check_gradient(function, *inputs):
    assert torch.autograd.gradcheck(function, [part.clone().requires_grad_() for part in inputs])


def test_gradients_of_the_geometric_terms(batch):
    check_gradient(lambda mapped: paired_error(mapped, batch[1]), batch[0])
    check_gradient(lambda mapped: distance_stress(mapped, batch[1]), batch[0])


def test_gradients_of_the_curvature_term():
    torch.manual_seed(0)
    network = ResidualNetwork(3, 2, width=4, depth=2).double()
    torch.nn.init.normal_(network.layers[-1].weight)
    names = [name for name, _ in network.named_parameters()]
    rows = torch.randn(5, 3, dtype=torch.float64)

    def bending(*parameters):
        def residual(z):
            return torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (z,))

        return map_bending(residual, rows, generator=torch.Generator().manual_seed(1))

    check_gradient(bending, *[parameter.detach() for parameter in network.parameters()])


@pytest.mark.parametrize("estimator", ["infonce", "nwj"])
def test_gradients_of_the_information_term(estimator, batch):
    critic = SeparableCritic(3, 3, width=4, embedding=2).double()
    weights = Weights(geo=1.0, info=1.0, curv=0.0, isometry=0.0, rate_weight=0.5)
    terms = Terms(weights, estimator=estimator, critic=critic)

    def information(mapped, log_variance):
        return terms.information(Prediction(mapped, mapped, batch[1], log_variance), is_training=True)["info"]

    check_gradient(information, batch[0], 0.1 * batch[2])


@pytest.mark.parametrize(("estimator", "twin"), [("smile", jensen_shannon_bound), ("mine", mine_bound)])
def test_gradients_that_are_not_those_of_the_value(estimator, twin, batch):
    critic = SeparableCritic(3, 3, width=4, embedding=2).double()
    weights = Weights(geo=0.0, info=1.0, curv=0.0, isometry=0.0, rate_weight=0.0)
    mapped = batch[0].clone().requires_grad_()
    found = Terms(weights, estimator=estimator, critic=critic).information(
        Prediction(mapped, mapped, batch[1]), is_training=True
    )
    ours = torch.autograd.grad(found["info"], mapped)[0]
    # SMILE ascends its surrogate; MINE's first batch has no past to be corrected by
    theirs = torch.autograd.grad(-twin(critic(mapped, batch[1])), mapped)[0]
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_mine_ascends_the_corrected_gradient(batch):
    critic = SeparableCritic(3, 3, width=4, embedding=2).double()
    weights = Weights(geo=0.0, info=1.0, curv=0.0, isometry=0.0, rate_weight=0.0)
    terms = Terms(weights, estimator="mine", critic=critic)
    terms.average = 5.0
    found = terms.information(Prediction(batch[0], batch[0], batch[1]), is_training=True)
    assert terms.average != 5.0
    assert -found["info"].item() != pytest.approx(found["bound"].item())
    held_out = terms.information(Prediction(batch[0], batch[0], batch[1]), is_training=False)
    assert held_out["info"].item() == -max(held_out["bound"].item(), 0.0)


@pytest.mark.parametrize("estimator", sorted(BOUNDS))
@pytest.mark.parametrize("is_stochastic", [False, True])
def test_every_estimator_trains(estimator, is_stochastic, curved):
    x, y = curved
    fitted = JointMap(estimator=estimator, is_stochastic=is_stochastic, **QUICK).fit(x, y)
    assert np.isfinite(fitted.history_[-1]["bound"])
    assert fitted.gain_on_validation_ > 0.02
    assert fitted.score(x, y) > RidgeMap().fit(x, y).score(x, y)


def test_a_stochastic_map_draws_around_its_mean(curved, tmp_path):
    x, y = curved
    fitted = JointMap(is_stochastic=True, **QUICK).fit(x, y)
    draws = np.stack([fitted.sample(x, seed=seed) for seed in range(200)])
    spread = draws.std(axis=0)
    assert (spread > 0).all()
    assert (abs(draws.mean(axis=0) - fitted.transform(x)) < 6 * spread / np.sqrt(200)).all()
    assert (fitted.sample(x, seed=3) == draws[3]).all()
    tensor = torch.from_numpy(x).float()
    assert fitted.sample(tensor).dtype == torch.float32
    loaded = JointMap.load(fitted.save(tmp_path))
    assert (loaded.sample(x) == fitted.sample(x)).all()
    with pytest.raises(ConfigError, match="no variance to draw from"):
        JointMap(**QUICK).fit(x, y).sample(x)


def test_terms_that_weigh_nothing_are_not_computed(curved):
    fitted = JointMap(**QUICK | {"lambda_info": 0.0, "lambda_curv": 0.0, "isometry": 0.0}).fit(*curved)
    assert not {"bound", "curv", "isometry"} & set(fitted.history_[-1])
    assert fitted.history_[-1]["objective"] == pytest.approx(fitted.history_[-1]["paired"])


def test_the_curvature_weight_straightens(curved):
    values = [
        map_curvature(JointMap(lambda_curv=weight, **QUICK).fit(*curved), curved[0], is_relative=True).value
        for weight in (0.0, 10.0)
    ]
    assert values[1] < 0.2 * values[0]


# --- the contract


def test_the_tables():
    assert {"joint": JointMap} == LEARNED_MAPS
    assert ALL_MAPS == MAPS | LEARNED_MAPS
    assert "joint" not in MAPS


def test_saving_is_exact_and_knows_no_pickle(curved, tmp_path):
    x, y = curved
    fitted = JointMap(**QUICK).fit(x, y)
    assert fitted.n_layers_ == 3
    loaded = BaseMap.load(fitted.save(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    assert loaded.history_ == fitted.history_ == json.loads(json.dumps(fitted.history_))
    for method, rows in (("transform", x), ("inverse_transform", y)):
        assert getattr(loaded, method)(rows).tobytes() == getattr(fitted, method)(rows).tobytes()
    assert fitted.transform(x.astype(np.float32)).dtype == np.float32


def test_tensors_pass_with_their_derivatives(curved):
    x, y = curved
    fitted = JointMap(**QUICK).fit(x, y)
    rows = torch.from_numpy(x[:20])
    np.testing.assert_allclose(fitted.transform(rows).numpy(), fitted.transform(x[:20]), rtol=1e-12)
    along = torch.zeros_like(rows)
    along[:, 0] = 1.0
    slope = torch.func.jvp(fitted.transform, (rows,), (along,))[1].numpy()
    step = 1e-6 * along.numpy()
    finite = (fitted.transform(x[:20] + step) - fitted.transform(x[:20] - step)) / 2e-6
    np.testing.assert_allclose(slope, finite, atol=1e-7)
    tracked = rows.clone().requires_grad_()
    fitted.transform(tracked).sum().backward()
    assert tracked.grad.abs().sum() > 0


def test_pre_images(rng):
    x = rng.normal(size=(800, 3))
    y = x + 0.2 * x**2
    fitted = JointMap(**QUICK).fit(x, y)
    assert fitted.n_layers_
    back = fitted.inverse_transform(fitted.transform(x[:50]))
    np.testing.assert_allclose(fitted.transform(back), fitted.transform(x[:50]), atol=1e-3)
    far = fitted.inverse_transform(100.0 * y[:5])  # no worse than the linear answer, and finite
    assert np.isfinite(far).all()


@pytest.mark.slow
def test_it_can_be_searched_over(curved):
    x, y = curved
    grid = {"lambda_curv": [0.001, 100.0], "base": ["ridge", "procrustes"]}
    search = GridSearchCV(JointMap(**QUICK | {"max_epochs": 2, "lambda_info": 0.0}), grid, cv=2).fit(x, y)
    assert search.best_params_["lambda_curv"] == 0.001
    nested = JointMap(base=RidgeMap()).set_params(base__alpha=7.0)
    assert nested.base.alpha == 7.0


# --- determinism, interruptions


def weights(map_):
    arrays = map_._fitted_state()[0]
    return {name: array.tobytes() for name, array in sorted(arrays.items())}


def test_one_seed_gives_one_map_and_leaves_torch_alone(curved):
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first = JointMap(**QUICK).fit(*curved)
    assert (torch.get_rng_state() == state).all()
    torch.manual_seed(6)
    second = JointMap(**QUICK).fit(*curved)
    assert weights(first) == weights(second)
    assert first.history_ == second.history_
    assert weights(JointMap(seed=1, **QUICK).fit(*curved)) != weights(first)


class Interrupted(Exception):
    pass


def interrupt(epoch):
    def report(line):
        if line["epoch"] == epoch:
            raise Interrupted

    return report


@pytest.mark.parametrize("estimator", [pytest.param("infonce", marks=pytest.mark.slow), "mine"])
def test_an_interrupted_fit_goes_on_bit_for_bit(estimator, curved, tmp_path):
    settings = {**QUICK, "estimator": estimator, "is_stochastic": estimator == "mine"}
    whole = JointMap(**settings).fit(*curved)
    for epoch in (1, 3):
        with pytest.raises(Interrupted):
            JointMap(checkpoint=str(tmp_path), **settings).fit(*curved, report=interrupt(epoch))
    seen = []
    resumed = JointMap(checkpoint=str(tmp_path), **settings).fit(
        *curved, report=lambda line: seen.append(line["epoch"])
    )
    assert seen == [4]
    assert weights(resumed) == weights(whole)
    assert resumed.history_ == whole.history_
    again = JointMap(checkpoint=str(tmp_path), **settings).fit(
        *curved, report=interrupt(5)
    )  # nothing left to do
    assert weights(again) == weights(whole)


def test_a_checkpoint_of_something_else_is_refused(curved, tmp_path):
    x, y = curved
    JointMap(checkpoint=tmp_path, **QUICK).fit(x, y)
    with pytest.raises(ConfigError, match=r"made with width=32, not 16"):
        JointMap(checkpoint=tmp_path, **QUICK | {"width": 16}).fit(x, y)
    with pytest.raises(ConfigError, match="made with base='RidgeMap"):
        JointMap(checkpoint=tmp_path, base="procrustes", **QUICK).fit(x, y)
    with pytest.raises(ConfigError, match="made with other data"):
        JointMap(checkpoint=tmp_path, **QUICK).fit(x, y + 1.0)
    file = tmp_path / "training.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(StorageError):
        JointMap(checkpoint=tmp_path, **QUICK).fit(x, y)


# --- what is held out


def test_whole_documents_are_held_out(rng):
    x = rng.normal(size=(300, 2))
    documents = np.repeat([f"d{i}" for i in range(30)], 10)
    parts = split_holdout(x, groups=documents, fraction=0.2, seed=0)
    assert not set(documents[parts.train]) & set(documents[parts.validation])
    assert len(parts.validation) == 60
    assert parts.note == ""


def test_equal_rows_stay_on_one_side(rng):
    x = np.repeat(rng.normal(size=(60, 2)), 5, axis=0)
    parts = split_holdout(x, groups=None, fraction=0.2, seed=0)
    codes = hash_rows(x)
    assert not set(codes[parts.train]) & set(codes[parts.validation])
    assert len(parts.train) + len(parts.validation) == 300
    # with documents, a row that training has too leaves validation
    x = rng.normal(size=(200, 2))
    x[::10] = 7.0  # one line that stands in every document
    parts = split_holdout(x, groups=np.arange(200) // 10, fraction=0.2, seed=0)
    assert len(parts.train) == 160
    assert len(parts.validation) == 36
    assert parts.note == "4 held-out rows equal to training rows were left out of validation"


def test_own_validation_pairs(curved, rng):
    x, y = curved
    fitted = JointMap(**QUICK).fit(x[:500], y[:500], validation=(x[500:], y[500:]))
    assert fitted.n_validation_ == 100
    held = np.concatenate([x[500:501], x[[7, 8, 9]], x[501:510]])
    message = r"3 of 13 validation rows equal training rows.*row 1, equal to training row 7"
    with pytest.raises(ShapeError, match=message):
        JointMap(**QUICK).fit(x[:500], y[:500], validation=(held, np.zeros((13, y.shape[1]))))
    for wrong, message in [
        ((x[:, :2], y), "expected 3 -> 3"),
        ((x[500:503], y[500:503]), "3 validation rows came"),
        (x, "expected a pair"),
        (None.__class__, "expected a pair"),
    ]:
        with pytest.raises(ShapeError, match=message):
            JointMap(**QUICK).fit(x[:500], y[:500], validation=wrong)
    with pytest.raises(ShapeError, match=r"groups came with shape \(3,\)"):
        JointMap(**QUICK).fit(x, y, groups=[1, 2, 3])


def test_too_few_samples_leave_the_base_and_say_so(rng):
    x, y = rng.normal(size=(2, 30, 4))
    fitted = JointMap().fit(x, y)
    assert "30 samples" in fitted.note_
    assert "about 80 samples" in fitted.note_
    assert fitted.n_layers_ == 0
    one_document = JointMap().fit(*rng.normal(size=(2, 200, 4)), groups=np.zeros(200))
    assert "1 documents" in one_document.note_


def test_fewer_samples_than_dimensions(rng):
    x = rng.normal(size=(120, 300))
    fitted = JointMap(**QUICK).fit(x, x[:, :20] + 0.1 * rng.normal(size=(120, 20)))
    assert fitted.n_directions_ == 108 // 5
    assert np.isfinite(fitted.transform(x)).all()


def test_constant_columns_and_exact_bases(rng):
    x = rng.normal(size=(400, 5))
    x[:, 2] = 3.0
    y = np.column_stack([np.tanh(2 * x[:, 0]), np.full(400, 7.0), x[:, 1] ** 2])
    fitted = JointMap(**QUICK).fit(x, y)
    assert np.isfinite(fitted.transform(x)).all()
    assert abs(fitted.transform(x)[:, 1] - 7.0).max() < 0.2
    exact = JointMap(base=RidgeMap(alpha=0.0), **QUICK).fit(x, x @ rng.normal(size=(5, 3)))
    assert exact.note_ == "the base map fits exactly, so that nothing is left to learn"
    one = JointMap(**QUICK).fit(x[:, :1], y[:, :1])
    assert one.transform(x[:, :1]).shape == (400, 1)


@pytest.mark.slow
@pytest.mark.parametrize("scale", [2.0**-40, 2.0**30])
def test_units_do_not_matter(scale, curved):
    x, y = curved
    plain = JointMap(**QUICK).fit(x, y)
    scaled = JointMap(**QUICK).fit(scale * x, y / scale)
    np.testing.assert_allclose(scale * scaled.transform(scale * x), plain.transform(x), atol=0.02)


# --- what goes wrong


def test_divergence_is_named(curved):
    with pytest.raises(TrainingError, match=r"diverged .*learning rate.*give a smaller learning_rate"):
        JointMap(**QUICK | {"learning_rate": 1e6}).fit(*curved)


def test_a_loss_that_is_not_finite_is_named(curved, monkeypatch):
    original = Terms.total
    calls = []

    def total(self, parts):
        calls.append(1)
        return original(self, parts) * (float("nan") if len(calls) == 8 else 1.0)

    monkeypatch.setattr(Terms, "total", total)
    fitted = JointMap(**QUICK | {"lambda_info": 0.0})
    with pytest.raises(
        TrainingError, match=r"at step \d+ \(epoch 1\): the loss became nan at learning rate 0.0"
    ):
        fitted.fit(*curved)
    assert not [name for name in vars(fitted) if name.startswith(("coef", "layer"))]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"lambda_geo": -1.0}, "lambda_geo=-1.0 came; expected a finite number from 0"),
        ({"lambda_info": float("nan")}, "lambda_info=nan came"),
        ({"lambda_curv": "much"}, "lambda_curv='much' came"),
        ({"lambda_geo": 0.0, "lambda_info": 0, "lambda_curv": 0}, "all came as 0"),
        ({"estimator": "club"}, "estimator='club' came; expected one of infonce, nwj, smile, mine"),
        ({"width": 0}, "width=0 came; expected a whole number from 1"),
        ({"width": 2.5}, "width=2.5 came"),
        ({"width": True}, "width=True came"),
        ({"depth": 0}, "depth=0 came"),
        ({"learning_rate": 0.0}, "learning_rate=0.0 came; expected a finite number above 0"),
        ({"batch_size": 1}, "batch_size=1 came"),
        ({"validation_fraction": 1.0}, "validation_fraction=1.0 came"),
        ({"validation_fraction": "half"}, "validation_fraction='half' came"),
        ({"device": "abacus"}, "device='abacus' came"),
        ({"base": "kernel"}, "base='kernel' came; expected one of identity"),
        ({"base": JointMap()}, "expected a map in closed form"),
        ({"base": 3}, "base=3 came"),
        ({"isometry": -0.1}, "isometry=-0.1 came"),
        ({"beta": -0.1}, "beta=-0.1 came"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1 came"),
        ({"patience": 0}, "patience=0 came"),
        ({"max_epochs": -1}, "max_epochs=-1 came"),
        ({"seed": -1}, "seed=-1 came"),
    ],
)
def test_impossible_settings(setting, message, curved):
    with pytest.raises(ConfigError, match=message) as caught:
        JointMap(**QUICK | setting).fit(*curved)
    assert "\n" not in str(caught.value)


def test_moments_are_not_enough():
    with pytest.raises(ConfigError, match="JointMap learns from rows"):
        JointMap().fit_moments(object())


def test_a_device_that_is_not_there(curved):
    if torch.cuda.is_available():
        pytest.skip("this machine has it")
    with pytest.raises(ConfigError, match="device='cuda' came, which this machine does not have"):
        JointMap(device="cuda", **QUICK).fit(*curved)


def test_a_failed_refit_leaves_nothing_fitted(curved):
    fitted = JointMap(**QUICK).fit(*curved)
    with pytest.raises(MsmaError):
        fitted.set_params(learning_rate=1e6).fit(*curved)
    assert not hasattr(fitted, "coef_")


def test_no_warning_is_given(curved):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        JointMap(**QUICK).fit(*curved).transform(curved[0])
