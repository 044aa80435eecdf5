"""The site, built whole and looked at in a browser."""

import os
import re
import shutil
import subprocess
import sys
import threading
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
LESSONS = [path.stem for path in sorted((NOTEBOOKS / "es").glob("*.ipynb"))]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NARROW, WIDE = {"width": 390, "height": 844}, {"width": 1280, "height": 900}
# By how many pixels the page is wider than the window.
TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site of a course that is on GitHub."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, NOTEBOOKS / "website.py", folder]
    environment = os.environ | {"REPO": "https://github.com/someone/some-course"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in folder.iterdir()} == {"index.html", "es", "en"}
    return folder


@pytest.fixture(scope="module")
def address(site):
    """Where a server on this machine has the site."""
    handler = partial(SimpleHTTPRequestHandler, directory=site)
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"none of {', '.join(BROWSERS)} is installed")
    with playwright.sync_playwright() as running:
        yield running.chromium.launch(executable_path=path, args=["--no-sandbox"])


@pytest.fixture
def open_page(browser, address):
    """Open pages of one look; whatever a page asks for from elsewhere, or complains of, fails the test."""
    contexts, own = [], (address, "data:")

    def opened(viewport, scheme="light"):
        contexts.append(browser.new_context(viewport=viewport, color_scheme=scheme))
        page = contexts[-1].new_page()
        page.complaints = []
        page.on("console", lambda told: page.complaints.append(told.text) if told.type == "error" else None)
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        page.on("request", lambda asked: None if asked.url.startswith(own) else page.complaints.append(asked.url))
        return page

    yield opened
    for context in contexts:
        assert not context.pages[0].complaints
        context.close()


class Page(HTMLParser):
    """A page's names, and what it links to and shows."""

    def __init__(self, path):
        super().__init__()
        self.names, self.places, self.missing, self.texts = set(), [], [], []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.names |= {found[key] for key in ("id", "name") if found.get(key)}
        self.places += [found[key] for key in ("href", "src") if found.get(key)]
        if tag == "img" and not found.get("alt"):
            self.missing.append(found.get("src", "")[:80])

    def handle_data(self, data):
        self.texts.append(data)


def pages(site):
    names = (path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    return sorted(name for name in names if "_static" not in name)  # there the theme keeps a template


def test_every_link_leads_somewhere_and_every_picture_has_words(site):
    read = {site / name: Page(site / name) for name in pages(site)}
    for path, page in read.items():
        assert not page.missing, (path, page.missing)
        for place in page.places:
            parts = urlsplit(place)
            if parts.scheme:
                continue
            aim = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert aim.is_file(), (path, place)
            if parts.fragment and aim in read:
                assert unquote(parts.fragment) in read[aim].names, (path, place)


@pytest.mark.parametrize("language", ["es", "en"])
def test_a_home_page_leads_to_every_lesson_and_each_opens_in_colab_and_kaggle(site, language):
    home = (site / language / "index.html").read_text(encoding="utf-8")
    (buttons,) = re.findall('<ul class="lessons">(.*?)</ul>', home)
    assert re.findall('href="(.*?).html"', buttons) == LESSONS
    for lesson in LESSONS:
        places = Page(site / language / f"{lesson}.html").places
        path = f"someone/some-course/blob/main/notebooks/{language}/{lesson}.ipynb"
        assert any(place.startswith("https://colab.") and place.endswith(path) for place in places)
        assert any(place.startswith("https://kaggle.") and place.endswith(path) for place in places)


@pytest.mark.parametrize("language", ["es", "en"])
def test_after_each_exercise_its_solution_stands_folded(site, language):
    for lesson in LESSONS:
        notebook = nbformat.read(NOTEBOOKS / language / f"{lesson}.ipynb", as_version=4)
        exercises = sum("exercise" in cell.metadata for cell in notebook.cells)
        page = (site / language / f"{lesson}.html").read_text(encoding="utf-8")
        word = {"es": "Solución", "en": "Solution"}[language]
        assert page.count(f"<details><summary>{word}</summary>") == exercises
        assert "SOLUTION" not in page


@pytest.mark.parametrize("language", ["es", "en"])
@pytest.mark.parametrize("lesson", LESSONS)
def test_a_page_says_all_that_its_lesson_says(site, lesson, language):
    said = " ".join("".join(Page(site / language / f"{lesson}.html").texts).split())
    for cell in nbformat.read(NOTEBOOKS / language / f"{lesson}.ipynb", as_version=4).cells:
        if cell.cell_type == "markdown":
            # What is no running text: formulae, marks at a line's beginning, where links lead, a block's language.
            unsaid = r"\$\$.+?\$\$|\$[^$]+?\$|(?m:^ *(?:-|#+|\d+\.) )|\]\(.*?\)|```\w*"
            prose = re.sub(unsaid, "`", cell.source, flags=re.DOTALL)
            parts = [" ".join(part.split()) for part in re.split(r"[*`|\[\]\\<>]|\n\n|---", prose)]
            assert all(part in said for part in parts), [part for part in parts if part not in said]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_serious_barrier(site, address, open_page, scheme):
    axe = next(Path(pytest.importorskip("axe_core_python").__file__).parent.rglob("axe.min.js"))
    page, found, names, only = open_page(WIDE, scheme), [], pages(site), None
    if scheme == "dark":  # the rest is the same as in the light, and the colours are the same in both languages
        names, only = [name for name in names if name.startswith("en/") and "handouts/" not in name], "color-contrast"
    for name in names:
        page.goto(f"{address}/{name}")
        page.add_style_tag(content="* { transition: none !important }")  # no colour half way to another
        page.evaluate(axe.read_text(encoding="utf-8"))
        told = page.evaluate("only => axe.run(document, only ? { runOnly: [only] } : {})", only)["violations"]
        found += [
            (name, barrier["id"], barrier["nodes"][0]["html"][:120])
            for barrier in told
            if barrier["impact"] in ("serious", "critical")
        ]
    assert not found


def test_in_the_dark_the_page_is_dark(address, open_page):
    page = open_page(WIDE, "dark")
    page.goto(f"{address}/es/{LESSONS[3]}.html")
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(part) for part in colour[4:-1].split(",")) < 64


def test_on_a_telephone_no_page_scrolls_sideways(site, address, open_page):
    page, found = open_page(NARROW), []
    for name in pages(site):
        page.goto(f"{address}/{name}")
        if (over := page.evaluate(TOO_WIDE)) > 0:
            found.append((name, over))
    assert not found


@pytest.mark.parametrize(("language", "word", "lesson"), [("en", "rank", 5), ("es", "rango", 5), ("es", "rank", 3)])
def test_a_search_finds_lessons(address, open_page, language, word, lesson):
    page = open_page(WIDE)
    page.goto(f"{address}/{language}/search.html?q={word}")
    page.wait_for_selector(f"#search-results a[href*='{LESSONS[lesson]}']", timeout=20_000)
