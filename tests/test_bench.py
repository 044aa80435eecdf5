import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_bench_at_its_tiny_size(results):
    """Every contestant but TRL, which is installed for the bench alone, and every figure; their values are noise."""
    command = [sys.executable, str(Path(__file__).with_name("bench.py")), "--tiny"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    found = json.loads((results / "bench.json").read_text())
    figures = found["figures"]
    contestants = {"quixote, run", "quixote, trainer", "quixote, original", "films, run", "films, trainer"}
    assert set(figures) == contestants | {"machine"}
    assert all(name in ran.stdout for name in (*contestants, *figures["machine"]))
    assert found["one_batch"]["run"]["labels"] == found["one_batch"]["trainer"]["labels"] > 0
    assert figures["films, run"]["times run's"] == [1.0] and figures["quixote, original"]["times run's"][0] > 1
    assert all(0 < figures[name]["of the fp32 product"][0] < 1 for name in contestants)
    # Two ways of measuring: one step of ours, all steps of Trainer's. The largest batch is the same, or nearly.
    for task in ("quixote", "films"):
        ours, plain = (found["measured"][task][name] for name in ("run", "trainer"))
        assert ours["peak"] == pytest.approx(plain["peak"], rel=0.1)
        assert ours["operations"] <= 1.02 * plain["operations"]
