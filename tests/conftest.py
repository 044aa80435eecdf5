"""What the unit tests share: English messages, and a results folder of each test's own."""

import pytest

from loralab.messages import set_language
from loralab.profiles import load_profile


@pytest.fixture(autouse=True)
def english():
    set_language("en")
    yield
    set_language("en")


@pytest.fixture(autouse=True)
def results(tmp_path, monkeypatch):
    monkeypatch.setenv("LORALAB_RESULTS", str(tmp_path / "results"))
    return tmp_path / "results"


@pytest.fixture(scope="session")
def smoke():
    return load_profile("smoke")
