"""The graders under test, through nbgrader's own commands: sources pass, hand-outs do not, wrong answers lose what they
should and right ones nothing, and a class with every kind of bad input gets the right grades."""
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from zipfile import ZipFile

import nbformat
import numpy as np
import pytest
import yaml
from grade import Problem, grade, read_table
from grading import autograde, hand_in, marks_of, released, solutions
from nbgrader.api import Gradebook
from small_course import write_small_course
from submissions import Submission, answers_of, copies, letters, repaired, static_looks, student_of

from assignments import (
    HERE,
    faults_of,
    generate,
    make,
    nbgrader,
    pack,
    paper_of,
    requirements_of,
    sets,
)

pytestmark = pytest.mark.filterwarnings("ignore:Object of type", "ignore:Non-unique cell id")  # nbgrader and nbformat, about themselves
BANKS = sorted(path.stem for path in (Path(__file__).parent / "bank").glob("ps*.py"))


def once(tmp_path_factory, name: str, write) -> Path:
    "A folder that `write(folder)` makes once for all processes of a test run."
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if base.name.startswith("popen-") else base) / name
    try:
        folder.mkdir()
    except FileExistsError:  # another process is at it
        end = time.monotonic() + 540
        while not (folder / "ready").exists() and time.monotonic() < end:
            assert not (folder / "failed").exists(), (folder / "failed").read_text()
            time.sleep(0.5)
        return folder
    try:
        write(folder)
        (folder / "ready").touch()
    except BaseException as error:
        (folder / "failed").write_text(repr(error))
        raise
    return folder


@pytest.fixture(scope="session")
def course(tmp_path_factory, root) -> Path:
    "The course as `make assignments` writes it in a fresh copy of the repository."
    def write(folder):
        for name in ("settings.ini", "setup.py", "MANIFEST.in", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, folder)
        for name in ("adrec", "nbs", "tools", "assignments"):
            shutil.copytree(root / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "images"))
        done = subprocess.run([sys.executable, "tools/assignments.py"], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "said").write_text(done.stdout)
    return once(tmp_path_factory, "fresh", write) / "build" / "assignments"


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> Path:
    "A course with one short problem set; a cell has three seconds."
    def write(folder):
        home = write_small_course(folder)
        config = home / "nbgrader_config.py"
        config.write_text(re.sub(r"timeout = \d+", "timeout = 3", config.read_text()))
        make(folder / "course", "2030", home)
    return once(tmp_path_factory, "small", write) / "course"


# ---- the hand-outs

def test_every_set_is_written_as_one_zip(course):
    assert sets() and [path.stem for path in sorted(course.glob("*.zip"))] == sets()
    said = (course.parent.parent / "said").read_text()
    for name in sets():
        assert f"{name}.zip" in said
        with ZipFile(course / f"{name}.zip") as archive:
            files = {Path(path).name for path in archive.namelist()}
            text = archive.read(f"{name}/{paper_of(course / 'source' / name).name}").decode()
            wanted = archive.read(f"{name}/requirements.txt").decode()
        assert {"course.py", "README.txt", "requirements.txt", paper_of(course / "source" / name).name} <= files
        assert not re.search("BEGIN SOLUTION|END SOLUTION|HIDDEN TESTS", text)
        assert "nbgrader" not in wanted and "numpy" in wanted
        assert any(file.startswith("adrec-") for file in files) == ("./adrec-" in wanted)


def test_a_fault_of_a_set_is_named_and_nothing_is_handed_out(tmp_path):
    home = write_small_course(tmp_path)
    source = home / "source" / "ps0_small" / "small.ipynb"
    notebook = nbformat.read(source, 4)
    for cell in notebook.cells:
        cell.source = cell.source.replace("double(3.5) == 7", "double(3.5) == 8").replace(
            "written_here(spread)\nassert spread([3, 1, 9]) == 8, 'looks like the length'", "assert spread")
    nbformat.write(notebook, source)
    before = tmp_path / "course" / "nbgrader_config.py"
    before.parent.mkdir()
    before.write_text("# of last term")
    with pytest.raises(SystemExit) as error:
        make(tmp_path / "course", None, home)
    assert "the source fails its own test: # a number" in str(error.value) and "looks like the square" in str(error.value)
    assert "a test passes without an answer: # some numbers" in str(error.value)
    assert list((tmp_path / "course").iterdir()) == [before], "the hand-outs of before are still there, and nothing else"


