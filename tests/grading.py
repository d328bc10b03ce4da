"""For tests of the graders: answers are put into released notebooks, nbgrader marks them, the marks are read back."""
import sys
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from nbgrader.converters import Autograde
from nbgrader.preprocessors import Execute

sys.path.insert(0, str(Path(__file__).parent.parent / "tools"))
from kernels import KERNELS  # noqa: E402

from assignments import convert, lay_out, nbgrader  # noqa: E402

@dataclass
class Wrong:
    "A plausible wrong answer: it runs, returns the right type and shape, and loses exactly the tests in `loses`."
    mistake: str
    code: str
    loses: set[str]


@dataclass
class Right:
    "A correct answer that is written in another way than the course's own."
    way: str
    code: str


@dataclass
class Question:
    wrong: list[Wrong] = field(default_factory=list)
    right: list[Right] = field(default_factory=list)


def released(folder: Path, problem_set: str) -> Path:
    "Lays a course out in `folder`, makes one hand-out with nbgrader, and returns the course."
    lay_out(folder)
    nbgrader(folder, "generate_assignment", problem_set)
    return folder


def hand_in(course: Path, problem_set: str, student: str, answers: dict[str, str]) -> Path:
    "Writes a submission: the released notebook with `answers` (id of the answer cell -> source) in it."
    (paper,) = (course / "release" / problem_set).glob("*.ipynb")
    notebook = nbformat.read(paper, 4)
    for cell in notebook.cells:
        cell_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if cell_id in answers:
            cell.source = answers[cell_id]
    place = course / "submitted" / student / problem_set
    place.mkdir(parents=True)
    nbformat.write(notebook, place / paper.name)
    return place / paper.name


def solutions(course: Path, problem_set: str) -> dict[str, str]:
    "The course's own answers: id of the answer cell -> source."
    (paper,) = (course / "source" / problem_set).glob("*.ipynb")
    marks = [(cell.metadata.get("nbgrader", {}), cell.source) for cell in nbformat.read(paper, 4).cells]
    return {mark["grade_id"]: source for mark, source in marks if mark.get("solution")}


class QuickExecute(Execute):
    "nbgrader's execution in kernels that start at once, where there are any: see tools/kernels.py."
    def __init__(self, *parts, **options):
        super().__init__(*parts, **{**KERNELS, **options})


def autograde(course: Path, problem_set: str) -> dict[str, dict[str, tuple[float, float]]]:
    "Marks every submission with nbgrader's autograder; what `marks_of` gives."
    steps = Autograde.class_traits()["autograde_preprocessors"].default()
    convert(course, "Autograde", problem_set, autograde_preprocessors=[QuickExecute if step is Execute else step for step in steps])
    return marks_of(course, problem_set)


def marks_of(course: Path, problem_set: str) -> dict[str, dict[str, tuple[float, float]]]:
    "What stands in the gradebook: student -> test cell -> (points, points at most)."
    with Gradebook(f"sqlite:///{course}/gradebook.db", "adrec") as book:
        return {submission.student.id: {grade.cell.name: (grade.auto_score, grade.max_score)
                                        for paper in submission.notebooks for grade in paper.grades}
                for submission in book.assignment_submissions(problem_set)}
