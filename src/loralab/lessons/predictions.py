"""Predict, then measure: a student's guesses, kept, and set beside what came out."""

import html
import json
import math
import textwrap
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from IPython.display import display

from loralab.files import write_atomically
from loralab.lessons.catalogue import predictions, text
from loralab.lessons.start import profile_name
from loralab.messages import message, number, one_of, percent
from loralab.train.run import results_dir


@dataclass(frozen=True)
class Prediction:
    """A guess at a question's answer, in the question's unit; None where the student has not guessed."""

    key: str
    guess: float | None

    def compare(self, measured: float, **values: object) -> None:
        """Print how far the guess was from what was measured (same unit) and why, and keep both.

        Without a guess both stand folded in the output, until one asks for them. `values` fill in the explanation.
        """
        guess = _kept(self.key).get("guess") if self.guess is None else self.guess
        write_atomically(_path(self.key), json.dumps({"guess": guess, "measured": float(measured)}))
        entry = predictions()[self.key]
        outcome = message("worked_out" if "worked_out" in entry else "measured", value=_with_unit(self.key, measured))
        why = text(entry["why"], **values)
        if self.guess is None:
            lines = "<br>".join(map(html.escape, (outcome, why)))
            page = f"<details><summary>{message('folded')}</summary>{lines}</details>"
            display({"text/plain": _filled(f"{outcome} {why}"), "text/html": page}, raw=True)
        else:
            print(_filled(f"{outcome} {self._how_far(self.guess, float(measured))}"), _filled(why), sep="\n")

    def _how_far(self, guess: float, measured: float) -> str:
        entry, off = predictions()[self.key], abs(guess - measured)
        if "within" in entry or measured == 0 or guess <= 0:
            close = off <= entry.get("within", entry.get("within_share", 0) * abs(measured))
            points = entry["unit"] in ("percent", "points")
            amount = f"{number(off, entry['digits'])} {message('unit_points') if points else entry['unit']}".strip()
        else:
            factor = max(guess / measured, measured / guess)
            close = factor <= 1 + entry["within_share"]
            amount = message("by_factor", factor=number(factor, 1 if factor < 100 else 0))
        how = "guess_close" if close else "guess_low" if guess < measured else "guess_high"
        return message(how, guess=_with_unit(self.key, guess), amount=amount)


def predict(key: str, *guess: object) -> Prediction:
    """Keep a guess at that question: a number in its unit, or None. Says what was kept, if anything.

    Raises ValueError if the key is none of a lesson's, or the guess not one number, or a percentage beyond 0 to 100.
    """
    one_of("key", key, predictions())
    asked, percentage = text(predictions()[key]["ask"]), predictions()[key]["unit"] == "percent"
    given = guess[0] if len(guess) == 1 else guess
    if given is None:
        return Prediction(key, None)
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        written = (", ".join(map(str, given)) or "–") if isinstance(given, tuple) else repr(given)
        raise ValueError(message("predict_not_a_number", asked=asked, given=written))
    if percentage and not 0 <= given <= 100:
        raise ValueError(message("predict_not_a_percentage", asked=asked, given=given))
    print(_filled(message("predict_kept", asked=asked, guess=_with_unit(key, given))))
    if percentage and 0 < given < 1:
        print(_filled(message("predict_share", given=number(given, 2), percent=percent(given, 0))))
    return Prediction(key, float(given))


def predictions_table() -> pd.DataFrame:
    """Each question of today's lessons answered in this profile: the guess (– if blank) beside what was measured."""
    answered = {key: kept for key in predictions() if (kept := _kept(key))}
    return pd.DataFrame(
        {
            message("question"): text(predictions()[key]["ask"]),
            message("your_guess"): _with_unit(key, kept["guess"]),
            message("what_was_measured"): _with_unit(key, kept["measured"]),
        }
        for key, kept in answered.items()
    )


def _filled(text: str) -> str:
    return textwrap.fill(text, 84)


def _with_unit(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    entry = predictions()[key]
    if entry["unit"] == "percent":
        return percent(value / 100, entry["digits"])
    unit = message("unit_points") if entry["unit"] == "points" else entry["unit"]
    return f"{number(value, entry['digits'])} {unit}".strip()


def _path(key: str) -> Path:  # one a question, so that two kernels can keep theirs
    return results_dir() / profile_name() / "predictions" / f"{key}.json"


def _kept(key: str) -> dict[str, float | None]:
    """What was kept of a question: guess and measured; {} if nothing. A damaged file is said and set aside."""
    path = _path(key)
    try:
        kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        return {name: None if value is None else float(value) for name, value in kept.items()}
    except (ValueError, TypeError, AttributeError):
        path.replace(path.with_suffix(".damaged"))
        print(message("prediction_damaged", path=path.name))
        return {}
