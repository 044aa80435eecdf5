"""The study: what it runs (protocol, study), times (timing) and looks into (update), and what follows from it.

Others ask for the published evidence (`reference`), for claims judged by it, and for the report.
"""

from loralab import offer

__getattr__, __dir__, __all__ = offer(__name__, {
    "study": "reference", "claims": "claims_table judge_claims",
    "tables": "group_table other_methods_table rank_groups target_groups time_table",
    "figures": "captured_by_rank intruders loss_against_rate singular_values",
})  # fmt: skip
