"""Result to eye: intervals (stats), how each task is compared (scores), tables, sentences and figures.

All of it follows from results, and from nothing else. Others ask for a table, a sentence or a figure of results.
"""

from loralab import offer

__getattr__, __dir__, __all__ = offer(__name__, {
    "stats": "Difference detectable half_width seed_factor", "scores": "difference",
    "tables": "comparison_table peak_bytes provenance_table samples_table training_seconds",
    "sentences": "compare findings forgetting margin_verdict rank_verdict",
    "figures": "accuracy_against_rate comparison_panel gained_and_forgotten loss_curves ruler score_against_rank "
    "who_is_right",
})  # fmt: skip
