"""An explanation in rows and in words."""

from typing import TYPE_CHECKING

from msma.explanation.parts import Attribution, Decoding, Departure, Place
from msma.results import Row

if TYPE_CHECKING:
    from msma.explanation.record import Explanation

#: Above this a p-value is no evidence, and the sentence says so.
_LEVEL = 0.05
_SHOWN_TOKENS, _SHOWN_WORDS = 4, 5


def list_rows(explanation: "Explanation") -> tuple[Row, ...]:
    """Give every number of an explanation as rows.

    Args:
        explanation: The explanation.

    Returns:
        Typicality, coordinates, faithfulness, decoding and departures.
    """
    n = len(explanation.tokens)
    rows: list[Row] = []
    for place in explanation.places:
        rows += [
            Row(metric="distance", value=place.distance, target=place.scale, n=n, better="none"),
            Row(metric="typicality_p", value=place.p_value, target=place.scale, n=n, better="none"),
        ]
        rows += [
            Row(
                metric=f"near_label {label.column}={label.value}",
                value=label.share,
                null=label.base,
                target=place.scale,
            )
            for label in place.labels
        ]
    for item in explanation.attributions:
        shared = {"target": item.scale, "map": item.method, "n": n, "units": "standard deviations"}
        rows += [
            Row(metric=f"coordinate {item.direction}", value=item.coordinate, **shared),  # type: ignore[arg-type]
            Row(
                metric="comprehensiveness",
                value=item.comprehensiveness,
                null=item.random,
                better="higher",
                note="the scores have not been checked"
                if item.p_value is None
                else f"p = {item.p_value:.3g} among as many tokens deleted at random",
                **shared,  # type: ignore[arg-type]
            ),
        ]
    rows += [
        Row(
            metric="decoding_auc",
            value=item.auc,
            null=item.control,
            better="higher",
            source=item.path[0],
            target=item.path[-1],
            map=item.method,
            note=f"p = {item.p_value:.3g} among decodings of other texts",
        )
        for item in explanation.decodings
    ]
    for departure in explanation.departures:
        source, target = departure.pair
        for metric, values in (
            ("sentence_departure_p", departure.sentence_p_values),
            ("token_departure_p", departure.token_p_values),
        ):
            if values:
                rows.append(
                    Row(
                        metric=metric,
                        value=min(values),
                        source=source,
                        target=target,
                        n=len(values),
                        note="the smallest of them",
                    )
                )
    return tuple(rows)


def say_findings(explanation: "Explanation") -> list[str]:
    """Say in words what was found.

    Args:
        explanation: The explanation.

    Returns:
        Sentences.
    """
    said = [_say_place(place) for place in explanation.places]
    methods = list(dict.fromkeys(item.method for item in explanation.attributions))
    if methods:
        said += [_say_tokens(explanation, a) for a in explanation.attributions if a.method == methods[0]]
    said += [_say_words(item) for item in explanation.decodings if len(item.path) > 1]
    said += [text for item in explanation.departures if (text := _say_departure(explanation, item))]
    if explanation.is_cut:
        said.append("The text was longer than the model reads, and was cut.")
    return said


def _say_place(place: Place) -> str:
    kind = "untypical for" if place.p_value <= _LEVEL else "typical of"
    said = f"At the {place.scale} scale the text is {kind} the corpus (p {place.p_value:.2g})"
    label = next((label for label in place.labels if label.share - label.base > 0.1), None)
    if label is not None:
        said += (
            f", near {label.column} {label.value} ({label.share:.0%} of the nearest, {label.base:.0%} of all)"
        )
    return said + "."


def _say_tokens(explanation: "Explanation", item: Attribution) -> str:
    order = sorted(range(len(item.scores)), key=lambda k: -item.scores[k])
    words = ", ".join(
        f"'{explanation.tokens[k].text.strip()}'" for k in order[:_SHOWN_TOKENS] if item.scores[k] > 0
    )
    if item.p_value is None:
        return (
            f"At the {item.scale} scale {words or 'no token'} scored highest; whether these tokens matter has not been "
            "checked."
        )
    is_faithful = item.p_value <= _LEVEL
    verdict = f"{say_deletions(item, what='its coordinate')} (p {item.p_value:.2g})"
    if not is_faithful:
        return (
            f"Which tokens drive the {item.scale} scale cannot be said: {verdict}, so the scores are not shown to be "
            "better than chance."
        )
    return f"The {item.scale} scale is driven by {words or 'no token'}: {verdict}."


def say_deletions(item: Attribution, *, what: str) -> str:
    r"""Say how far a coordinate moves without the tokens that score highest, and without random ones.

    Args:
        item: An attribution whose scores were checked.
        what: Name of the coordinate.

    Returns:
        Half a sentence; a coordinate that rises is said to be raised, not lowered by less than nothing.

    Examples:
        >>> item = Attribution(
        ...     scale="local", method="occlusion", direction="own", coordinate=1.0, scores=(1.0,),
        ...     comprehensiveness=-0.25, random=0.5, p_value=1.0,
        ... )
        >>> print(say_deletions(item, what="it").replace(", ", ",\n"))
        deleting the tokens that score highest raises it by 0.25 standard deviations,
        as many random ones lower it by 0.50
    """
    top, random = float(item.comprehensiveness or 0.0), float(item.random or 0.0)
    is_alike = (top < 0.0) == (random < 0.0)
    others = "by" if is_alike else f"{'raise' if random < 0.0 else 'lower'} it by"
    moved = "raises" if top < 0.0 else "lowers"
    return (
        f"deleting the tokens that score highest {moved} {what} by {abs(top):.2f} standard deviations, as many random "
        f"ones {others} {abs(random):.2f}"
    )


def _say_words(item: Decoding) -> str:
    way = " to ".join(item.path)
    words = ", ".join(word for word, _ in item.words[:_SHOWN_WORDS])
    beyond = "beyond" if item.p_value <= _LEVEL else "not beyond"
    return (
        f"From {way} the state reads as {words} ({item.method}; AUC of the text's own tokens {item.auc:.2f}, "
        f"{item.control:.2f} for other texts: {beyond} chance, p {item.p_value:.2g})."
    )


def _say_departure(explanation: "Explanation", item: Departure) -> str:
    values = item.sentence_p_values
    if not values:
        return ""
    smallest = min(range(len(values)), key=values.__getitem__)
    if values[smallest] > _LEVEL:
        return f"No sentence departs from what the themes predict at the {item.pair[1]} scale."
    sentence = explanation.sentences[smallest].text
    shown = sentence if len(sentence) <= 80 else sentence[:79] + "…"
    # The smallest of several p-values is small by itself (Bonferroni).
    hint = (
        ""
        if values[smallest] * len(values) <= _LEVEL
        else f"; of {len(values)} sentences, so no more than a hint"
    )
    return (
        f"At the {item.pair[1]} scale the sentence '{shown}' departs from what the themes predict "
        f"(p {values[smallest]:.2g}{hint})."
    )
