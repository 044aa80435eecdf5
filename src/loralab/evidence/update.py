"""Inside the update: what training adds to a weight matrix, by full fine-tuning and by LoRA."""

from dataclasses import dataclass

TOP = 16  # singular vectors that are looked at for intruders
INTRUDER = 0.6  # a cosine below this counts as new: a choice, so the figure shows all the cosines


@dataclass(frozen=True, kw_only=True)
class Update:
    """What one pair of runs, with one seed, added to one weight matrix that LoRA is on.

    `full` and `lora` are singular values of ΔW = W_trained - W_base, from large to small; LoRA's stop at its rank.
    `similarity` has for each method, and for each of the trained matrix's first 16 left singular vectors, the cosine (0
    to 1) with the vector of the base that is most like it. `shared` is the share (0 to 1) of the squared size of LoRA's
    ΔW that lies in the space of the full ΔW's first r left singular vectors, and `by_chance` what it would be for a
    space in a random direction, r/d_out.
    """

    layer: str
    seed: int
    full: list[float]
    lora: list[float]
    similarity: dict[str, list[float]]
    shared: float
    by_chance: float

    def intruders(self, method: str) -> int:
        """How many of the first 16 left singular vectors are like none of the base's (cosine below 0.6).

        Intruder dimensions, Shuttleworth et al. 2024 (arXiv 2410.21228), section 3.
        """
        return sum(value < INTRUDER for value in self.similarity[method])
