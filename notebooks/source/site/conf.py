"""Sphinx's settings for the site; notebooks/website.py writes the pages and says the language."""

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

project = html_title = "LoRA Lab"
author = "The LoRA Lab authors"
extensions = ["myst_nb"]
html_theme = "sphinx_book_theme"
html_theme_options = {
    "navigation_with_keys": False,
    "navbar_persistent": [],
    "use_download_button": False,
    "footer_content_items": [],
}
html_context = {"default_mode": "auto"}
html_favicon = "static/icon.svg"
html_static_path = ["static"]
html_css_files = ["style.css"]
html_copy_source = False
html_math_renderer = "mathml"
myst_enable_extensions = ["deflist", "dollarmath"]
# The lessons are plain Markdown: in them a line may begin with a per cent sign or a plus, and marks stay as they are.
myst_disable_syntax = ["myst_line_comment", "myst_block_break"]
smartquotes = False
myst_heading_anchors = 3
nb_execution_mode = "off"


def setup(app: Sphinx) -> None:
    """Formulae are MathML, which browsers draw by themselves: no script, and nothing from elsewhere."""

    def draw(translator: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
        block, text = isinstance(node, nodes.math_block), node.astext()
        drawn = convert(text, display="block" if block else "inline")
        # What may be wider than a telephone scrolls, by keyboard too.
        if block or len(text) > 40:
            tag = "div" if block else "span"
            drawn = f'<{tag} class="formula" tabindex="0">{drawn}</{tag}>'
        translator.body.append(drawn)
        raise nodes.SkipNode

    app.add_html_math_renderer("mathml", (draw, None), (draw, None))