def test_a_solution_in_the_hand_out_is_seen(small, tmp_path):
    course = shutil.copytree(small, tmp_path / "course")
    paper = course / "release" / "ps0_small" / "small.ipynb"
    notebook = nbformat.read(paper, 4)
    notebook.cells[2].source += "\nordered = sorted(x)"
    nbformat.write(notebook, paper)
    pack(course, "ps0_small")
    assert faults_of(course, "ps0_small") == ["ps0_small: the hand-out shows a solution: ordered = sorted(x)"]


def test_a_folder_with_something_else_is_left_alone(small, tmp_path):
    (tmp_path / "letter").write_text("to my mother")
    with pytest.raises(SystemExit, match="name another folder, OUT="):
        make(tmp_path)
    with pytest.raises(SystemExit, match="name another folder, OUT="):
        make(tmp_path / "letter")
    course = shutil.copytree(small, tmp_path / "course")
    (course / "submitted").mkdir()
    with pytest.raises(SystemExit, match="submissions of a class"):
        make(course)


def test_another_term_has_other_numbers(small):
    here, there = ((folder / "course.py").read_text() for folder in (HERE, small))
    assert 'TERM = "2030"' in there and here != there
    drawn = []
    for text in (here, there):
        space = {}
        exec(text, space)
        assert space["seed_of"]("Ada  Lovelace", "q") == space["seed_of"]("ada lovelace ", "q") != space["seed_of"]("Ada", "q")
        drawn.append(space["rng_of"]("Ada", "q").random())
    assert drawn[0] != drawn[1]


@pytest.mark.skipif(not shutil.which("make"), reason="no make")
def test_the_kind_of_a_terminal_is_no_term(root):
    def asked(*words):
        return subprocess.run(["make", "-n", *words], cwd=root, env=os.environ | {"TERM": "xterm"}, capture_output=True, text=True, check=True).stdout
    assert "--term" not in asked("assignments") and "--term 2027" in asked("assignments", "TERM=2027")
    assert '"my class" --set ps1_noise' in asked("grade", "FOLDER=my class", "SET=ps1_noise")


def test_students_install_what_the_notebook_imports(small):
    lines = requirements_of(paper_of(small / "release" / "ps0_small"), None)
    assert [re.match(r"[\w-]+", line)[0] for line in lines] == ["jupyterlab", "numpy"]


# ---- who wrote it

@pytest.mark.parametrize("code", [
    "from adrec.schedule import alphas_cumprod as f", "import adrec\nf = adrec.load_data", "def f(x):\n    import adrec\n    return x",
    "def f(x):\n    from adrec.schedule import alphas_cumprod\n    return x", "from adrec.schedule import alphas_cumprod as q\ndef f(x): return q(x)",
    "from adrec.schedule import alphas_cumprod as q\nf = lambda x: q(x)", "import functools, adrec\nf = functools.partial(adrec.load_data, 1)",
    "from adrec.schedule import alphas_cumprod as q\ndef g(x): return q(x)\ndef f(x): return [g(y) for y in x]",
    "from adrec.schedule import alphas_cumprod as q\ndef f(x, g=q): return g(x)", "import adrec\nf = np.vectorize(adrec.load_data)",
    "from adrec.schedule import alphas_cumprod as q\ntools = {'q': q}\ndef f(x): return tools['q'](x)",
    "from adrec.schedule import alphas_cumprod as q\ndef made(g):\n    def f(x): return g(x)\n    return f\nf = made(q)",
    "def f(x):\n    import importlib\n    return importlib.import_module('adrec.schedule')",
    "import types\nfrom adrec.schedule import alphas_cumprod as q\nf = types.FunctionType(q.__code__, globals())",
    "from adrec.sasrec import SASRec as S\nclass f(S): pass",
    "from adrec.schedule import alphas_cumprod as q\nclass f:\n    def __call__(self, x): return q(x)",
])
def test_what_comes_from_adrec_is_said(code):
    space = {"__name__": "__main__", "np": np}
    exec((HERE / "course.py").read_text(), helper := {"__name__": "course"})
    exec(code, space)
    with pytest.raises(AssertionError, match="adrec: write it yourself"):
        helper["written_here"](space["f"])


