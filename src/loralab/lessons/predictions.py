"""Predict, then measure: a student's guesses, kept, and set beside what came out."""

import json
import math
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from loralab.experiment import write_atomically
from loralab.lessons.start import profile_name
from loralab.messages import message, number, percent
from loralab.train.run import results_dir

# key: (unit, decimals, how far off still counts as right: in the unit, or as a share of what was measured)
# A guess in percent or points is off by a difference; in any other unit by a factor.
QUESTIONS: dict[str, tuple[str, int, float]] = {
    "always_favourable": ("percent", 1, 3),
    "rater": ("percent", 1, 3),
    "tfidf": ("percent", 1, 3),
    "exam_half_width": ("points", 2, 0.3),
    "padding_512": ("percent", 1, 3),
    "padding_batch": ("percent", 1, 5),
    "answer_loss": ("nats", 2, 0.1),
    "saved_size": ("megabytes", 2, 0.2),
    "first_change": ("logit", 1, 0),
    "lora_parameters": ("count", 0, 0.02),
    "even_rank": ("rank", 0, 0.02),
    "paper_memory": ("mebibytes", 1, 0.02),
    "first_loss": ("nats", 3, 0.08),
    "lora_low_rate": ("percent", 1, 2),
    "full_high_rate": ("percent", 1, 2),
    "seed_disagreement": ("percent", 1, 2),
    "base_perplexity": ("perplexity", 1, 0.2),
    "lora_perplexity": ("perplexity", 1, 0.2),
    "original_cost": ("times", 1, 0.2),
    "rank_gain": ("points", 2, 0.5),
    "winner_luck": ("points", 2, 0.15),
    "persona_gain": ("change", 3, 0.05),
    "judged_apart": ("percent", 1, 2),
    "time_ratio": ("times", 2, 0.1),
    "memory_saved": ("percent", 1, 5),
    "forgetting": ("change", 3, 0.1),
}
DIFFERENCES = ("percent", "points", "logit", "change")
WORKED_OUT = ("exam_half_width", "even_rank", "paper_memory")  # by a formula; the others are measured or counted


@dataclass(frozen=True)
class Prediction:
    """A guess at a question's answer, in the question's unit; None where the student has not guessed."""

    key: str
    guess: float | None

    def compare(self, measured: float, **values: object) -> None:
        """Print how far the guess was from what was measured (same unit) and why, and keep both.

        `values` fill in the explanation.
        """
        kept = _read()
        earlier = kept.get(self.key, {}).get("guess")
        kept[self.key] = {"guess": earlier if self.guess is None else self.guess, "measured": float(measured)}
        write_atomically(_path(), json.dumps(kept, indent=1))
        found = "worked_out" if self.key in WORKED_OUT else "measured"
        _say(message(found, value=_with_unit(self.key, measured)) + " " + self._how_far(float(measured)))
        _say(message(f"why_{self.key}", **values))

    def _how_far(self, measured: float) -> str:
        if self.guess is None:
            return message("guess_blank")
        unit, digits, near = QUESTIONS[self.key]
        guess = _with_unit(self.key, self.guess)
        if unit in DIFFERENCES or measured == 0 or self.guess <= 0:
            off = abs(self.guess - measured)
            close = off <= near * (1 if unit in DIFFERENCES else abs(measured))
            amount = number(off, digits) + " " + message("unit_points" if unit == "percent" else f"unit_{unit}")
        else:
            factor = max(self.guess / measured, measured / self.guess)
            close = factor <= 1 + near
            amount = message("by_factor", factor=number(factor, 1 if factor < 100 else 0))
        how = "close" if close else "low" if self.guess < measured else "high"
        return message(f"guess_{how}", guess=guess, amount=amount.strip())


def predict(key: str, *guess: object) -> Prediction:
    """Keep a guess at that question: a number in its unit, or None. Says what was kept.

    Raises ValueError if the key is none of QUESTIONS, or the guess not one number, or a percentage beyond 0 to 100.
    """
    if key not in QUESTIONS:
        raise ValueError(message("unknown", what="key", given=key, choices=", ".join(QUESTIONS)))
    asked = message(f"ask_{key}")
    given = guess[0] if len(guess) == 1 else guess
    if given is None:
        _say(message("predict_blank", asked=asked))
        return Prediction(key, None)
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        written = (", ".join(map(str, given)) or "–") if isinstance(given, tuple) else repr(given)
        raise ValueError(message("predict_not_a_number", asked=asked, given=written))
    if QUESTIONS[key][0] == "percent" and not 0 <= given <= 100:
        raise ValueError(message("predict_not_a_percentage", asked=asked, given=given))
    _say(message("predict_kept", asked=asked, guess=_with_unit(key, given)))
    if QUESTIONS[key][0] == "percent" and 0 < given < 1:
        _say(message("predict_share", given=number(given, 2), percent=percent(given, 0)))
    return Prediction(key, float(given))


def predictions_table() -> pd.DataFrame:
    """Every question answered so far in this profile: the guess (– if blank) beside what was measured."""
    rows = [
        {
            message("question"): message(f"ask_{key}"),
            message("your_guess"): _with_unit(key, row["guess"]),
            message("what_was_measured"): _with_unit(key, row["measured"]),
        }
        for key, row in sorted(_read().items(), key=lambda item: list(QUESTIONS).index(item[0]))
    ]
    return pd.DataFrame(rows)


def _say(text: str) -> None:
    print(textwrap.fill(text, 84))


def _with_unit(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    unit, digits, _ = QUESTIONS[key]
    if unit == "percent":
        return percent(value / 100, digits)
    return (number(value, digits) + " " + message(f"unit_{unit}")).strip()


def _path() -> Path:
    return results_dir() / profile_name() / "predictions.json"


def _read() -> dict[str, dict[str, float | None]]:
    path = _path()
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
