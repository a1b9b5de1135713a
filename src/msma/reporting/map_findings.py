"""What the data say about the maps between scales, in sentences chosen by rules."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from msma._types import COMPOSED_PAIR, PAIRS
from msma.plotting.words import map_name, pair_name, wording
from msma.reporting.numbers import begin, join_words, show, show_interval, show_share
from msma.results import Result, Row

BETTER, WORSE, LEVEL, UNTESTED = "better", "worse", "no clear change", "–"
_CHANGES = {"higher": (BETTER, WORSE), "lower": (WORSE, BETTER)}


class Score(NamedTuple):
    """One measure of one pair, before and after mapping.

    Args:
        metric: Name of the quantity.
        pair: Scales mapped from and to, in words.
        before: The row before mapping, where there is one.
        after: The row after mapping.
        change: "better", "worse", "no clear change" (the intervals overlap), or an en dash.
    """

    metric: str
    pair: str
    before: Row | None
    after: Row
    change: str


def find_row(rows: Sequence[Row] | Result, metric: str, **columns: str | None) -> Row | None:
    """Return the first row with a value that matches, if any.

    Args:
        rows: Rows of a result.
        metric: Name of the quantity.
        **columns: Columns and the value each must have.

    Returns:
        The row, or ``None``.
    """
    for row in rows:
        if row.metric != metric or row.value is None:
            continue
        if all(getattr(row, column) == value for column, value in columns.items()):
            return row
    return None


def is_apart(one: Row, other: Row) -> bool:
    """Tell whether the intervals of two rows do not touch.

    Args:
        one: A row.
        other: Another.

    Returns:
        Whether both have an interval and they do not overlap.

    Examples:
        >>> a, b = Row(metric="r2", value=0.5, low=0.4, high=0.6), Row(metric="r2", value=0.8, low=0.7, high=0.9)
        >>> is_apart(a, b), is_apart(a, a)
        (True, False)
    """
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    return one.high < other.low or other.high < one.low


def judge(before: Row | None, after: Row) -> str:
    """Say whether a measure changed by more than its intervals.

    Args:
        before: The row before mapping.
        after: The row after.

    Returns:
        "better", "worse", "no clear change" or an en dash.

    Examples:
        >>> judge(
        ...     Row(metric="kl", value=9.0, low=8.0, high=10.0, better="lower"),
        ...     Row(metric="kl", value=2.0, low=1.0, high=3.0, better="lower"),
        ... )
        'better'
    """
    if before is None or before.value is None or after.value is None or after.better not in _CHANGES:
        return UNTESTED
    if None in (before.low, before.high, after.low, after.high):
        return UNTESTED
    if not is_apart(before, after):
        return LEVEL
    up, down = _CHANGES[after.better]
    return up if after.value > before.value else down


def collect_scores(evaluation: Result) -> list[Score]:
    """Pair each value after mapping with the one before.

    Args:
        evaluation: The evaluation table.

    Returns:
        Scores grouped by metric in the table's order; rows without a value are kept, for their note.
    """
    scores = []
    for metric in dict.fromkeys(row.metric for row in evaluation):
        for row in evaluation.where(metric=metric):
            if row.map == "none":
                continue
            before = find_row(evaluation, metric, map="none", source=row.source, target=row.target)
            scores.append(Score(metric, pair_name(row.source, row.target), before, row, judge(before, row)))
    return scores


def describe_pair(evaluation: Result, source: str, target: str, *, best_map: str) -> str:
    """Say in plain words how well one scale maps onto the next.

    Args:
        evaluation: The evaluation table.
        source: Scale mapped from.
        target: Scale mapped to.
        best_map: The map evaluated.

    Returns:
        Up to three sentences; empty where nothing was measured.
    """
    where = {"source": source, "target": target}
    parts = []
    fit = find_row(evaluation, "r2", map=best_map, **where)
    is_composed = (source, target) == COMPOSED_PAIR
    means = f"a chain of two {map_name(best_map)} maps" if is_composed else f"a {map_name(best_map)} map"
    if fit is not None:
        parts.append(_say_fit(fit, f"From the {source} scale, {means}", target))
    gap = find_row(evaluation, "kl", map=best_map, **where)
    if gap is not None:
        parts.append(_say_gap(gap, find_row(evaluation, "kl", map="none", **where)))
    return " ".join(parts)


def _say_fit(fit: Row, subject: str, target: str) -> str:
    low, high = show_share(fit.low), show_share(fit.high)
    between = f" (95% interval {low} to {high})" if fit.low is not None and fit.high is not None else ""
    null = f"; with the pairs shuffled it would be {show_share(fit.null)}" if fit.null is not None else ""
    chance = max(fit.null or 0.0, 0.0)
    if fit.low is not None and fit.low <= chance:
        return f"{subject} does not clearly predict the {target} states of new texts: R² {show_interval(fit)}{null}."
    share = show_share(fit.value)
    return f"{subject} predicts {share} of the variance of the {target} states of new texts{between}{null}."


def _say_gap(gap: Row, before: Row | None) -> str:
    value = f"{show_interval(gap)} {gap.units}"
    if before is None:
        text = f"The two distributions then differ by {value}"
    else:
        text = f"The divergence between the two distributions goes from {show(before.value)} to {value}"
    if gap.floor is None:
        return f"{text}."
    floor = f"the noise floor of {show(gap.floor)}"
    # The truth is never below zero, whatever the floor happened to come out at.
    if gap.low is not None and gap.low <= max(gap.floor, 0.0):
        return f"{text}, which cannot be told from {floor}."
    return f"{text}; what remains lies above {floor}."


def title_maps(maps: Result, best_map: str) -> str:
    """Say which map predicts best and which matches the distribution best, as far as intervals tell.

    Args:
        maps: The comparison of maps.
        best_map: The one that was kept.

    Returns:
        A title.
    """
    rows = [row for row in maps if row.metric == "r2" and row.split == "test" and row.value is not None]
    names = list(dict.fromkeys(row.map for row in rows if row.map is not None and row.map != best_map))
    level = [name for name in names if not _is_beaten(rows, name, best_map)]
    name = map_name(best_map)
    if level:
        also = join_words([map_name(other) for other in level])
        title = f"{begin(name)} was chosen on validation texts; on test texts {also} cannot be told from it"
    else:
        title = f"{begin(name)} predicts best, on validation and on test texts"
    gaps = [row for row in maps if row.metric == "kl" and row.split == "test" and row.value is not None]
    closest = _closest(gaps)
    if closest is not None and closest != best_map:
        title += f"; {map_name(closest)} comes closest in distribution"
    return title


def _is_beaten(rows: Sequence[Row], name: str, best_map: str) -> bool:
    """Tell whether a map lies clearly below the best one on at least one pair."""
    for source, target in PAIRS:
        mine = find_row(rows, "r2", map=name, source=source, target=target)
        best = find_row(rows, "r2", map=best_map, source=source, target=target)
        if mine is None or best is None:
            continue
        if is_apart(mine, best) and (mine.value or 0.0) < (best.value or 0.0):
            return True
    return False


def _closest(gaps: Sequence[Row]) -> str | None:
    totals: dict[str, float] = {}
    for row in gaps:
        if row.map is not None and row.value is not None:
            totals[row.map] = totals.get(row.map, 0.0) + row.value
    counts = Counter(row.map for row in gaps)
    whole = {name: total for name, total in totals.items() if counts[name] == max(counts.values())}
    return min(whole, key=lambda name: whole[name]) if whole else None


def title_measures(scores: Sequence[Score]) -> str:
    """Count what mapping changes beyond its intervals; published quantities do not count.

    Args:
        scores: Every measure, before and after.

    Returns:
        A title.
    """
    judged = Counter(s.change for s in scores if s.change != UNTESTED and not wording(s.metric).is_paper)
    total = sum(judged.values())
    if total == 0:
        return "Measures after mapping; without intervals before and after, nothing says what changed"
    parts = [f"{judged[BETTER]} get better beyond their intervals"]
    parts += [f"{judged[LEVEL]} show no clear change"] if judged[LEVEL] else []
    parts += [f"{judged[WORSE]} get worse"] if judged[WORSE] else []
    return f"Of {total} comparisons before and after mapping, {join_words(parts)}"
