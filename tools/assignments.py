"""The hand-outs of the course: checks every problem set and writes the students' versions, one zip for each.

    python tools/assignments.py --out build/assignments --term 2027

The folder is also a course of nbgrader: started in it, `jupyter lab` has the formgrader.
"""
import argparse
import os
import re
import runpy
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from concurrent.futures import ProcessPoolExecutor
from configparser import ConfigParser
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import nbformat
from tqdm import tqdm

# nbgrader calls alembic, a program of its own environment, by its name, also where that is not activated.
os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])

ROOT = Path(__file__).resolve().parent.parent
HERE = ROOT / "assignments"
MARKS = ("BEGIN SOLUTION", "END SOLUTION", "HIDDEN TESTS", "MARK SCHEME")
IMPORT = re.compile(r"^\s*(?:import|from) (\w+)", re.M)
README = """{title}

1. Python 3.11 or newer. In this folder, once:

    python -m pip install -r requirements.txt

2. Open the notebook:

    jupyter lab {paper}

3. Write your name into the cell STUDENT, write your answers, run all cells from the top.
4. Save, and hand in the notebook under its own name: {paper}

In Colab: open {paper} there, and put the other files of this folder beside it (the folder on the
left).{colab}
"""


def sets(home: Path = HERE) -> list[str]:
    "The names of the problem sets, in order."
    return sorted(folder.name for folder in (home / "source").glob("ps*_*") if any(folder.glob("*.ipynb")))


def paper_of(folder: Path) -> Path:
    "The one notebook of a problem set."
    (paper,) = folder.glob("*.ipynb")
    return paper


def term_of(course: Path) -> str:
    "The term that a course is for."
    return re.search(r'^TERM = "(.*?)"', (course / "course.py").read_text(encoding="utf-8"), re.M)[1]


def lay_out(course: Path, term: str | None = None, home: Path = HERE):
    "Copies the course to a folder; each problem set gets its own copy of course.py, and its tables."
    shutil.copytree(home, course, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "github"))
    shared = (course / "course.py").read_text(encoding="utf-8")
    shared = re.sub('^TERM = ".*?"', f'TERM = "{term or term_of(course)}"', shared, flags=re.M)
    for folder in (course, *(course / "source" / name for name in sets(course))):
        (folder / "course.py").write_text(shared, encoding="utf-8")
    maker, tables = course / "tables.py", course / "source" / "ps4_collapse"
    if maker.exists() and tables.exists():
        runpy.run_path(str(maker))["write_tables"](tables, term_of(course))


def nbgrader(course: Path, *words: str) -> str:
    "Runs a command of nbgrader inside a course and returns what it said; RuntimeError with it on failure."
    done = subprocess.run([sys.executable, "-m", "nbgrader", *words], cwd=course, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"nbgrader {' '.join(words)} failed:\n{done.stdout}")
    return done.stdout


def settings_of(course: Path):
    "What the nbgrader_config.py of a course says, with the course as its root."
    from traitlets.config import PyFileConfigLoader
    config = PyFileConfigLoader("nbgrader_config.py", path=str(course)).load_config()
    config.CourseDirectory.root = str(course.resolve())
    return config


def convert(course: Path, kind: str, name: str, student: str = "*", **settings) -> str:
    "Runs one of nbgrader's converters in this process, for a problem set; RuntimeError with what it said on failure."
    from nbgrader import converters, coursedir, utils
    config = settings_of(course)
    for key, value in settings.items():
        setattr(config[kind], key, value)
    place = coursedir.CourseDirectory(config=config)
    place.assignment_id, place.student_id = name, student
    converter = getattr(converters, kind)(coursedir=place, config=config)
    converter.force = True
    done = utils.capture_log(converter)
    if "KeyboardInterrupt" in (done.get("error") or ""):  # nbgrader keeps it to itself
        raise KeyboardInterrupt
    if not done["success"]:
        raise RuntimeError(f"{name}: {kind} of nbgrader failed\n{done.get('log', '')}{done['error']}".strip())
    return done.get("log", "")


def generate(course: Path, names: list[str]):
    "Makes the released version of problem sets."
    for name in names:
        convert(course, "GenerateAssignment", name)


def validated(course: Path, paper: Path, invert: bool = False) -> dict:
    "What `nbgrader validate` finds in a notebook: nothing where all is well."
    from nbgrader.validator import Validator
    return Validator(config=settings_of(course), invert=invert).validate(str(paper.resolve()))


def first_line(cell: dict) -> str:
    "How a cell begins, for messages."
    return cell["source"].strip().split("\n")[0][:80]


def last_line(error: str) -> str:
    "What went wrong, for messages: the end of a traceback, without its colours."
    return re.sub(r"\x1b\[[\d;]*m", "", error).strip().split("\n")[-1][:200]


def solution_lines(source: nbformat.NotebookNode) -> set[str]:
    "The lines of a source notebook that only its solutions and hidden tests have."
    hidden, shown = set(), set()
    for cell in source.cells:
        inside = False
        for line in map(str.strip, cell.source.split("\n")):
            if any(mark in line for mark in MARKS):
                inside = "BEGIN" in line
            elif line:
                (hidden if inside else shown).add(line)
    return hidden - shown