@pytest.mark.parametrize("code", [
    "def f(x): return x @ x", "f = lambda x: np.cumprod(1 - x)", "import functools\n@functools.lru_cache\ndef f(x): return x",
    "f = np.vectorize(lambda x: x + 1)", "import functools, operator\nf = functools.partial(operator.add, 1)", "f = np.sum",
    "def g(x): return f(x - 1) if x else 0\ndef f(x): return g(x)", "def f(x):\n    'Like q_sample of adrec.'\n    return x.copy()",
    "import torch\n@torch.no_grad()\ndef f(x): return x", "class f:\n    size = 3\n    def __call__(self, x): return x",
])
def test_what_was_written_in_the_notebook_may_pass(code):
    space = {"__name__": "__main__", "np": np}
    exec((HERE / "course.py").read_text(), helper := {"__name__": "course"})
    exec(code, space)
    helper["written_here"](space["f"])


# ---- the bank

def points(row: dict, tests) -> dict[str, float]:
    "Test cell -> share of its points."
    return {test: row[test][0] / row[test][1] for test in tests}


def empty_answer(source: str) -> str:
    "The answer cell of somebody who wrote `return None`."
    return source.partition("### BEGIN SOLUTION")[0].rstrip() + "\n    return None"


@pytest.mark.parametrize("name", BANKS)
def test_wrong_answers_lose_what_they_should_and_right_ones_nothing(name, course, tmp_path, capsys):
    bank = importlib.import_module(f"bank.{name}").BANK
    here = tmp_path / "course"
    here.mkdir()
    for thing in ("nbgrader_config.py", "gradebook.db"):
        shutil.copy(course / thing, here)
    for thing in ("source", "release"):
        shutil.copytree(course / thing / name, here / thing / name)
    own = solutions(here, name)
    source = nbformat.read(paper_of(here / "source" / name), 4)
    tests, question = {}, None
    for cell in source.cells:
        mark = cell.metadata.get("nbgrader", {})
        question = mark["grade_id"] if mark.get("solution") else question
        if mark.get("grade") and not mark.get("solution"):
            tests.setdefault(question, []).append(mark["grade_id"])
    assert set(bank) == set(tests), "a question in the bank for each that a program grades"
    for question, answers in bank.items():
        assert len(answers.wrong) >= 4 and len(answers.right) >= 4, f"{question}: four wrong and four right answers at least"
        for wrong in answers.wrong:
            assert wrong.loses and set(wrong.loses) <= set(tests[question]), f"{question}, {wrong.mistake}: loses which tests?"
    hand_in(here, name, "own", own)
    hand_in(here, name, "empty", {})
    hand_in(here, name, "none", {q: empty_answer(own[q]) for q in tests if own[q].lstrip().startswith("def ")})
    rounds = {kind: max(len(getattr(answers, kind)) for answers in bank.values()) for kind in ("wrong", "right")}
    def nth(kind, number):
        return {q: getattr(answers, kind)[number] for q, answers in bank.items() if number < len(getattr(answers, kind))}
    for kind, number in rounds.items():
        for k in range(number):
            hand_in(here, name, f"{kind}-{k}", own | {q: answer.code for q, answer in nth(kind, k).items()})
    rows, wrong_marks, caught, passed, total = autograde(here, name), [], 0, 0, 0
    for question, checks in tests.items():
        assert set(points(rows["own"], checks).values()) == {1}, f"{question}: the course's own answer lost points"
        for student in ("empty", "none"):
            assert not any(points(rows[student], checks).values()), f"{student}: {points(rows[student], checks)}"
    for kind, number in rounds.items():
        for k in range(number):
            notebook = nbformat.read(paper_of(here / "autograded" / f"{kind}-{k}" / name), 4)
            failed = {cell.metadata.get("nbgrader", {}).get("grade_id"): out for cell in notebook.cells
                      for out in cell.get("outputs", []) if out.output_type == "error"}
            for question, answer in nth(kind, k).items():
                lost = {test for test, share in points(rows[f"{kind}-{k}"], tests[question]).items() if share < 1}
                says = answer.mistake if kind == "wrong" else answer.way
                if question in failed:
                    wrong_marks.append(f"{question}, {says}: the answer itself does not run: {failed[question].evalue}")
                if lost != (set(answer.loses) if kind == "wrong" else set()):
                    heard = "; ".join(f"{test}: {failed[test].ename} {failed[test].evalue[:120]}" for test in lost if test in failed)
                    wrong_marks.append(f"{question}, {kind}: {says}: lost {sorted(lost)}"
                                       + (f", not {sorted(answer.loses)}" if kind == "wrong" else "") + f" ({heard})")
                caught, passed = caught + (kind == "wrong" and bool(lost)), passed + (kind == "right" and not lost)
    total = {kind: sum(len(getattr(answers, kind)) for answers in bank.values()) for kind in rounds}
    with capsys.disabled():
        print(f"\n{name}: {caught} of {total['wrong']} wrong answers caught ({caught / total['wrong']:.0%}), "
              f"{passed} of {total['right']} right ones passed")
    assert not wrong_marks, "\n".join(wrong_marks)


