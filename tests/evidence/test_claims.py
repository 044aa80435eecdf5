"""Each verdict follows from results: contrary results turn it."""

from dataclasses import replace

import numpy as np
import pytest

from loralab.evidence.claims import claims_table, gain, judge, judge_claims, over, slope
from loralab.evidence.study import Evidence
from loralab.evidence.sweeps import Sweep
from loralab.evidence.timing import Timing
from loralab.messages import set_language
from loralab.profiles import load_profile

SEEDS = range(4)
RANKS = (1, 4, 8, 16, 32)


@pytest.fixture
def evidence(make):
    """A study's evidence, with what a test wants to be otherwise. `ranks` are how many of 1,000 each has right."""

    def build(
        full=800, ranks=(800,) * 5, losses=(0.5,) * 5, ratio=1.5, slow=None, full_rate=2.5e-5, lora_rate=2.5e-4,
        rank_rate=None, trainable=230_000, widest=None, test_size=1000, edge=False, saved=0.4, large=None,
    ):  # fmt: skip
        def runs(method, right, loss=0.5, **changes):
            each = right if isinstance(right, list) else [right + seed % 2 for seed in SEEDS]
            made = [make(method, each[seed], seed=seed, test_size=test_size, alpha=32, **changes) for seed in SEEDS]
            return [replace(r, test_losses=[loss] * 1000) for r in made]

        def swept(method, best, place="", step=2.0, **changes):
            rates = [best, step * best] if edge else [best / step, best, step * best]
            tried = [make(method, learning_rate=rate, **changes) for rate in rates]
            told = [[{"accuracy": 0.8, "loss": 0.4 + 0.1 * abs(np.log2(rate / best))}] for rate in rates]
            return Sweep([replace(r, epochs=e) for r, e in zip(tried, told, strict=True)], edge, place)

        counted = {"adapter": trainable - 770, "head": 770, "trainable": trainable, "total": 22_787_714}
        by_rank = [
            replace(r, parameters=counted if rank < 32 or not widest else counted | {"trainable": widest})
            for rank, right, loss in zip(RANKS, ranks, losses, strict=True)
            for r in runs("lora", right, loss, rank=rank)
        ]
        seconds = {"full": [ratio * (1 + 0.01 * (i % 3)) for i in range(30)], "lora": [1.0] * 30}
        seconds |= {f"r = {rank}": [slow or 1.0] * 30 for rank in RANKS if rank != 8}
        cells = [(f"r = {rank}", rows, 32) for rank in RANKS for rows in (1, 16)]
        planned = [
            {
                "place": p,
                "rows": r,
                "length": n,
                "full": 1000,
                "lora": round(1000 * (1 - (large or saved if r > 1 else saved))),
            }
            for p, r, n in cells
        ]
        return Evidence(
            track=replace(load_profile("study"), ranks=RANKS, targets={}),
            sweeps=[swept("full", full_rate), swept("lora", lora_rate)],
            finer=[swept("full", full_rate, step=1.41), swept("lora", lora_rate, step=1.41)],
            elsewhere=[swept("lora", rank_rate or lora_rate, "r = 1", rank=1)],
            comparison=[*runs("full", full), *(r for r in by_rank if r.experiment.rank == 8)],
            ranks=by_rank,
            timing=Timing(seconds=seconds, tokens=[1] * 30, expected={}),
            planned=planned,
        )  # fmt: skip

    return build


def judged(evidence):
    return {claim.name: claim for claim in judge_claims(evidence)}


