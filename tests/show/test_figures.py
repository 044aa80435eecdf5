import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from loralab.lessons import diagrams
from loralab.memory import figures as memory_figures
from loralab.memory.measurement import published
from loralab.messages import number, set_language
from loralab.show import figures
from loralab.show.plotting import BLUE, LINES, ORANGE, Picture
from loralab.show.scores import SCORES
from loralab.show.stats import Difference


def title(picture):
    return picture.figure.get_suptitle().replace("\n", " ")


PEAKS = np.array([[100, 200], [400, 800]]) * 2.0**20


def bars():
    """Three published steps, as planned and as measured."""
    sizes = {size.plan.experiment.method: size for size in published()[:3]}
    plans = {method: size.plan for method, size in sizes.items()}
    return memory_figures.memory_bars(plans, {method: size.peak for method, size in sizes.items()})


def every(make, make_answers):
    """Every figure there is, once."""
    ones = [make(seed=0), make(seed=1)]
    return {
        "accuracy_by_strength": diagrams.accuracy_by_strength(
            [0.1, 3.0, -3.0, 1.2, 0.7, 1.7, 2.2], {"x": [0.5] + [1] * 6}
        ),
        "length_histogram": diagrams.length_histogram([5, 7, 9, 40], 16),
        "padding_bars": diagrams.padding_bars({"512": 0.95, "batch": 0.5}),
        "lora_diagram": diagrams.lora_diagram(),
        "encoder_diagram": diagrams.encoder_diagram(6, 384),
        "parameters_against_rank": diagrams.parameters_against_rank({1: 768, 8: 6144}, 384, 384),
        "loss_curves": figures.loss_curves([make("full"), make("lora")]),
        "accuracy_against_rate": figures.accuracy_against_rate([make("full"), make("lora")]),
        "who_is_right": figures.who_is_right(make(right=800), make(right=850), ("a", "b")),
        "scale_rules": diagrams.scale_rules(
            [1, 8], {"fixed": [0.1, 0.1], "proportional": [0.1, 0.8], "root": [0.1, 0.3]}
        ),
        "winners_luck": diagrams.winners_luck([0.5, 0.6, 0.7], 5),
        "score_against_rank": figures.score_against_rank([*ones, make(rank=4, seed=0)], "The verdict"),
        "score_against_rank, generation": figures.score_against_rank(
            [make_answers(), make_answers(rank=4)], "The verdict"
        ),
        "comparison_panel": figures.comparison_panel([make("full", seconds=60)], [make("lora")], "The title"),
        "comparison_panel, generation": figures.comparison_panel(
            [make_answers("full")], [make_answers("lora")], "The title"
        ),
        "ruler": figures.ruler(Difference((0.01, 0.02), 0.004), 0.01, "The verdict"),
        "ruler, generation": figures.ruler(Difference((0.1, 0.2), 0.04), 0.05, "The verdict", SCORES["generation"]),
        "token_boxes": diagrams.token_boxes(["<|im_start|>", "user⏎", "Hi", "assistant⏎", "Yes"], [False] * 4 + [True]),
        "gained_and_forgotten": figures.gained_and_forgotten(
            make_answers("base", nats=80), [make_answers("full", other=3.9), make_answers("lora", other=3.6)]
        ),
        "memory_bars": bars(),
        "crossover": memory_figures.crossover(PEAKS, {"a": PEAKS / 4, "b": PEAKS * 1.5}, (1, 16), (64, 512)),
        "loss_curves, generation": figures.loss_curves([make_answers("full"), make_answers("lora")]),
    }


@pytest.mark.parametrize("language", ["es", pytest.param("en", marks=pytest.mark.slow)])
def test_each_has_a_title_axes_with_names_a_text_with_numbers_and_letters_for_a_phone(language, make, make_answers):
    set_language(language)
    pictures = every(make, make_answers)
    drawn = {
        name
        for module in (diagrams, figures, memory_figures)
        for name, thing in vars(module).items()
        if getattr(thing, "__annotations__", {}).get("return") is Picture and not name.startswith("_")
    }
    assert drawn == {name.split(",")[0] for name in pictures}
    for name, picture in pictures.items():
        assert title(picture), name
        assert len(re.findall(r"\d", picture.alt)) >= 2 or name == "lora_diagram", name
        assert picture.png.startswith(b"\x89PNG")
        for axes in picture.figure.axes:
            if axes.axison and not name.startswith("comparison_panel"):
                assert axes.get_xlabel() or len(picture.figure.axes) > 1, name
        shown = picture._repr_html_()
        assert re.match(r'<img style="width:600px;max-width:100%" alt="[^"]+" src="data:image/png;base64,', shown)
        width = picture.figure.get_size_inches()[0]
        for text in picture.figure.findobj(lambda artist: hasattr(artist, "get_fontsize") and artist.get_text()):
            on_a_phone = text.get_fontsize() / 72 / width * 360  # CSS pixels on a screen 360 wide
            assert on_a_phone >= 8.5, (name, text.get_text())


