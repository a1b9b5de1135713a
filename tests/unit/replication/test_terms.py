"""What the sound terms are, beside what the published quirks make of them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from joint_inputs import make_documents, make_joint, small
from msma.errors import ConfigError
from msma.measures.bounds import mine_bound
from msma.measures.critics import SeparableCritic
from msma.models.accelerating import Processes
from msma.replication import ARMS, Quirks, ScaleMap, read_scales
from msma.replication.arms import find_arm
from msma.replication.objective import Standard, bending_share, parameter_norm, unshuffled_bound
from msma.replication.pooling import masked_mean
from msma.replication.quirks import PUBLISHED
from msma.replication.steps import BatchStep


def loss_of(config, *, longest=0, places=(0, 4, 9)):
    joint, objective, samples = make_joint(config, longest=longest)
    step = BatchStep(joint, objective, samples, config=config, processes=Processes())
    return float(step.run(torch.tensor(places), step=0)["loss"])


class TestPadding:
    def test_the_loss_does_not_depend_on_padding(self):
        # Alone no text is padded; together the shorter ones are.
        assert loss_of(small(micro_batch=1)) == pytest.approx(loss_of(small(micro_batch=None)), rel=1e-9)
        assert loss_of(small(), longest=30) == pytest.approx(loss_of(small(), longest=50), rel=1e-12)

    def test_with_the_quirk_it_does(self):
        config = small(quirks=Quirks(padding_in_means=True))
        assert abs(loss_of(config, longest=30) - loss_of(config, longest=50)) > 1e-3

    def test_the_quirk_pads_alike_whatever_comes_together(self):
        quirks = Quirks(padding_in_means=True)
        alone, together = (loss_of(small(micro_batch=n, quirks=quirks)) for n in (1, None))
        assert alone == pytest.approx(together, rel=1e-9)

    def test_what_stands_in_a_padded_place_may_be_infinite(self):
        joint, _, samples = make_joint(small())
        batch = joint.collate([samples.rows[0], samples.rows[4]])
        states = torch.ones(*batch.ids.shape, 2)
        states[0, batch.lengths[0] :] = torch.inf
        assert masked_mean(states, batch).tolist() == [[1.0, 1.0], [1.0, 1.0]]

    def test_read_gives_the_states_of_single_passes(self):
        joint, _, samples = make_joint(small())
        states = joint.read(samples.rows[:5], batch_size=2)
        for i in range(5):
            alone = joint.scales(joint.collate(samples.rows[i : i + 1]))
            for scale, rows in states.items():
                assert torch.allclose(rows[i], alone[scale][0], rtol=1e-9)

    def test_read_scales_gives_what_a_training_sees(self):
        for quirks in (Quirks(), Quirks(padding_in_means=True)):
            config = small(quirks=quirks, max_tokens=12)
            joint, _, samples = make_joint(config)
            found = read_scales(joint.loaded, make_documents(), partition=joint.partition, config=config)
            for scale, rows in joint.read(samples.rows).items():
                assert torch.allclose(rows, found[scale], rtol=1e-9)


def train_critic(bound, x, y):
    torch.manual_seed(0)
    critic = SeparableCritic(x.shape[1], y.shape[1], width=16, embedding=8)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        (-bound(critic(x[:200], y[:200]))).backward()
        optimizer.step()
    with torch.no_grad():
        return float(bound(critic(x[200:], y[200:])))


class TestMarginals:
    def test_shuffled_ones_tell_dependence_and_unshuffled_ones_never(self, rng):
        x = torch.from_numpy(rng.normal(size=(400, 2))).float()
        apart = torch.from_numpy(rng.normal(size=(400, 2))).float()
        y = 0.9 * x + (1 - 0.81) ** 0.5 * apart  # I = -log(1 - 0.81) = 1.66 nats
        assert 0.8 < train_critic(mine_bound, x, y) < 1.9
        assert train_critic(mine_bound, x, apart) < 0.1
        assert train_critic(unshuffled_bound, x, y) <= 1e-6
        assert train_critic(unshuffled_bound, x, apart) <= 1e-6

    @given(st.integers(0, 10**6))
    @settings(max_examples=30, deadline=None)
    def test_the_unshuffled_one_is_never_above_0(self, seed):
        scores = 5 * torch.randn(12, 12, generator=torch.Generator().manual_seed(seed))
        assert float(unshuffled_bound(scores)) <= 1e-6

    def test_the_quirk_enters_the_loss(self):
        config = small(quirks=Quirks(unshuffled_marginals=True))
        joint, objective, samples = make_joint(config)
        step = BatchStep(joint, objective, samples, config=config, processes=Processes())
        assert float(step.run(torch.arange(8), step=0)["info"]) >= 0.0


class TestCurvature:
    def make(self, *, depth=2):
        torch.manual_seed(0)
        return ScaleMap(6, width=5, depth=depth).double()

    def test_zero_for_affine_maps_and_above_for_others(self, rng):
        map_ = self.make()
        x, y = (torch.from_numpy(rng.normal(size=(40, 6))) for _ in range(2))
        map_.start_at("ridge", x.numpy(), y.numpy(), np.arange(40))
        generator = torch.Generator().manual_seed(0)
        assert float(bending_share(map_, x, y, generator=generator).detach()) == 0.0
        map_.draw()
        assert float(bending_share(map_, x, y, generator=generator).detach()) > 0.0

    def test_it_has_no_units(self, rng):
        map_ = self.make()
        map_.draw()
        x, y = (torch.from_numpy(rng.normal(size=(64, 6))) for _ in range(2))

        def share(factor):
            generator = torch.Generator().manual_seed(0)
            return float(bending_share(map_, x, factor * y, generator=generator).detach())

        assert share(3.0) == pytest.approx(share(1.0) / 9.0)

    def test_the_quirk_is_the_norm_of_all_parameters(self):
        map_ = self.make()
        every = np.concatenate([p.detach().numpy().ravel() for p in map_.parameters()])
        found = parameter_norm({("global", "intermediate"): map_, ("intermediate", "local"): map_})
        assert float(found.detach()) == pytest.approx(2**0.5 * np.linalg.norm(every))


class TestGeometry:
    def test_smaller_states_lower_nothing(self):
        config = small()
        joint, objective, samples = make_joint(config)
        states = joint.read(samples.rows[:8])
        found = {}
        for factor in (1.0, 0.1):
            for map_ in joint.scale_maps.values():  # the maps of smaller states, on smaller states
                map_.spreads.fill_(factor)
                map_.mean_target.zero_()
            parts = objective.alignment(
                {scale: factor * rows for scale, rows in states.items()}, generator=torch.Generator()
            )
            found[factor] = {name: float(value.detach()) for name, value in parts.items()}
        assert found[0.1] == pytest.approx(found[1.0], rel=1e-6)

    @pytest.mark.parametrize("is_mapped", [True, False])
    @pytest.mark.parametrize("is_divided", [True, False])
    def test_each_form_is_its_formula(self, is_mapped, is_divided):
        quirks = Quirks(undivided_geometry=not is_divided, unmapped_geometry=not is_mapped)
        joint, objective, samples = make_joint(small(quirks=quirks, isometry=0.0), arm="only_geo")
        states = joint.read(samples.rows[:8])
        expected = 0.0
        for (source, target), map_ in joint.scale_maps.items():
            x, y = states[source], states[target]
            x = map_(x).detach() if is_mapped else x
            # Per text the squared length of the error; divided, the share of the target's variance.
            error = np.square((x - y).numpy()).sum(axis=1).mean()
            expected += error / y.numpy().var(axis=0).sum() if is_divided else error
        found = objective.alignment(states, generator=torch.Generator())["geo"]
        assert float(found.detach()) == pytest.approx(expected, rel=1e-6)

    def test_undivided_it_rewards_a_collapse(self):
        """States a tenth as large, with maps that follow: a hundredth of the loss, where divided it stays."""
        quirks = Quirks(undivided_geometry=True, unmapped_geometry=True)
        joint, objective, samples = make_joint(small(quirks=quirks), arm="only_geo")
        states = joint.read(samples.rows[:8])
        found = [
            float(
                objective.alignment({s: f * x for s, x in states.items()}, generator=torch.Generator())["geo"]
            )
            for f in (1.0, 0.1)
        ]
        assert found[1] == pytest.approx(found[0] / 100, rel=1e-6)

    def test_standard_coordinates_have_spread_1(self, rng):
        states = torch.from_numpy(rng.normal(3.0, 5.0, size=(50, 4)))
        found = Standard.of(Standard.of(states).apply(states))
        assert float(found.spread) == pytest.approx(1.0)
        assert float(found.centre.abs().max()) < 1e-9


class TestArms:
    def test_what_an_arm_leaves_out_is_not_computed(self):
        for name, kept in ARMS.items():
            joint, objective, samples = make_joint(small(), arm=name)
            parts = objective.alignment(joint.read(samples.rows[:4]), generator=torch.Generator())
            found = {key for key in parts if key in ("geo", "info", "curv")}
            assert found == {key for key, is_kept in kept._asdict().items() if is_kept}, name

    def test_an_unknown_one_is_refused(self):
        with pytest.raises(ConfigError, match="arm 'half' came; expected one of full"):
            find_arm("half")


class TestQuirks:
    def test_all_are_off_unless_asked_for(self):
        assert Quirks().names == ()
        assert Quirks.published().names == PUBLISHED
        assert not Quirks.published().undivided_geometry

    def test_they_are_known_by_name(self):
        found = Quirks.of("histogram_mi").also(["unmapped_geometry"])
        assert found == Quirks(histogram_mi=True, unmapped_geometry=True)
        with pytest.raises(ConfigError, match="quirk 'collapse' came; expected one of padding_in_means"):
            Quirks.of("collapse")

    def test_a_switch_is_true_or_false(self):
        with pytest.raises(ConfigError, match="quirk diagonal_kl='yes' came"):
            Quirks(diagonal_kl="yes")
