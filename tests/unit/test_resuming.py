"""A folder is gone on with under the same settings only."""

import pytest

from msma.errors import StorageError
from msma.locking import folder_lock
from msma.resuming import check_settings
from msma.storage import write_json


def test_the_same_settings_go_on_and_others_are_named(tmp_path):
    path, settings = tmp_path / "a" / "settings.json", {"seed": 0, "model": {"name": "m", "layers": [1, 2]}}
    for _ in range(2):
        check_settings(path, settings, what="an audit")
    other = {"seed": 0, "model": {"name": "n", "layers": [1, 2]}}
    with pytest.raises(
        StorageError, match=r"holds an audit with model\.name = 'm', and this one has 'n'; choose"
    ):
        check_settings(path, other, what="an audit")


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="is a file; give a folder"):
        check_settings(tmp_path / "file" / "settings.json", {}, what="an audit")


@pytest.mark.parametrize("content", [[], "text", None, 3])
def test_a_file_of_something_else_is_named(tmp_path, content):
    write_json(tmp_path / "settings.json", content)
    with pytest.raises(StorageError, match=r"settings\.json' holds no settings; delete it"):
        check_settings(tmp_path / "settings.json", {"seed": 0}, what="an audit")


def test_leftovers_are_removed_under_the_lock_only(tmp_path):
    leftover = tmp_path / ".rows.json.0123456789abcdef.tmp"
    leftover.write_text("half")
    check_settings(tmp_path / "settings.json", {}, what="an audit")
    assert leftover.exists()
    with folder_lock(tmp_path, what="an audit"):
        check_settings(tmp_path / "settings.json", {}, what="an audit")
    assert not leftover.exists()
