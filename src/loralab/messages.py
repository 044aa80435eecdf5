"""What the package says: each room's es.toml and en.toml (a third language is a file more in each); and numbers."""

import threading
import tomllib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

LANGUAGES = ("es", "en")
SILENCE = 10  # seconds at most, in what takes longer

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
    return MESSAGES[_language][key].format(**values)


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


@contextmanager
def at_work(name: str) -> Iterator[None]:
    """While the block runs, say so every SILENCE seconds, on one line that is cleared at the end."""
    over = threading.Event()

    def tell() -> None:
        seconds = 0
        while not over.wait(SILENCE):
            seconds += SILENCE
            print(f"\r{message('at_work', name=name, elapsed=clock(seconds)):<78}", end="", flush=True)
        if seconds:
            print(f"\r{'':<78}\r", end="", flush=True)

    teller = threading.Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()


def _read() -> dict[str, dict[str, str]]:
    folder, texts = Path(__file__).parent, {}
    for language in LANGUAGES:
        paths = sorted(folder.rglob(f"{language}.toml"))
        texts[language] = {key: text for path in paths for key, text in tomllib.loads(path.read_text("utf-8")).items()}
        if lacking := texts[LANGUAGES[0]].keys() ^ texts[language].keys():
            listed = ", ".join(sorted(lacking))
            raise ValueError(f"Not in every language: {listed}. Write them in each {language}.toml.")
    return texts


MESSAGES = _read()
