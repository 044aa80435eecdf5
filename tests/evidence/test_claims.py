"""Each verdict follows from results: contrary results turn it."""

from dataclasses import replace

import numpy as np
import pytest

from loralab.evidence.claims import claims_table, judge, judge_claims
from loralab.evidence.study import Evidence, Sweep
from loralab.evidence.timing import Timing
from loralab.messages import set_language
from loralab.profiles import load_profile

SEEDS = range(5)
RANKS = (1, 8, 32)


@pytest.fixture
def evidence(make):
    """A study's evidence, with what a test wants to be otherwise."""

    def build(
        full=800, lora=800, ranks=(800, 800, 800), ratio=1.5, full_peak=500, lora_peak=300, full_rate=1e-4,
        lora_rate=1e-3, trainable=74_498, test_size=1000, edge=False, root=None,
        step=1.3, widest=None,
    ):  # fmt: skip
        def runs(method, right, **changes):
            each = right if isinstance(right, list) else [right + seed % 2 for seed in SEEDS]
            return [make(method, each[seed], seed=seed, test_size=test_size, **changes) for seed in SEEDS]

        def swept(method, best):
            rates = [best, 2 * best, 4 * best] if edge else [best / step, best, step * best]
            tried = [make(method, learning_rate=rate) for rate in rates]
            losses = [[{"accuracy": 0.8, "loss": 0.4 + 0.1 * abs(np.log2(rate / best))}] for rate in rates]
            return Sweep([replace(r, epochs=e) for r, e in zip(tried, losses, strict=True)], extended=edge)

        counted = {"adapter": trainable - 770, "head": 770, "trainable": trainable, "total": 22_787_714}
        tuned = [replace(r, parameters=counted) for r in runs("lora", lora, peak=lora_peak)]
        by_rank = [
            replace(r, parameters=counted if rank < 32 or not widest else counted | {"trainable": widest})
            for rank, right in zip(RANKS, ranks, strict=True)
            for r in runs("lora", right, rank=rank, peak=lora_peak)
        ]
        seconds = {"full": [ratio * (1 + 0.01 * (i % 3)) for i in range(30)], "lora": [1.0] * 30}
        steps = {"tokens": [1] * 30, "expected": {}}
        return Evidence(
            track=replace(load_profile("study"), ranks=RANKS),
            sweeps=[swept("full", full_rate), swept("lora", lora_rate)],
            comparison=[*runs("full", full, peak=full_peak), *tuned],
            ranks=by_rank,
            scales=runs("rslora", root, rank=32) if root else [],
            timing=Timing(task="classification", profile="study", device="", seconds=seconds, **steps),
        )

    return build


def verdicts(evidence):
    return {claim.name: claim.judged for claim in judge_claims(evidence)}


@pytest.mark.parametrize(
    ("name", "contrary", "expected"),
    [
        ("share", {}, "refuted"),  # 0.33 %
        ("share", {"trainable": 230_000}, "confirmed"),
        ("share", {"trainable": 2_300_000}, "refuted"),
        ("share", {"trainable": 230_000, "widest": 2_300_000}, "undecided"),  # it depends on the rank
        ("speed", {"ratio": 1.5}, "refuted"),
        ("speed", {"ratio": 3.5}, "confirmed"),
        ("speed", {"ratio": 2.97}, "undecided"),
        ("memory", {"lora_peak": 300}, "refuted"),
        ("memory", {"lora_peak": 200}, "confirmed"),
        ("memory", {"lora_peak": 700}, "refuted"),
        ("same", {"full": 801}, "confirmed"),
        ("same", {"full": 860}, "refuted"),
        ("same", {"full": 740}, "refuted"),
        ("same", {"full": 812}, "undecided"),
        ("rank", {"ranks": (700, 750, 800)}, "confirmed"),
        ("rank", {"ranks": (800, 750, 700)}, "refuted"),
        ("rank", {"ranks": (800, 800, 801)}, "refuted"),
        ("rank", {"ranks": (800, 800, [830, 780, 820, 790, 810])}, "undecided"),
        ("rank", {"ranks": (800, 800, 807)}, "undecided"),  # surely higher, but perhaps by less than matters
        ("enough", {"ranks": (700, 800, 800)}, "confirmed"),
        ("enough", {"ranks": (700, 750, 850)}, "refuted"),
        ("enough", {"ranks": (700, 800, 810)}, "undecided"),
        ("enough", {"ranks": (700, 800, 800), "root": 801}, "confirmed"),
        ("enough", {"ranks": (700, 800, 800), "root": 850}, "refuted"),  # by another scale rule alone
        ("enough", {"ranks": (700, 800, 800), "root": 810}, "undecided"),
        ("rate", {}, "confirmed"),
        ("rate", {"step": 2}, "undecided"),  # 2.5 to 40: each of the two rates is known to within a factor of two
        ("rate", {"lora_rate": 4e-3}, "refuted"),
        ("rate", {"lora_rate": 1e-4}, "refuted"),
        ("rate", {"edge": True}, "undecided"),
        ("small", {}, "confirmed"),
        ("small", {"trainable": 5_000_000}, "refuted"),
    ],
)
def test_contrary_results_turn_the_verdict(evidence, name, contrary, expected):
    assert verdicts(evidence(**contrary))[name] == expected


def test_a_confirmed_difference_is_read_off_the_numbers(evidence):
    found = {claim.name: claim.measured for claim in judge_claims(evidence(full=860, ratio=3.5))}
    assert found["same"].startswith("r = 8: +6.0 ±") and found["speed"].startswith("3.53 times (3.5")
    assert found["memory"] == "40.0%" and found["share"] == "0.33%"
    assert found["rate"] == "10 times (6 to 17)"


def test_a_claim_names_the_range_over_ranks_and_the_runs_that_it_used(evidence):
    judged = {c.name: c for c in judge_claims(evidence(trainable=230_000, widest=2_300_000, root=801))}
    assert judged["share"].measured == "1.01%; from 1.01% to 10.09% over ranks and modules"
    # r = 8 and r = 32 with alpha fixed, and r = 32 by the other rule, five seeds each: r = 1 has no part in it.
    assert judged["enough"].behind == "15 runs"


def test_results_of_a_small_test_are_never_judged(evidence):
    assert set(verdicts(evidence(test_size=99)).values()) == {"not_judged"}
    assert "not_judged" not in verdicts(evidence(test_size=100)).values()


def test_the_table_speaks_both_languages(evidence):
    judged = judge_claims(evidence())
    table = claims_table(judged)
    assert len(table) == 8 and list(table["verdict"])[:2] == ["refuted", "refuted"]
    set_language("es")
    assert list(claims_table(judged)["veredicto"])[:2] == ["refutado", "refutado"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(3.1, 4, "confirmed"), (1, 2, "refuted"), (2, 4, "undecided"), (3, 3, "confirmed"), (6, 7, "refuted")],
)
def test_an_interval_against_what_is_claimed(low, high, expected):
    assert judge(low, high, least=3, most=5) == expected
