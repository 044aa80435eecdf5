"""Get text: pinned, from packages and the hub (assets, hub), or somebody's own (own); split without copies.

Others ask for an experiment's three splits (`load_splits`), for a model's folder (`locate`) and for an asset's row.
"""

from loralab import offer

__getattr__, __dir__, __all__ = offer(__name__, {
    "hub": "locate", "texts": "find_duplicates find_near_duplicates", "own": "label_names",
    "splits": "film_reviews load_pairs load_splits remove_duplicates",
})  # fmt: skip
