"""nbgrader's settings for a course of results/solutions: `make solutions` puts them there if there are none yet."""

from nbgrader.converters import Autograde
from nbgrader.preprocessors import NbGraderPreprocessor


class OnlyReleased(NbGraderPreprocessor):
    """Refuses what was not released for grading: it has no graders, and would get no point for right answers."""

    def preprocess(self, nb, resources):
        """The notebook as it is. Raises ValueError if no cell of it is nbgrader's."""
        if not any("nbgrader" in cell.metadata for cell in nb.cells):
            handed_in = resources["nbgrader"]
            raise ValueError(
                f"{handed_in['student']} handed in {handed_in['notebook']}.ipynb of the students' edition, "
                "which cannot be graded: ask for the one in release/, with the answers copied into it"
            )
        return nb, resources


c = get_config()  # noqa: F821
c.ClearSolutions.code_stub = {"python": "..."}  # as in the students' editions: an answer not tried yet, no error
c.Execute.timeout = 1800  # seconds a cell: some train
c.Autograde.sanitize_preprocessors = [OnlyReleased, *Autograde.sanitize_preprocessors.default()]
