"""Lessons under nbval: the smoke profile, and for each lesson a results folder of its own.

So every lesson is tested as a student may open it: alone, with nothing from another lesson to lean on.
"""

import os

import pytest

os.environ["LORALAB_PROFILE"] = "smoke"
_folders: dict[str, str] = {}


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    if item.path not in _folders:
        _folders[item.path] = str(item.config._tmp_path_factory.mktemp(item.path.stem))
    os.environ["LORALAB_RESULTS"] = _folders[item.path]
