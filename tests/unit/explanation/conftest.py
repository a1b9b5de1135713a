"""Studies of tiny models, run once."""

import pytest

from explained_study import make_study


@pytest.fixture(scope="session")
def decoder_study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("decoder"))


@pytest.fixture(scope="session")
def sentence_study(tmp_path_factory):
    return make_study(tmp_path_factory.mktemp("encoder"), family="bert", unit="sentence")