def test_titles_say_what_the_data_shows(make):
    assert title(diagrams.padding_bars({"512": 0.95, "batch": 0.5})) == (
        "Padding “to 512” processes 10.0 times as many tokens as “per batch”"
    )
    assert "Above r = 192" in title(diagrams.parameters_against_rank({1: 768}, 384, 384))
    assert "at most 8 tokens; texts cut at 16: 1" in title(diagrams.length_histogram([5, 7, 9, 40], 16))
    worse = replace(make("lora"), epochs=[{"loss": 0.4}, {"loss": 0.6}])
    assert title(figures.loss_curves([make("full"), worse])) == (
        "Validation loss after the last epoch: full: 0.500; LoRA: 0.600"
    )
    assert "scores 0.60 points above the truth" in title(diagrams.winners_luck([0.5, 0.6, 0.7], 5))
    strengths = diagrams.accuracy_by_strength([0.1, 0.2, 3.0], {"a judge": [0, 1, 1]})
    assert (
        title(strengths)
        == "Right on mild sentences (below 0.5): a judge: 50%. On strong ones (from 2.5): a judge: 100%"
    )


def test_the_rate_title_turns_with_the_results(make):
    def at(method, rate, accuracy):
        return replace(make(method, learning_rate=rate), epochs=[{"accuracy": accuracy, "loss": 0.5}])

    apart = [at("full", 1e-5, 0.8), at("full", 1e-3, 0.5), at("lora", 1e-5, 0.6), at("lora", 1e-3, 0.8)]
    assert title(figures.accuracy_against_rate(apart)).startswith(
        "Of the rates tried, the best is not the same: full, 1e-5"
    )
    agree = [at("full", 1e-5, 0.8), at("full", 1e-3, 0.5), at("lora", 1e-5, 0.9), at("lora", 1e-3, 0.8)]
    assert title(figures.accuracy_against_rate(agree)).startswith("Of the rates tried, the best is the same")


def test_who_is_right_adds_up(make):
    picture = figures.who_is_right(make(right=800), make(right=850), ("a", "b"))
    assert "a: 80.0%; b: 85.0%. Only one is right on 5.0%" in title(picture)
    assert "both models right: 80.0%; only “a” right: 0.0%; only “b” right: 5.0%; neither right: 15.0%" in picture.alt


def test_each_seed_is_a_dot(make):
    picture = figures.score_against_rank([make(seed=0), make(seed=1, right=700)], "verdict")
    assert "seed 0: r=8 80.0; seed 1: r=8 70.0" in picture.alt
    assert "60 / 50" in figures.comparison_panel([make("full", seconds=60)], [make("lora")], "title").alt


def test_the_studys_five_seeds_look_different(make):
    results = [make(rank=rank, seed=seed) for rank in (4, 8) for seed in range(5)]
    axes = figures.score_against_rank(results, "verdict").figure.axes[0]
    looks = [(line.get_marker(), line.get_color()) for line in axes.lines if line.get_label().startswith("seed")]
    assert len(looks) == len(set(looks)) == 5


def test_losses_are_shown_in_nats(make_answers):
    picture = figures.score_against_rank([make_answers(), make_answers(rank=4, nats=50)], "verdict")
    assert "seed 0: r=16 2.000, r=4 2.500" in picture.alt
    assert picture.figure.axes[0].get_ylabel() == "test loss (nats, n=20)"
    panel = figures.comparison_panel([make_answers("full", nats=42)], [make_answers("lora")], "title")
    assert "test loss (nats, n=20): 2.100 / 2.000" in panel.alt
    ruler = figures.ruler(Difference((0.1, 0.2), 0.0), 0.05, "verdict", SCORES["generation"])
    assert "0.1500 ± 0.6353 (95%)" in ruler.alt and "0.1000, 0.2000" in ruler.alt
    assert ruler.figure.axes[0].get_xlabel() == "full minus LoRA (nats)"


