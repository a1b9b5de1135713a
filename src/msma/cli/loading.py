"""A model and its scales, from what was written on the command line."""

from typing import Any

from msma.errors import ConfigError, ModelError


def load_audited(model: str, *, needs_head: bool, **options: Any) -> Any:
    """Load a model with its language head where it has one; without one what needs none can still be done.

    Args:
        model: Name or folder.
        needs_head: Whether something was asked for that cannot do without.
        **options: How to load it.

    Returns:
        The model.

    Raises:
        ModelError: When it has no head and needs one, or cannot be loaded.
    """
    from msma.models import load_model, load_with_head
    from msma.study import find_model

    source, name = find_model(model)
    if not needs_head:
        return load_with_head(source, name=name, **options)
    try:
        return load_model(source, name=name, has_head=True, **options)
    except ModelError as error:
        raise ModelError(
            f"{str(error).rstrip('.')}; CrowS-Pairs, StereoSet and WinoBias need one: leave them out, and "
            "association tests, where the bias lives and --erase remain"
        ) from error


def read_partition(given: str, loaded: Any, *, stack: Any) -> Any:
    """Find the scales of a model.

    Args:
        given: "thirds", "published", ranges such as "0-2|3-4|5-6", or a file.
        loaded: The model.
        stack: Which stack of an encoder-decoder.

    Returns:
        A partition of its layers.

    Raises:
        ConfigError: When nothing was published for it.
        ScaleError: When the ranges do not fit it.
    """
    from msma.interventions.sites import find_sites
    from msma.scales import ScalePartition, published_partition

    n_layers = find_sites(loaded.network, stack=stack).stack.n_layers
    if given == "thirds":
        return ScalePartition.thirds(n_layers)
    if given == "published":
        found = published_partition(loaded.architecture, n_layers)
        if found is None:
            raise ConfigError(
                f"nothing was published for a {loaded.architecture} of {n_layers} layer entries; give ranges, a "
                "file written by 'msma scales', or 'thirds'"
            )
        return found
    if "|" in given:
        return ScalePartition.parse(given, n_layers=n_layers)
    return ScalePartition.load(given)
