"""Lessons under nbval: the smoke profile, and for each lesson a results folder of its own.

So every lesson is tested as a student may open it: alone, with nothing from another lesson to lean on.
"""

import os
from pathlib import Path

import pytest

os.environ["LORALAB_PROFILE"] = "smoke"
_folders: dict[Path, Path] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.path not in _folders:
        _folders[item.path] = item.config._tmp_path_factory.mktemp(item.path.stem)
    os.environ["LORALAB_RESULTS"] = str(_folders[item.path])
