"""steer(): choose where and how strongly to move a model, by what it gains and what it costs."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from msma._types import SCALES, Scale
from msma._types import Stack as StackName
from msma.errors import ConfigError, CorpusError, ModelError, ScaleError
from msma.generation import Continuation, generate, nats_per_token
from msma.generation.sampling import encode_prompts
from msma.interventions import Direction, Translation, intervene
from msma.interventions.context import choose_layers
from msma.interventions.sites import find_sites
from msma.models import LoadedModel
from msma.resampling import bootstrap_interval
from msma.scales import ScalePartition, published_partition
from msma.steering.demonstration import DEMONSTRATIONS
from msma.steering.judging import Judge
from msma.steering.loading import take_model
from msma.steering.points import Point, Sample
from msma.steering.record import Steering

ByPrompt: TypeAlias = Float[np.ndarray, " prompts"]

_FEWEST_TEXTS, _FEWEST_PROMPTS, _PROMPT_WORDS = 4, 4, 6


def steer(
    model: Any,
    towards: str | Sequence[str],
    away_from: str | Sequence[str],
    *,
    scale: Scale | Literal["auto"] = "auto",
    partition: ScalePartition | None = None,
    strengths: Sequence[float] = (0.05, 0.1, 0.2, 0.4),
    prompts: Sequence[str] | None = None,
    tokenizer: Any = None,
    seeds: Sequence[int] = (0, 1),
    max_loss: float = 0.5,
    max_new_tokens: int = 24,
    temperature: float = 0.8,
    stack: StackName = "auto",
    seed: int = 0,
    say: Callable[[str], None] | None = None,
) -> Steering:
    r"""Make a model write towards some texts, at the scale and strength that do most for what they cost.

    Each set of texts is divided in two. One half gives the direction, the difference of mean states
    (:meth:`msma.Direction.between`); the other a :class:`Judge` of words that never sees the model. The prompts are
    divided in two as well: on validation every scale and strength is tried, on test the chosen one is read once.

    .. math::
        \text{effect} = \frac{1}{n} \sum_i \big(j(x'_i) - j(x_i)\big), \qquad
        \text{loss} = \frac{1}{n} \sum_i \big(\nu(x'_i) - \nu(x_i)\big)

    with :math:`x_i` and :math:`x'_i` what is written clean and steered after the same prompt with the same chance, j
    the judge's log-odds and :math:`\nu` nats a token under the clean model. Chosen is the largest effect whose loss
    is at most ``max_loss``; where there is none, the smallest loss. The control turns the direction at random: the
    same norms, and the same angles between layers.

    Args:
        model: A model with a language head, its name or folder, or what ``load_model`` gives.
        towards: Texts that have what is wanted, four or more, or "demo-sea" or "demo-home".
        away_from: Texts that do not.
        scale: One scale, or "auto" to try all three.
        partition: Which layers belong to which scale; the published one, else thirds, when left out.
        strengths: Relative norms to try, above 0.
        prompts: Texts to continue, four or more; beginnings of the judge's texts when left out.
        tokenizer: The model's own when left out.
        seeds: Seeds of the draws; each prompt is continued once for each.
        max_loss: Loss in nats a token that the choice may have.
        max_new_tokens: Tokens of a continuation; none ends earlier, so that all are judged on as many.
        temperature: Of the draws.
        stack: Stack of an encoder-decoder that the direction is taken from and that is moved; the encoder when
            "auto".
        seed: Fixes the halves, the control's directions and the intervals.
        say: Told in a line what is being done.

    Returns:
        The generator, with the curve, the choice and its reading on test prompts.

    Raises:
        CorpusError: When a side has fewer than four texts, a text stands on both, or a prompt does not fit.
        ConfigError: When a setting is impossible.
        ScaleError: When there is no such scale, or the partition is that of another model.
        ModelError: When the model cannot be loaded, or cannot write.
    """
    say = say or (lambda words: None)
    sides = _take_sides(towards, away_from)
    _check(scale, strengths=strengths, seeds=seeds, max_loss=max_loss, seed=seed)
    loaded = take_model(model, tokenizer=tokenizer)
    if loaded.head == "masked":
        raise ModelError(
            f"'{loaded.name}' fills in masked tokens and cannot write; give a decoder such as GPT-2"
        )
    partition = _take_partition(loaded, partition, stack=stack)
    rng = np.random.default_rng(seed)
    halves = [_halve(texts, rng) for texts in sides]
    fitted, judged = [fit for fit, _ in halves], [judge for _, judge in halves]
    prompts = [prompts] if isinstance(prompts, str) else prompts
    given = _default_prompts(judged) if prompts is None else list(dict.fromkeys(prompts))
    if len(given) < _FEWEST_PROMPTS:
        raise CorpusError(
            f"{len(given)} different prompts came; expected {_FEWEST_PROMPTS} or more, half to choose with and half "
            "to read the choice on"
        )
    encode_prompts(loaded, given, room=max_new_tokens)
    say(
        f"direction from {len(fitted[0])} and {len(fitted[1])} texts, judge from {len(judged[0])} and {len(judged[1])}"
    )
    direction = Direction.between(loaded, fitted[0], fitted[1], stack=stack, name=_name(towards, away_from))
    direction = Direction(direction.vectors.astype(np.float32), direction.name, direction.provenance)
    trial = _Trial(
        loaded,
        partition,
        direction,
        [_turned(direction, np.random.default_rng([seed, s])) for s in range(len(seeds))],
        Judge(judged[0], judged[1]),
        tuple(seeds),
        {"max_new_tokens": max_new_tokens, "temperature": temperature, "may_stop": False},
        stack,
        seed,
    )
    validation, test = _halve(given, rng)
    tried: tuple[Scale, ...] = SCALES if scale == "auto" else (scale,)
    say(f"{len(tried) * len(strengths)} settings on {len(validation)} validation prompts")
    clean = trial.write(validation)
    curve = tuple(
        trial.measure(validation, clean, name, float(strength), "validation")[0]
        for name in tried
        for strength in strengths
    )
    chosen = choose(curve, max_loss=max_loss)
    say(f"{chosen.scale} at {chosen.strength:g} on {len(test)} test prompts")
    clean = trial.write(test)
    read, steered = trial.measure(test, clean, chosen.scale, chosen.strength, "test")
    return Steering(
        model=loaded,
        direction=direction,
        partition=partition,
        scale=chosen.scale,
        strength=chosen.strength,
        curve=curve,
        test=read,
        pairs=tuple(
            Sample(a.prompt, a.text, b.text) for a, b in zip(clean.written, steered.written, strict=True)
        )[: len(test)],
        max_loss=float(max_loss),
        judge_accuracy=trial.judge.accuracy(fitted[0], fitted[1]),
        temperature=float(temperature),
        stack=stack,
        provenance={
            "model": loaded.name,
            "revision": loaded.revision,
            "direction": direction.name,
            "texts": [len(texts) for texts in sides],
            "prompts": "given"
            if prompts is not None
            else f"first {_PROMPT_WORDS} words of the judge's texts",
            "seeds": list(seeds),
            "max_new_tokens": max_new_tokens,
            "seed": seed,
        },
    )


def choose(curve: Sequence[Point], *, max_loss: float) -> Point:
    """Take the largest effect among the points that cost at most so much; the cheapest where none does.

    Args:
        curve: The points.
        max_loss: Loss in nats a token that may be.

    Returns:
        One of them.
    """
    within = [point for point in curve if point.loss <= max_loss]
    if not within:
        return min(curve, key=lambda point: point.loss)
    return max(within, key=lambda point: point.effect)


@dataclass(frozen=True, eq=False)
class _Written:
    """Continuations of all prompts for every seed, seed after seed, with what judge and clean model say."""

    written: list[Continuation]
    odds: ByPrompt
    nats: ByPrompt


@dataclass(frozen=True, eq=False)
class _Trial:
    """All that stays the same from setting to setting."""

    loaded: LoadedModel
    partition: ScalePartition
    direction: Direction
    turned: Sequence[Direction]
    judge: Judge
    seeds: tuple[int, ...]
    options: Mapping[str, Any]
    stack: StackName
    seed: int

    def write(
        self, prompts: Sequence[str], scale: Scale = "local", moves: Sequence[Translation] | None = None
    ) -> _Written:
        """Continue every prompt once a seed, moved where there are moves, one for each seed."""
        written: list[Continuation] = []
        for number, seed in enumerate(self.seeds):
            if moves is None:
                written += generate(self.loaded, prompts, seed=seed, **self.options)
                continue
            with intervene(self.loaded, self.partition, scale, moves[number], stack=self.stack):
                written += generate(self.loaded, prompts, seed=seed, **self.options)
        odds = self.judge.log_odds([c.text for c in written])
        nats = nats_per_token(self.loaded, written)
        n_seeds = len(self.seeds)
        return _Written(written, odds.reshape(n_seeds, -1).mean(0), nats.reshape(n_seeds, -1).mean(0))

    def measure(
        self,
        prompts: Sequence[str],
        clean: _Written,
        scale: Scale,
        strength: float,
        split: Literal["validation", "test"],
    ) -> tuple[Point, _Written]:
        """Hold one setting, and random directions as strong, against the clean text."""
        steered = self.write(prompts, scale, [Translation(self.direction, strength)] * len(self.seeds))
        control = self.write(prompts, scale, [Translation(one, strength) for one in self.turned])
        effect = self._mean(steered.odds - clean.odds)
        loss = self._mean(steered.nats - clean.nats)
        beside = self._mean(control.odds - clean.odds)
        beyond = self._mean(steered.odds - control.odds)
        point = Point(
            scale=scale,
            strength=strength,
            split=split,
            effect=effect[0],
            effect_low=effect[1],
            effect_high=effect[2],
            loss=loss[0],
            loss_low=loss[1],
            loss_high=loss[2],
            control_effect=beside[0],
            control_low=beside[1],
            control_high=beside[2],
            control_loss=float(np.mean(control.nats - clean.nats)),
            beyond=beyond[0],
            beyond_low=beyond[1],
            beyond_high=beyond[2],
            n_prompts=len(prompts),
        )
        return point, steered

    def _mean(self, values: ByPrompt) -> tuple[float, float, float]:
        """Mean over prompts with its interval over prompts."""
        found = bootstrap_interval(
            lambda weights: weights @ values / weights.sum(axis=1), np.arange(len(values)), seed=self.seed
        )
        return found.value, found.low, found.high


def _take_sides(towards: str | Sequence[str], away_from: str | Sequence[str]) -> list[list[str]]:
    sides = []
    for which, given in (("towards", towards), ("away_from", away_from)):
        if isinstance(given, str):
            if given not in DEMONSTRATIONS:
                known = " or ".join(DEMONSTRATIONS)
                raise CorpusError(f"one text came in '{which}'; give a list of texts, or the name {known}")
            given = DEMONSTRATIONS[given]
        foreign = [text for text in given if not isinstance(text, str)]
        if foreign:
            raise CorpusError(
                f"a {type(foreign[0]).__name__} came among the texts of '{which}'; give strings"
            )
        texts = list(dict.fromkeys(text for text in given if text.strip()))
        if len(texts) < _FEWEST_TEXTS:
            raise CorpusError(
                f"{len(texts)} different texts came in '{which}'; expected {_FEWEST_TEXTS} or more, half for the "
                "direction and half for the judge, and twenty are better"
            )
        sides.append(texts)
    shared = [text for text in sides[0] if text in set(sides[1])]
    if shared:
        raise CorpusError(
            f"{len(shared)} texts stand in 'towards' and in 'away_from'; a text can be in one only"
        )
    return sides


def _check(
    scale: str, *, strengths: Sequence[float], seeds: Sequence[int], max_loss: float, seed: int
) -> None:
    if scale not in (*SCALES, "auto"):
        raise ScaleError(f"scale '{scale}' came; expected auto, {', '.join(SCALES)}")
    if isinstance(strengths, (int, float)) or isinstance(seeds, int):
        raise ConfigError(
            "one number came for strengths or seeds; give a list, such as strengths=(0.2,), seeds=(0,)"
        )
    if not strengths or not all(math.isfinite(strength) and strength > 0 for strength in strengths):
        raise ConfigError(
            f"strengths {tuple(strengths)} came; expected finite numbers above 0, such as (0.1, 0.2); to go the "
            "other way, exchange the two sets of texts"
        )
    if len(set(strengths)) < len(strengths):
        raise ConfigError(f"strengths {tuple(strengths)} came; give each once")
    if len(set(seeds)) < len(seeds) or seed < 0:
        raise ConfigError(
            f"seeds {tuple(seeds)} and seed {seed} came; give different seeds, and a seed of 0 or more"
        )
    if not seeds:
        raise ConfigError("no seed came; give at least one, such as seeds=(0, 1)")
    if not math.isfinite(max_loss):
        raise ConfigError(f"max_loss {max_loss} came; expected a finite number of nats a token, such as 0.5")


def _take_partition(loaded: LoadedModel, given: ScalePartition | None, *, stack: StackName) -> ScalePartition:
    sites = find_sites(loaded.network, stack=stack)
    n_layers = sites.stack.n_layers
    if given is None:
        return published_partition(loaded.architecture, n_layers) or ScalePartition.thirds(n_layers)
    choose_layers(sites, given, "local")
    return given


def _halve(texts: Sequence[str], rng: np.random.Generator) -> tuple[list[str], list[str]]:
    order = rng.permutation(len(texts))
    middle = len(texts) // 2
    return [texts[i] for i in order[:middle]], [texts[i] for i in order[middle:]]


def _default_prompts(judged: Sequence[Sequence[str]]) -> list[str]:
    beginnings = (" ".join(text.split()[:_PROMPT_WORDS]) for texts in judged for text in texts)
    return list(dict.fromkeys(beginnings))


def _turned(direction: Direction, rng: np.random.Generator) -> Direction:
    """Turn a direction at random, all layers by the same rotation: norms and angles between layers stay."""
    vectors = direction.vectors.astype(np.float64)
    n_layers, width = vectors.shape
    basis, upper = np.linalg.qr(rng.normal(size=(width, min(n_layers, width))))
    basis *= np.sign(np.diag(upper))  # else the rotation leans to one side (Mezzadri 2007)
    if n_layers < width:
        # The symmetric root of the layers' products, unlike singular vectors, has no signs left to chance.
        left, sizes, _ = np.linalg.svd(vectors, full_matrices=False)
        vectors = (left * sizes) @ left.T
    return Direction((vectors @ basis.T).astype(np.float32), "random")


def _name(towards: str | Sequence[str], away_from: str | Sequence[str]) -> str:
    names = [
        given if isinstance(given, str) else which
        for which, given in (("towards", towards), ("away", away_from))
    ]
    return "-".join(names)