# ---- a class

def write(course: Path, name: str, folder: Path, student: str, answers: dict, change=None, file=None, signed=None) -> Path:
    "A student's notebook: a hand-out with a name, answers, and what `change` does to it."
    paper = paper_of(course / "release" / name)
    notebook = nbformat.read(paper, 4)
    for cell in notebook.cells:
        mark = cell.metadata.get("nbgrader", {})
        cell.source = answers.get(mark.get("grade_id"), cell.source)
        cell.source = re.sub(r'^STUDENT = ""', f"STUDENT = {signed or student.replace('_', ' ')!r}", cell.source)
    if change:
        change(notebook)
    place = folder / student / (file or paper.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, place)
    return place


def run_grade(*words) -> str:
    "What `make grade` runs."
    done = subprocess.run([sys.executable, str(HERE.parent / "tools" / "grade.py"), *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.skipif(not BANKS, reason="no problem set")
def test_the_full_cycle_for_a_class_of_five(course, tmp_path):
    name = BANKS[0]
    own, bank = solutions(course, name), importlib.import_module(f"bank.{name}").BANK
    tests = {cell.metadata["nbgrader"]["grade_id"]: cell.metadata["nbgrader"]["points"]
             for cell in nbformat.read(paper_of(course / "source" / name), 4).cells
             if cell.metadata.get("nbgrader", {}).get("grade") and not cell.metadata["nbgrader"]["solution"]}
    first, last = list(bank)[0], list(bank)[-1]
    wrong = bank[first].wrong[0]
    half = dict(list(own.items())[:len(own) // 2])
    folder = tmp_path / "submissions"
    for student, answers in (("perfect", own), ("empty", {}), ("half", half), ("wrong", own | {first: wrong.code}),
                             ("crash", own | {last: "import os\nos.abort()"})):
        write(course, name, folder, student, answers)
    out = tmp_path / "grades"
    said = run_grade(folder, "--out", out, "--course", course, "--set", name, "--jobs", 2)
    assert all(str(out / part) in said for part in ("grades.csv", "needs_a_look.csv", "feedback"))
    rows = {row["student"]: row for row in read_table(out / "grades.csv")}
    full = sum(tests.values())
    def of(questions):
        return sum(value for test, value in tests.items() if re.sub(r"_\d+$", "", test) in questions)
    assert {student: float(row["points"]) for student, row in rows.items()} == {
        "perfect": full, "empty": 0, "half": of(half), "wrong": full - sum(tests[test] for test in wrong.loses), "crash": full - of([last])}
    assert all(float(row["max"]) >= full for row in rows.values())
    assert float(rows["wrong"][first]) == of([first]) - sum(tests[test] for test in wrong.loses)
    looks = {(row["student"], row["why"]) for row in read_table(out / "needs_a_look.csv")}
    assert ("crash", f"cell {last} ended its own kernel") in looks
    assert any(student == "perfect" and why.startswith("the same text as") for student, why in looks)
    for student in rows:
        page = (out / "feedback" / student / name / f"{paper_of(course / 'source' / name).stem}.html").read_text()
        assert "Score" in page


@pytest.mark.skipif(not BANKS, reason="no problem set")
def test_the_workflow_prints_the_points_of_one_repository(course, tmp_path, root):
    name, steps = BANKS[0], yaml.safe_load((root / "assignments" / "github" / "grade.yml").read_text())["jobs"]["grade"]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name") == "Grade"]
    tree, own = tmp_path / "course", solutions(course, name)
    shutil.copytree(root / "tools", tree / "tools")
    shutil.copytree(root / "assignments", tree / "assignments")
    shutil.copy(root / "settings.ini", tree)
    write(course, name, tmp_path / "handed-in", f"{name}-ada", dict(list(own.items())[:1]), signed="Ada")
    summary, bin = tmp_path / "summary.md", Path(sys.executable).parent
    environment = os.environ | {"SET": name, "TERM_OF_COURSE": "2026", "GITHUB_STEP_SUMMARY": str(summary), "PATH": f"{bin}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-e", "-c", script], cwd=tree, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = list(own)[:2]
    assert re.search(rf"^  {first} +(\d+) of \1$", done.stdout, re.M) and re.search(rf"^  {second} +0 of \d+$", done.stdout, re.M), done.stdout
    assert first in summary.read_text()


def the(notebook, name):
    "The place of a cell."
    return next(i for i, cell in enumerate(notebook.cells) if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


SPY = """
import os, sqlite3, subprocess
seen = []
def attempt(what, *arguments):
    try: seen.append(what(*arguments))
    except PermissionError: pass
for path in ("../../..", "../../../gradebook.db", "../../../source", OTHERS, OTHERS + "/perfect/small.ipynb", "/etc/passwd"):
    attempt(open, path); attempt(os.open, path, 0); attempt(os.listdir, path); attempt(os.scandir, path)
attempt(sqlite3.connect, "../../../gradebook.db")
attempt(os.symlink, OTHERS, "theirs"); attempt(open, np.__file__, "a")
attempt(os.system, "ls"); attempt(subprocess.run, ["ls"]); attempt(os.kill, os.getppid(), 9)
import socket
attempt(socket.create_connection, ("127.0.0.1", 9))
import multiprocessing
attempt(multiprocessing.get_context("spawn").Process(target=print).start); attempt(os.fork)
open("mine.txt", "w").write("ok")
if seen or open("mine.txt").read() != "ok":
    del spread
"""


def write_odd_class(small: Path, folder: Path):
    "A class in which everything goes wrong that can."
    right = solutions(small, "ps0_small")
    stuck = "def spread(x):\n    import time\n    while True:\n        try: time.sleep(1)\n        except BaseException: pass"
    def put(student, answers=None, *more, **named):
        write(small, "ps0_small", folder, student, right | (answers or {}), *more, **named)
    put("perfect")
    put("renamed", file="final version.ipynb")
    put("deleted", None, lambda nb: nb.cells.pop(the(nb, "spread_1")))
    put("without_answer", None, lambda nb: nb.cells.pop(the(nb, "spread")))
    put("doubled", None, lambda nb: nb.cells.insert(0, nbformat.from_dict(json.loads(json.dumps(nb.cells[the(nb, "spread_1")])))))
    put("softened", {"double": "def double(x): return x"}, lambda nb: nb.cells[the(nb, "double_1")].update(source="pass"))
    put("stripped", None, lambda nb: [cell.metadata.pop("nbgrader", None) for cell in nb.cells])
    put("looping", {"spread": "def spread(x):\n    while True: pass"})
    put("stuck", {"spread": stuck})
    put("flooding", {"spread": "def spread(x):\n    for i in range(5000): print('x' * 1000)\n    return max(x) - min(x)"})
    put("spying", {"spread": right["spread"] + SPY.replace("OTHERS", repr(str(folder)))})
    put("borrowing", {"double": "from adrec.schedule import alphas_cumprod as double"})
    put("nameless", signed="Somebody Else")
    put("leaving", {"double": right["double"] + "\nexit()"})
    put("warned", {"double": "def double(x):\n    import warnings\n    warnings.warn('an old way')\n    return 2 * x"})
    put("scribbled", None, lambda nb: nb.cells[the(nb, "spread_1")].metadata.update(nbgrader="mine"))
    (folder / "missing").mkdir()
    (folder / "broken").mkdir()
    (folder / "broken" / "small.ipynb").write_text('{"cells": [')


@pytest.fixture(scope="session")
def odd_class(small, tmp_path_factory):
    "The folder with the grades of that class, points of each student, and why they need a look."
    def write(folder):
        write_odd_class(small, folder / "class")
        grade(folder / "class", folder / "grades", small, None, jobs=2)
    out, looks = once(tmp_path_factory, "odd", write) / "grades", {}
    for row in read_table(out / "needs_a_look.csv"):
        looks.setdefault(row["student"], []).append(row["why"])
    return out, {row["student"]: float(row["points"]) for row in read_table(out / "grades.csv")}, looks


@pytest.mark.parametrize(("student", "points", "why"), [
    ("perfect", 8, "words waits for marks by hand"),
    ("renamed", 8, "renamed: final version.ipynb instead of small.ipynb"),
    ("missing", 0, "no notebook of this set"),
    ("broken", 0, "cannot be read as a notebook"),
    ("deleted", 8, "test cell spread_1 was deleted, and put back"),
    ("without_answer", 5, "answer cell spread was deleted, and put back"),
    ("doubled", 8, "cell spread_1 stands there 2 times"),
    ("softened", 5, "test cell double_1 was changed, and put back"),
    ("stripped", 8, "the marks of its cells were lost"),
    ("looping", 5, "cell spread_1 did not end within 3 s"),
    ("stuck", 5, "cell spread_1 did not end within 3 s, nor when interrupted"),
    ("flooding", 8, "cell spread_1 printed megabytes, which were not kept"),
    ("spying", 8, "refused: os.listdir"),
    ("borrowing", 5, "imports from adrec"),
    ("nameless", 8, "STUDENT is 'Somebody Else'"),
    ("scribbled", 8, "test cell spread_1 was deleted, and put back"),
    ("leaving", 8, "words waits for marks by hand"),
    ("warned", 8, "words waits for marks by hand"),
])
def test_a_bad_submission_gets_its_points_and_is_named(odd_class, student, points, why):
    _, reached, looks = odd_class
    assert reached[student] == points and any(why in text for text in looks[student]), looks[student]


def test_the_class_is_a_course_with_feedback_for_each(odd_class):
    out, reached, _ = odd_class
    for student in reached.keys() - {"missing", "broken"}:
        page = out / "feedback" / student / "ps0_small" / "small.html"
        assert page.stat().st_size < 2_000_000
        assert (out / "autograded" / student / "ps0_small" / "small.ipynb").exists()
        assert (out / "submitted" / student / "ps0_small" / "small.ipynb").exists()
    assert "looks like" in (out / "feedback" / "softened" / "ps0_small" / "small.html").read_text()


def test_marks_by_hand_stay_when_the_class_is_graded_again(small, tmp_path):
    right, folder, out = solutions(small, "ps0_small"), tmp_path / "class", tmp_path / "grades"
    write(small, "ps0_small", folder, "ada", right)
    assert grade(folder, out, small)[0]["points"] == 8
    def marked():
        with Gradebook(f"sqlite:///{out}/gradebook.db", "adrec") as book:
            words = book.find_grade("words", "small", "ps0_small", "ada")
            return words.manual_score, words.needs_manual_grade
    with Gradebook(f"sqlite:///{out}/gradebook.db", "adrec") as book:
        words = book.find_grade("words", "small", "ps0_small", "ada")
        words.manual_score, words.needs_manual_grade = 2.5, False
        book.db.commit()
    (row,) = grade(folder, out, small)
    assert row["points"] == 10.5 and not row["needs_a_look"] and marked() == (2.5, False)
    write(small, "ps0_small", folder, "ada", right | {"words": "Another text.", "double": "def double(x): return 0 * x"})
    (row,) = grade(folder, out, small)
    assert row["points"] == 7.5 and row["needs_a_look"] == "words waits for marks by hand" and marked() == (2.5, True)


def test_a_set_that_grew_after_it_was_graded_is_refused(odd_class, small, tmp_path):
    out, course = shutil.copytree(odd_class[0], tmp_path / "grades"), shutil.copytree(small, tmp_path / "course")
    source = course / "source" / "ps0_small" / "small.ipynb"
    notebook = nbformat.read(source, 4)
    notebook.cells.append(nbformat.from_dict(json.loads(json.dumps(notebook.cells[the(notebook, "spread_1")]))))
    notebook.cells[-1].metadata.nbgrader.grade_id, notebook.cells[-1].id = "spread_3", "another"
    nbformat.write(notebook, source)
    generate(course, ["ps0_small"])
    with pytest.raises(Problem, match="Cannot add or remove cells .* holds marks of another version: name another folder") as error:
        grade(odd_class[0].parent / "class", out, course)
    assert "\n" not in str(error.value)


# ---- how work comes in

@pytest.mark.parametrize(("name", "student"), [
    ("ada_lovelace", "ada_lovelace"), ("Ada Lovelace_1234_assignsubmission_file", "Ada_Lovelace"), ("noise-ada", "ada"),
    ("ps1_noise-ada-l", "ada-l"), ("ps1-noise-ada", "ada"), ("Ada Lovelace_99_assignsubmission_file_noise", "Ada_Lovelace"),
    ("noise", ""), ("noise_ada", "ada"), ("ada_noise", "ada"), ("Zoë Ångström", "Zoë_Ångström"), ("../ada", "ada"),
])
def test_the_student_is_in_the_name(name, student):
    assert student_of(name, {"noise", "ps1_noise", "collapse"}) == student


def test_names_are_compared_without_what_file_systems_change():
    assert letters("Lovelace, Ada") == letters("ada_lovelace") == letters("ADA  Lovelace") != letters("Ada King")
    assert letters("Zoë Ångström") == letters("zoe_angstrom")


def test_zips_and_single_notebooks_are_taken(small, tmp_path):
    right, folder = solutions(small, "ps0_small"), tmp_path / "class"
    one = write(small, "ps0_small", tmp_path, "inner", right, signed="bob")
    folder.mkdir()
    shutil.copy(one, folder / "small_ada.ipynb")
    with ZipFile(folder / "bob.zip", "w") as archive:
        archive.write(one, "work/small.ipynb")
        archive.writestr("../../outside.ipynb", "{}")
    (folder / "cy.zip").write_bytes(b"no zip")
    rows = {row["student"]: row for row in grade(folder, tmp_path / "grades", small)}
    assert {student: row["points"] for student, row in rows.items()} == {"ada": 8, "bob": 8, "cy": 0}
    assert "STUDENT is 'bob'" in rows["ada"]["needs_a_look"] and "cannot be unpacked" in rows["cy"]["needs_a_look"]
    assert not list(tmp_path.parent.glob("outside.ipynb")) and not list(tmp_path.glob("outside.ipynb"))


def test_what_the_caller_got_wrong_is_one_line(small, tmp_path):
    for arguments, says in (((tmp_path / "nowhere", tmp_path / "out", small), "is not a folder"),
                            ((tmp_path, tmp_path / "out", small, "ps9_none"), "there is no problem set ps9_none: the course has ps0_small"),
                            ((tmp_path, tmp_path / "other", None), "run `make assignments` first")):
        with pytest.raises(Problem, match=re.escape(says)) as error:
            grade(*arguments)
        assert "\n" not in str(error.value)


def test_the_same_text_twice_is_seen_and_chance_is_not(small):
    released = nbformat.read(paper_of(small / "release" / "ps0_small"), 4)
    def handed_in(student, **answers):
        notebook = nbformat.from_dict(json.loads(json.dumps(released)))
        for name, text in answers.items():
            notebook.cells[the(notebook, name)].source = text
        return Submission(student, "ps0_small", Path(), answers=answers_of(notebook, released))
    long = "def spread(x):\n    'The largest minus the smallest number of x.'\n" + "".join(f"    step_{i} = x[{i}] + {i}\n" for i in range(12))
    class_of = [handed_in("a", spread=long), handed_in("b", spread="# my own\n" + long.replace(" + ", "+")),
                handed_in("c", double="def double(x): return 2 * x"), handed_in("d", double="def double(x): return 2 * x")]
    copies(class_of)
    assert [one.looks for one in class_of] == [["the same text as b in spread"], ["the same text as a in spread"], [], []]


def test_a_cell_of_another_course_and_cells_out_of_order_do_no_harm(small):
    released = nbformat.read(paper_of(small / "release" / "ps0_small"), 4)
    notebook = nbformat.from_dict(json.loads(json.dumps(released)))
    assert repaired(notebook, released) == []
    foreign = nbformat.v4.new_code_cell("1", metadata={"nbgrader": {"grade_id": "elsewhere", "grade": True, "points": 100}})
    notebook.cells = [foreign, *notebook.cells[::-1]]
    assert repaired(notebook, released) == ["cells were moved: each test was put behind its answer"]
    assert not notebook.cells[0].metadata
    for test in ("double_1", "spread_2"):
        assert the(notebook, test) > the(notebook, test[:-2])


def test_a_first_cell_that_was_deleted_comes_back_behind_the_imports(small):
    released = nbformat.read(paper_of(small / "release" / "ps0_small"), 4)
    notebook = nbformat.from_dict(json.loads(json.dumps(released)))
    place = the(notebook, "double")
    notebook.cells.pop(place)
    assert repaired(notebook, released) == ["answer cell double was deleted, and put back"] and the(notebook, "double") >= place


@pytest.mark.parametrize(("code", "says"), [
    ("np.allclose = lambda *a: True", "its own code redefines or calls np.allclose"), ("STUDENT = 'Bob'", "STUDENT is 'Bob'"),
    ("from numpy import *", "import * may replace Python's own sum or max, which the tests use"),
    ("from adrec.schedule import alphas_cumprod", "imports from adrec"), ("written_here = print", "its own code redefines or calls written_here"), ("x = np.zeros(3)\nnp.random.seed(1)", None),
    ("plt.rcParams['font.size'] = 3; same = np.nan == STUDENT", None),
])
def test_what_is_seen_without_running(small, code, says):
    released = nbformat.read(paper_of(small / "release" / "ps0_small"), 4)
    notebook = nbformat.from_dict(json.loads(json.dumps(released)))
    for cell in notebook.cells:
        cell.source = cell.source.replace('STUDENT = ""', 'STUDENT = "Ada"')
    notebook.cells.append(nbformat.v4.new_code_cell(code))
    looks = static_looks(Submission("ada", "ps0_small", Path()), notebook, released, False)
    assert looks == ([says] if says else [])
    notebook.cells = [cell for cell in notebook.cells if "STUDENT" not in cell.source]
    assert static_looks(Submission("ada", "ps0_small", Path()), notebook, released, False)[-1] == "the cell with STUDENT is not there"


@pytest.mark.skipif(not BANKS, reason="no problem set")
def test_the_commands_of_nbgrader_agree(tmp_path):
    name = BANKS[0]
    course = released(tmp_path / "course", name)
    source, hand_out = (paper_of(course / folder / name) for folder in ("source", "release"))
    assert "Success! Your notebook passes all the tests." in nbgrader(course, "validate", str(source))
    assert "Success! The notebook does not pass any tests." in nbgrader(course, "validate", "--invert", str(hand_out))
    place = hand_in(course, name, "ada", solutions(course, name))
    notebook = nbformat.read(place, 4)
    deleted = next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade"))
    notebook.cells.remove(deleted)
    nbformat.write(notebook, place)
    nbgrader(course, "autograde", name)
    assert all(points == most for points, most in marks_of(course, name)["ada"].values()), "also the test that was deleted"