@pytest.mark.parametrize(
    ("name", "contrary", "expected"),
    [
        ("share", {}, "confirmed"),  # 1.01 %
        ("share", {"trainable": 74_498}, "refuted"),
        ("share", {"widest": 2_300_000}, "depends"),  # on the rank
        ("speed", {"ratio": 1.5}, "refuted"),
        ("speed", {"ratio": 3.5}, "confirmed"),
        ("speed", {"ratio": 2.97}, "undecided"),
        ("speed", {"ratio": 3.5, "slow": 3.4}, "depends"),
        ("memory", {}, "refuted"),
        ("memory", {"saved": 0.5}, "confirmed"),
        ("memory", {"saved": 0.6, "large": 0.4}, "depends"),  # on the batch
        ("same", {}, "confirmed"),
        ("same", {"full": 860}, "refuted"),
        ("same", {"full": 740}, "confirmed"),  # that LoRA is better is as well too
        ("same", {"full": 812}, "undecided"),
        ("same", {"ranks": (700, 800, 800, 800, 800)}, "depends"),
        ("same", {"ranks": (792, 800, 800, 800, 800)}, "undecided"),  # at r = 1, and confirmed elsewhere
        ("rank", {"ranks": (700, 725, 750, 775, 800)}, "confirmed"),
        ("rank", {"ranks": (800, 790, 780, 770, 760)}, "refuted"),
        ("rank", {}, "refuted"),  # by less than matters
        ("rank", {"ranks": (800, 800, 800, 800, [830, 780, 820, 790])}, "undecided"),
        ("enough", {}, "confirmed"),
        ("enough", {"ranks": (700, 750, 750, 800, 850)}, "refuted"),
        ("enough", {"ranks": (700, 750, 850, 850, 850)}, "depends"),
        ("rate", {}, "confirmed"),
        ("rate", {"lora_rate": 1e-3}, "refuted"),
        ("rate", {"lora_rate": 2.5e-5}, "refuted"),
        ("rate", {"lora_rate": 4.4e-4}, "undecided"),  # 12 to 25
        ("rate", {"rank_rate": 4e-3}, "depends"),
        ("rate", {"edge": True}, "confirmed"),  # and marked
        ("small", {}, "confirmed"),
        ("small", {"trainable": 5_000_000}, "refuted"),
        ("small", {"widest": 5_000_000}, "depends"),
    ],
)
def test_contrary_results_turn_the_verdict(evidence, name, contrary, expected):
    assert judged(evidence(**contrary))[name].judged == expected


def test_what_was_measured_is_told_place_by_place_and_by_verdict(evidence):
    found = judged(evidence(ranks=(700, 800, 800, 800, 800), saved=0.6, large=0.4))
    same = found["same"].measured
    assert same.startswith("refuted, r = 1: −10.0 ± ") and ". confirmed, r = 4: 0.0 ± " in same
    memory = found["memory"].measured
    assert memory.startswith("confirmed, 1 × 32: 60.0%. refuted, 16 × 32: 40.0%. measured in the runs, batches of 16: ")
    mixed = [{"place": f"r = {r}", "rows": 4, "length": 16, "full": 100, "lora": 40 + r} for r in (1, 8, 16)]
    memory = judged(replace(evidence(), planned=mixed))["memory"]
    assert memory.measured.startswith("4 × 16: 44.0% to 59.0% (confirmed, r = 1, r = 8; refuted, r = 16). measured")
    assert memory.judged == "depends" and memory.points[0].place == "r = 1 · 4 × 16"
    assert found["rate"].measured == "r = 8: 10 times (7 to 14); r = 1: 10 times (6 to 17)"
    assert found["same"].behind == "4 seeds, 1,000 test examples"
    assert judged(evidence(edge=True))["rate"].measured.startswith("r = 8: 10 times (7 to 14) (at the edge); r = 1: 10")


def test_smaller_margins_are_judged_too(evidence):
    # LoRA is right 3 times in 1,000 less: −0.3 points ± 1.645·√(0.003/1000), from −0.58 to −0.02.
    found = judged(evidence(full=[803] * 4, ranks=([800] * 4,) * 5))["same"]
    assert found.margins == "± 0.50: undecided; ± 0.75: confirmed; ± 1.00: confirmed (points)"


def test_loss_is_judged_beside_accuracy_and_a_disagreement_is_said(evidence):
    found = judged(evidence(losses=(0.6, 0.5, 0.5, 0.5, 0.5)))["same"]
    assert found.judged == "confirmed"
    assert "r = 1: 0.0 ±" in found.measured and "−0.100 ± 0.000 nats, by loss: refuted; r = 4" in found.measured
    assert found.measured.count("by loss") == 1


