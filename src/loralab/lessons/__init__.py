"""What lessons ask: the first cell (start), predictions and exercises, diagrams of ideas, and small sums (by_hand).

All that one lesson asks, in both languages, stands in its file, lesson_1.toml … lesson_8.toml (catalogue).

Others ask which profile is in force (`start.chosen_profile`, `start.profile_name`).
"""

from loralab import offer

__getattr__, __dir__, __all__ = offer(__name__, {
    "by_hand": "metric_of padding_waste rater_agreement", "predictions": "predictions_table",
    "diagrams": "accuracy_by_strength encoder_diagram length_histogram lora_diagram "
    "padding_bars parameters_against_rank scale_rules token_boxes winners_luck",
})  # fmt: skip
