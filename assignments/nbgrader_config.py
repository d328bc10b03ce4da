"""The course as nbgrader sees it. Any `nbgrader` command that is started in this folder reads this file."""
c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "adrec"
c.IncludeHeaderFooter.header = "source/header.ipynb"
c.ClearSolutions.code_stub = {"python": "# your code here\nraise NotImplementedError"}
c.ClearSolutions.text_stub = "*Your answer here.*"

# A cell that does not end is interrupted, and the cells after it are still run.
c.ExecutePreprocessor.timeout = 20
c.ExecutePreprocessor.interrupt_on_timeout = True
c.ExecutePreprocessor.extra_arguments = ["--log-level=ERROR"]

# A test cell that was deleted is put back. A warning on stderr is no failed test, as it is for nbgrader otherwise.
c.OverwriteCells.add_missing_cells = True
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "."

# `nbgrader export` writes a file of its own beside the grades.csv of `make grade`.
c.ExportPlugin.to = "export.csv"
