"""nbgrader's settings for the editions with solutions: `make solutions` puts them into results/solutions with this."""

c = get_config()  # noqa: F821
c.CourseDirectory.source_directory = "."
c.ClearSolutions.code_stub = {"python": "..."}  # as in the students' editions: an answer not tried yet, no error
c.Execute.timeout = 1800  # seconds a cell: some train