def test_a_gain_is_paired_by_seed_and_example_and_more_is_better(make):
    worse, better = ([make("lora", right, seed=seed) for seed in (0, 1)] for right in (700, 750))
    assert gain([(1, better), (-1, worse)], "accuracy").mean == pytest.approx(0.05)
    # Every example that one has wrong the other has wrong too, but for 50: what luck can do is that of these.
    assert gain([(1, better), (-1, worse)], "accuracy").exam == pytest.approx((0.05 * 0.95 / 999) ** 0.5, rel=1e-6)
    losses = [[replace(r, test_losses=[loss] * 1000) for r in worse] for loss in (0.4, 0.5)]
    assert gain([(1, losses[0]), (-1, losses[1])], "loss").mean == pytest.approx(0.1)
    # The seeds that both have, in order, whatever order they come in.
    assert len(gain([(1, better[::-1]), (-1, worse[1:])], "accuracy").by_seed) == 1


def test_forgetting_is_judged_by_the_loss_on_editorials(make_answers):
    def runs(method, nats, seeds=(0, 1, 2)):
        made = [make_answers(method, seed=seed) for seed in seeds]
        return [replace(r, other_nats=[nats * 10 + i % 2 for i in range(40)], other_tokens=[10] * 40) for r in made]

    assert gain([(1, runs("lora", 3.4)), (-1, runs("full", 3.6))], "other").mean == pytest.approx(0.2)
    track = replace(load_profile("study").generation, ranks=(16,), targets={})
    for nats, verdict in ((3.4, "confirmed"), (3.8, "refuted"), (3.555, "undecided")):
        lora = runs("lora", nats)
        lora = [replace(r, other_nats=[x + s for x in r.other_nats]) for r, s in zip(lora, (-0.3, 0, 0.3), strict=True)]
        found = Evidence(track=track, comparison=[*runs("full", 3.6), *lora], ranks=lora)
        assert judged(found)["forget"].judged == verdict


def test_the_line_over_doublings_by_hand():
    # Scores 0, 1, 2 at r = 1, 2, 4 rise by 2 along the line; of r = 1 and r = 32 alone, it is their difference.
    assert np.dot(slope([1, 2, 4]), [0, 1, 2]) == pytest.approx(2)
    assert slope([1, 32]) == pytest.approx([-1, 1])
    # Doublings 0, 2, 3, 4, 5 around their mean 2.8, by the sum of squares 14.8, times 5.
    assert slope(RANKS) == pytest.approx([5 * (x - 2.8) / 14.8 for x in (0, 2, 3, 4, 5)])


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["confirmed"] * 2, "confirmed"), (["refuted"] * 2, "refuted"), (["undecided"], "undecided"),
        (["confirmed", "refuted", "undecided"], "depends"), (["confirmed", "undecided"], "undecided"),
    ],
)  # fmt: skip
def test_over_all_places(verdicts, expected):
    assert over(verdicts) == expected


def test_results_of_a_small_test_are_never_judged(evidence):
    assert {claim.judged for claim in judge_claims(evidence(test_size=99))} == {"not_judged"}
    assert "not_judged" not in {claim.judged for claim in judge_claims(evidence(test_size=100))}


def test_the_table_speaks_both_languages(evidence):
    found = judge_claims(evidence())
    table = claims_table(found)
    assert len(table) == 8 and list(table["verdict"])[:2] == ["confirmed", "refuted"]
    set_language("es")
    assert list(claims_table(judge_claims(evidence()))["veredicto"])[:2] == ["confirmado", "refutado"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(3.1, 4, "confirmed"), (1, 2, "refuted"), (2, 4, "undecided"), (3, 3, "confirmed"), (6, 7, "refuted")],
)
def test_an_interval_against_what_is_claimed(low, high, expected):
    assert judge(low, high, least=3, most=5) == expected
