"""What the package says to people, in Spanish and in English (messages.toml), and numbers in each."""

import tomllib
from collections.abc import Collection
from importlib.resources import files

LANGUAGES = ("es", "en")

_language = "en"


def set_language(language: str) -> None:
    """Choose the language of all that follows. Raises ValueError for one that is not in LANGUAGES."""
    global _language
    one_of("language", language, LANGUAGES)
    _language = language


def language() -> str:
    """The language in force."""
    return _language


def message(key: str, **values: object) -> str:
    """The message of that key in the language in force, with its values filled in."""
    return MESSAGES[key][LANGUAGES.index(_language)].format(**values)


def one_of(what: str, given: object, choices: Collection[str]) -> None:
    """Raises ValueError, naming the choices, if what is given is none of them."""
    if given not in choices:
        raise ValueError(message("unknown", what=what, given=given, choices=", ".join(choices)))


def number(value: float, digits: int) -> str:
    """A number as the language writes it.

    Spanish: decimal comma, and from five digits on groups of three set apart by a narrow space. English: decimal point
    and commas. A true minus sign in both, and none before a zero.
    """
    text = f"{value:z,.{digits}f}".replace("-", "\u2212")
    if _language == "es":
        text = text.replace(",", "\u202f" if abs(value) >= 10_000 else "").replace(".", ",")
    return text


def percent(share: float, digits: int = 1) -> str:
    """A share (0 to 1) as a percentage; Spanish keeps a space before the sign, one that does not break."""
    return number(100 * share, digits) + ("\u00a0%" if _language == "es" else "%")


def gibibytes(size: float, digits: int = 2) -> str:
    """A size (bytes) in GiB, as memory is counted."""
    return number(size / 2**30, digits)


def scientific(value: float) -> str:
    """A small number in the fewest digits, such as 2.5e-5."""
    text = f"{value:g}".replace("e-0", "e-")
    return text.replace(".", ",") if _language == "es" else text


def clock(seconds: float) -> str:
    """A duration in words: seconds below two minutes, else minutes."""
    return f"{number(seconds, 0)} s" if seconds < 120 else f"{number(seconds / 60, 1)} min"


def _read() -> dict[str, tuple[str, str]]:
    table = tomllib.loads(files("loralab").joinpath("messages.toml").read_text(encoding="utf-8"))
    return {key: (row["es"], row["en"]) for key, row in table.items()}


MESSAGES = _read()
