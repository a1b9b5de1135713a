"""Studies of tiny models, run once."""

import shutil

import pytest
from filelock import FileLock

from explained_study import make_study
from msma.configuration import StudyConfig
from msma.storage import read_json
from msma.study import Study


def share_study(tmp_path_factory, worker_id, name, **settings):
    """Run a study, or copy the one that another worker of this run has finished."""
    own = tmp_path_factory.mktemp(name)
    if worker_id == "master":
        return make_study(own, **settings)
    common = tmp_path_factory.getbasetemp().parent / f"study-of-{name}"
    with FileLock(f"{common}.lock"):
        if not (common / "study" / "study.json").is_file():
            make_study(common, **settings)
    # A copy, since tests keep explanations in the folder of their study.
    shutil.copytree(common / "study", own / "study")
    return Study(StudyConfig.from_dict(read_json(own / "study" / "settings.json")), own / "study")


@pytest.fixture(scope="session")
def decoder_study(tmp_path_factory, worker_id):
    return share_study(tmp_path_factory, worker_id, "decoder")


@pytest.fixture(scope="session")
def sentence_study(tmp_path_factory, worker_id):
    return share_study(tmp_path_factory, worker_id, "encoder", family="bert", unit="sentence")
