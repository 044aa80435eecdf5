"""Lessons under nbval: the smoke profile, and one results folder, as a student has who goes through them here.

What a lesson trained, a later one loads. Each alone, as in Colab, they run in `make test-all`.
"""

import os

import pytest

os.environ["LORALAB_PROFILE"] = "smoke"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    os.environ["LORALAB_RESULTS"] = str(item.config._tmp_path_factory.getbasetemp() / "results")
