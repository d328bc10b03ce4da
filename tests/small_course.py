"A course with one short problem set, so that what handles problem sets can be tested in seconds."
import shutil
from pathlib import Path

from nbformat import write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ASSIGNMENTS = Path(__file__).resolve().parent.parent / "assignments"

DOUBLE = '''def double(x):
    "Twice x."
    ### BEGIN SOLUTION
    twice = x + x  # the way of the course itself
    return twice
    ### END SOLUTION'''
SPREAD = '''def spread(x):
    "The largest minus the smallest number of x."
    ### BEGIN SOLUTION
    ordered = sorted(x)
    return ordered[-1] - ordered[0]
    ### END SOLUTION'''
LARGEST = '''def largest():
    "Your own largest number: that of rng_of(STUDENT, 'largest').random(5)."
    ### BEGIN SOLUTION
    return max(rng_of(STUDENT, "largest").random(5))
    ### END SOLUTION'''
TESTS = {
    "double_1": ("double", "# a number", "assert double(3.5) == 7, 'looks like the square'"),
    "double_2": ("double", "# an array", "assert (double(np.arange(4)) == np.array([0, 2, 4, 6])).all(), 'not each number'"),
    "spread_1": ("spread", "# some numbers", "assert spread([3, 1, 9]) == 8, 'looks like the length'"),
    "spread_2": ("spread", "# negative ones", "assert spread([-3, -1]) == 2, 'looks like absolute values'\n"
                 "### BEGIN HIDDEN TESTS\nassert spread([5]) == 0, 'one number has no spread'\n### END HIDDEN TESTS"),
    "largest_1": ("largest", "# your own numbers", "assert abs(largest() - np.sort(rng_of(STUDENT, 'largest').random(5))[-1]) < 1e-9,"
                  " 'not the largest of yours'"),
}


def mark(name: str, **more) -> dict:
    "nbgrader's metadata of a cell."
    return {"nbgrader": {"grade": False, "locked": False, "solution": False, "task": False, "schema_version": 3, "grade_id": name} | more}


def write_small_course(folder: Path) -> Path:
    "A folder like `assignments/`, with one problem set, `ps0_small`: 8 points by tests, 3 by hand."
    cells = [new_markdown_cell("# Small numbers\n\nThree functions."),
             new_code_cell("import numpy as np\n\nfrom course import rng_of, seed_of, written_here"), new_code_cell('STUDENT = ""  # your name')]
    for name, answer in (("double", DOUBLE), ("spread", SPREAD), ("largest", LARGEST)):
        cells += [new_markdown_cell(f"## {name}"), new_code_cell(answer, metadata=mark(name, solution=True)),
                  new_code_cell(f"try: print({name}(2))\nexcept Exception as error: print(repr(error))")]
        for test, (function, says, check) in TESTS.items():
            if function == name:
                points = 2 if test in ("double_2", "spread_2", "largest_1") else 1
                cells.append(new_code_cell(f"{says}\nwritten_here({name})\n{check}", metadata=mark(test, grade=True, locked=True, points=points)))
    cells += [new_markdown_cell("## In words\n\nWhat is a spread?"),
              new_markdown_cell("A spread is a length.", metadata=mark("words", grade=True, solution=True, points=3))]
    notebook = new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    home = folder / "assignments"
    (home / "source" / "ps0_small").mkdir(parents=True)
    for name in ("nbgrader_config.py", "course.py"):
        shutil.copy(ASSIGNMENTS / name, home)
    shutil.copy(ASSIGNMENTS / "source" / "header.ipynb", home / "source")
    (home / "source" / "ps0_small" / "numbers.csv").write_text("a,b\n1,2\n")
    write(notebook, home / "source" / "ps0_small" / "small.ipynb")
    return home
