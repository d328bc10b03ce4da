"""The hand-outs of the course: `python tools/assignments.py --out FOLDER` makes the students' versions with nbgrader."""
import argparse
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent / "assignments"


def sets() -> list[str]:
    "The names of the problem sets, in order."
    return sorted(folder.name for folder in (HERE / "source").glob("ps*_*"))


def lay_out(course: Path, term: str | None = None):
    "Copies the course to a folder; every problem set gets its own copy of course.py."
    shutil.copytree(HERE, course, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
    shared = (course / "course.py").read_text(encoding="utf-8")
    if term:
        shared = shared.replace('TERM = "2026"', f"TERM = {term!r}")
    for name in sets():
        (course / "source" / name / "course.py").write_text(shared, encoding="utf-8")
    write_tables = runpy.run_path(str(HERE / "tables.py"))["write_tables"]
    write_tables(course / "source" / "ps4_collapse", term or "2026")


def nbgrader(course: Path, *words: str) -> str:
    "Runs one nbgrader command inside a course and returns what it said; raises RuntimeError with it on failure."
    done = subprocess.run([sys.executable, "-m", "nbgrader", *words], cwd=course, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise RuntimeError(f"nbgrader {' '.join(words)} failed:\n{done.stdout}")
    return done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--term")
    wanted = parser.parse_args()
    lay_out(wanted.out, wanted.term)
    for name in sets():
        nbgrader(wanted.out, "generate_assignment", name)


if __name__ == "__main__":
    main()