def test_the_tokens_that_teach_are_counted_and_named():
    picture = diagrams.token_boxes(["user⏎", "Hi", "assistant⏎", "Yes", "!", "<end>"], [False] * 3 + [True] * 3)
    assert title(picture) == "3 of the 6 tokens are trained on"
    assert picture.alt.endswith("Trained on: Yes ! <end>.")
    written = [text.get_text() for text in picture.figure.axes[0].texts]
    assert written == ["user⏎", "Hi", "assistant⏎", "Yes", "!", "<end>"]


def test_a_dollar_sign_is_no_formula():
    assert diagrams.token_boxes(["$", "5", "$", "^", "$$", "$x_{$"], [True] * 6).png


def test_what_was_gained_and_forgotten_has_its_sign(make_answers):
    base = make_answers("base", nats=80, other=3.5)
    tuned = [make_answers("full", nats=40, other=4.0), make_answers("lora", nats=60, other=3.25)]
    picture = figures.gained_and_forgotten(base, [*tuned, make_answers("lora", seed=1, nats=50)])
    assert title(picture) == (
        "What is gained and what is forgotten: full \u22122.000 on answers and +0.500 on editorials; "
        "LoRA \u22121.250 on answers and \u22120.125 on editorials"
    )
    assert picture.alt.endswith("base: 4.000, 3.500; full: 2.000, 4.000; LoRA: 3.000, 3.250; LoRA: 2.500, 3.500.")


def test_the_bars_of_a_plan_add_up_to_its_peak():
    picture, sizes = bars(), published()[:3]
    assert title(picture) == "full: 488 MiB at the peak; head: 106"
    axes = picture.figure.axes[0]
    ends = [max(bar.get_x() + bar.get_width() for bar in bars) for bars in zip(*axes.containers, strict=True)]
    assert ends == pytest.approx([size.plan.peak / 2**20 for size in sizes])
    (lines,) = axes.collections
    assert [segment[0][0] for segment in lines.get_segments()] == pytest.approx([size.peak / 2**20 for size in sizes])


def test_the_crossover_says_where_lora_costs():
    picture = memory_figures.crossover(PEAKS, {"a": PEAKS / 4, "b": PEAKS * 1.5}, (1, 16), (64, 512))
    assert "from \u221250% to 75%" in title(picture)
    first, second = ({text.get_text() for text in axes.texts} for axes in picture.figure.axes)
    assert (first, second) == ({"75%"}, {"\u221250%"})
    assert "16 × 512: \u221250%" in picture.alt


def test_plans_stand_beside_what_was_measured():
    sizes = published()
    table = memory_figures.size_table(sizes)
    assert len(table) == len(sizes) and "\u22120%" not in table.to_string()
    assert list(table.iloc[:, 3]) == [number(size.plan.peak / 2**20, 1) for size in sizes]
    assert list(table.iloc[:, 4]) == [number(size.peak / 2**20, 1) for size in sizes]


def test_a_method_looks_the_same_in_every_figure(make, make_answers):
    full, lora = make("full"), make("lora")
    answers = make_answers("full"), make_answers("lora")
    pictures = [figures.loss_curves([full, lora]), figures.loss_curves([lora, full])]
    pictures += [figures.accuracy_against_rate([full, lora]), figures.accuracy_against_rate([lora, full])]
    pictures += [figures.gained_and_forgotten(make_answers("base"), order) for order in (answers, answers[::-1])]
    for picture in pictures:
        colours = {line.get_label(): line.get_color() for line in picture.figure.axes[0].lines}
        assert (colours["full"], colours["LoRA"]) == (ORANGE, BLUE)
    bars = figures.comparison_panel([full], [lora], "").figure.axes[0].patches
    assert [bar.get_facecolor() for bar in bars] == [to_rgba(ORANGE), to_rgba(BLUE)]


def test_runs_of_one_method_do_not_look_the_same(make):
    axes = figures.loss_curves([make(rank=rank) for rank in (4, 8, 16)]).figure.axes[0]
    assert len({line.get_color() for line in axes.lines if line.get_label() == "LoRA"}) == 3


def test_series_differ_in_grey_and_not_by_colour_alone():
    markers, lines, _ = zip(*LINES, strict=True)
    assert len(set(markers)) == len(set(lines)) == len(LINES)
    lightness = [np.dot([0.299, 0.587, 0.114], [int(c[i : i + 2], 16) for i in (1, 3, 5)]) for *_, c in LINES[:2]]
    assert abs(lightness[0] - lightness[1]) > 60
