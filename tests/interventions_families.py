"""What the tests of interventions share: models, their blocks, and every layer entry of a text."""

from functools import cache

import torch

from msma.interventions.sites import find_sites


@cache
def build(family):
    return family.build()


@cache
def sites_of(family):
    return find_sites(build(family), stack=family.stack)


def entries(stack, *rows):
    """Layer entries of texts, in the batch as given."""
    found = {}
    with torch.no_grad(), stack.reading(lambda k, states: found.__setitem__(k, states.clone())) as run:
        run(stack.collate(list(rows)))
    return found