def faults_of(course: Path, name: str) -> list[str]:
    "What is wrong with one problem set and its zip: each fault in a line."
    source = paper_of(course / "source" / name)
    found = validated(course, source)
    faults = [f"the source fails its own test: {first_line(cell)} {last_line(cell.get('raw_error', ''))}"
              for kind in found.values() for cell in kind]
    with tempfile.TemporaryDirectory() as folder:
        with ZipFile(course / f"{name}.zip") as archive:
            archive.extractall(folder)
        student = Path(folder, name)
        text = "\n".join(cell.source for cell in nbformat.read(student / source.name, 4).cells)
        secret = solution_lines(nbformat.read(source, 4))
        faults += [f"the hand-out shows a solution: {line}" for line in map(str.strip, text.split("\n"))
                   if line in secret or any(mark in line for mark in MARKS)]
        faults += [f"the hand-out has outputs: {first_line(cell)}" for cell in nbformat.read(student / source.name, 4).cells
                   if cell.get("outputs")]
        found = validated(course, student / source.name, invert=True)
        faults += [f"a test passes without an answer: {first_line(cell)}" for kind in found.values() for cell in kind]
    return [f"{name}: {fault}" for fault in faults]


def build_wheel(folder: Path) -> Path:
    "The wheel of adrec, built from a copy of the sources."
    with tempfile.TemporaryDirectory() as copy:
        tree = Path(copy)
        for name in ("settings.ini", "setup.py", "MANIFEST.in", "pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, tree)
        for name in ("adrec", "nbs"):
            shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
        done = subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check",
                               "--no-deps", "-w", str(folder.resolve()), str(tree)], text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"the wheel of adrec could not be built\n{done.stdout}{done.stderr}")
    (wheel,) = folder.glob("adrec-*.whl")
    return wheel


def requirements_of(paper: Path, wheel: Path | None) -> list[str]:
    "The lines of requirements.txt: what the notebook imports, with the lowest versions of settings.ini."
    facts = ConfigParser(delimiters=["="])
    facts.read(ROOT / "settings.ini", encoding="utf-8")
    known = f"{facts['DEFAULT']['requirements']} {facts['DEFAULT']['dev_requirements']}".split()
    used = {"numpy", "jupyterlab"} | {{"sklearn": "scikit-learn"}.get(word, word) for word in imports_of(paper)}
    lines = [line for line in known if re.match(r"[\w-]+", line)[0] in used]
    return ([f"./{wheel.name}"] if wheel else []) + sorted(lines)


def imports_of(paper: Path) -> set[str]:
    "The packages that a notebook imports."
    return {word for cell in nbformat.read(paper, 4).cells if cell.cell_type == "code"
            for word in IMPORT.findall(cell.source)}


def pack(course: Path, name: str) -> Path:
    "Writes the zip of one problem set: everything that a student needs."
    folder = course / "release" / name
    paper, archive = paper_of(folder), course / f"{name}.zip"
    wheel = next(course.glob("adrec-*.whl"), None) if "adrec" in imports_of(paper) else None
    words = "\n".join(cell.source for cell in nbformat.read(paper, 4).cells if cell.cell_type == "markdown")
    title = re.search("^# (.*)$", words, re.M)[1]
    colab = f"\nThere, install this once: !pip install {wheel.name}" if wheel else "\nThere is nothing to install."
    with ZipFile(archive, "w", ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                file.write(path, f"{name}/{path.relative_to(folder).as_posix()}")
        if wheel:
            file.write(wheel, f"{name}/{wheel.name}")
        file.writestr(f"{name}/requirements.txt", "\n".join(requirements_of(paper, wheel)) + "\n")
        file.writestr(f"{name}/README.txt", README.format(title=title, paper=paper.name, colab=colab))
    return archive


def refuse(course: Path):
    "SystemExit where a course cannot be written to a folder: it is something else, or holds work."
    if course.exists() and not course.is_dir() or course.is_dir() and any(course.iterdir()) and not (course / "nbgrader_config.py").exists():
        sys.exit(f"{course} exists and is not a course of `make assignments`: name another folder, OUT=…")
    if (course / "submitted").exists():
        sys.exit(f"{course} holds submissions of a class: name another folder, OUT=…")


def make(course: Path, term: str | None = None, home: Path = HERE, only: str | None = None) -> list[Path]:
    "Makes the hand-outs, checks them, puts them in their place and returns the zips; SystemExit names the faults."
    refuse(course)
    course.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".assignments-", dir=course.parent) as folder:
        new, names = Path(folder, course.name), [only] if only else sets(home)
        lay_out(new, term, home)
        generate(new, names)
        if any("adrec" in imports_of(paper_of(new / "source" / name)) for name in names):
            build_wheel(new)
        archives = [pack(new, name) for name in names]
        with ProcessPoolExecutor(2) as pool:
            found = tqdm(pool.map(faults_of, [new] * len(names), names), total=len(names), desc="checked", unit="set")
            faults = sum(found, [])
        if faults:
            sys.exit("\n".join(["No hand-outs were written:", *faults]))
        shutil.rmtree(course, ignore_errors=True)
        new.rename(course)
    return [course / archive.name for archive in archives]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "assignments", help="folder of the course")
    parser.add_argument("--term", help="other numbers and tables in every term; the default stands in course.py")
    parser.add_argument("--only", help="one problem set, as ps1_noise")
    wanted = parser.parse_args()
    if wanted.only and wanted.only not in sets():
        sys.exit(f"there is no problem set {wanted.only}: the course has {', '.join(sets())}")
    if wanted.term and not re.fullmatch(r"[\w.-]+", wanted.term):
        sys.exit(f"{wanted.term!r} is no term: letters, digits, points and hyphens, as 2027 or 2027-spring")
    try:
        archives = make(wanted.out, wanted.term or None, only=wanted.only)
    except OSError as error:
        sys.exit(f"{wanted.out} cannot be written: {error}")
    print(*archives, sep="\n")
    print(f"{wanted.out}: the course of term {term_of(wanted.out)}, with solutions in source/: for you alone")


if __name__ == "__main__":
    main()
