"""Grades a folder of submissions: `make grade FOLDER=submissions`, or

    python tools/grade.py submissions --out grades

In the folder stands one thing per student: a folder (from Moodle, from GitHub Classroom, or named by hand), a zip, or a
notebook. nbgrader marks each one in a course of its own, in which there is nobody else. What comes out is a folder with
grades.csv, needs_a_look.csv, a feedback page per student, and the whole class as a course of nbgrader for the formgrader.
"""
import argparse
import csv
import json
import os
import shutil
import site
import subprocess
import sys
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import nbformat
from submissions import (
    LARGEST,
    Problem,
    Submission,
    answers_of,
    collect,
    copies,
    id_of,
    read,
    repaired,
    static_looks,
)
from tqdm import tqdm

from assignments import ROOT, convert, generate, imports_of, paper_of, sets, term_of

# ---- marking one submission where nobody else is

def environment(home: Path, token: str) -> dict:
    "What a grading process knows of its surroundings: where programs are, and folders of its own."
    names = ("PATH", "LANG", "LC_ALL", "TZ", "PYTHONPATH", "LD_LIBRARY_PATH", "VIRTUAL_ENV", "CONDA_PREFIX",
             "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "NUMBER_OF_PROCESSORS")  # the second line: Windows
    kept = {name: value for name in names if (value := os.environ.get(name))}
    own = {"HOME": home, "USERPROFILE": home, "APPDATA": home, "LOCALAPPDATA": home, "TMPDIR": home / "tmp",
           "TEMP": home / "tmp", "TMP": home / "tmp", "IPYTHONDIR": home / "ipython", "JUPYTER_CONFIG_DIR": home / "jupyter",
           "JUPYTER_DATA_DIR": home / "jupyter", "JUPYTER_RUNTIME_DIR": home / "runtime", "MPLCONFIGDIR": home / "matplotlib"}
    return kept | {name: str(path) for name, path in own.items()} | {
        "PYTHONUSERBASE": site.getuserbase(), "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8",
        "OMP_NUM_THREADS": "1", "ADREC_GRADING": token}


def end_all(token: str):
    "Kills every process that belongs to one grading, or to all below a folder, also those that were set loose."
    import psutil
    for process in psutil.process_iter():
        try:
            if f"{process.environ().get('ADREC_GRADING', '')}{os.sep}".startswith(token + os.sep):
                process.kill()
        except psutil.Error:
            pass


def mark(one: Submission, notebook, course: Path, seconds: float, kept: Path) -> dict:
    "Lets nbgrader mark a notebook in a course that holds this submission alone; the marked one goes to `kept`."
    base = Path(tempfile.mkdtemp(prefix="grading-", dir=kept.parent.parent))
    try:
        alone, home = base / "course", base / "home"
        for folder in (home / "tmp", home / "runtime", home / "ipython" / "profile_default" / "startup"):
            folder.mkdir(parents=True)
        if (course / ".matplotlib").exists():
            shutil.copytree(course / ".matplotlib", home / "matplotlib")
        handed_in = alone / "submitted" / one.student / one.set
        handed_in.mkdir(parents=True)
        for name in ("nbgrader_config.py", "gradebook.db"):
            shutil.copy(course / name, alone)
        shutil.copytree(course / "release" / one.set, alone / "source" / one.set, ignore=shutil.ignore_patterns("*.ipynb"))
        paper = paper_of(course / "release" / one.set).name
        nbformat.write(notebook, handed_in / paper)
        for data in one.data:
            shutil.copy(data, handed_in)
        marked = alone / "autograded" / one.student / one.set
        fence = (Path(__file__).parent / "guard.py").read_text(encoding="utf-8")
        call = f"\n\nfence({[str(marked), str(home)]!r}, {str(base / 'refused.log')!r})\ndel fence\n"
        for name, says in (("ask_exit", "exit() does nothing while grading"),  # else it ends later cells
                           ("system", "no program is started while grading")):  # as `!pip install`, which is needed in Colab
            call += f"get_ipython().{name} = lambda *_: print({says!r})\n"
        (home / "ipython" / "profile_default" / "startup" / "00-guard.py").write_text(fence + call, encoding="utf-8")
        command = [sys.executable, str(Path(__file__).parent / "grade_one.py"), str(alone), one.set, one.student, str(seconds)]
        with (base / "output").open("w") as output:
            process = subprocess.Popen(command, cwd=alone, env=environment(home, str(base)), stdin=subprocess.DEVNULL,
                                       stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                process.wait(timeout=seconds + 60)
            except subprocess.TimeoutExpired:
                pass
            finally:
                end_all(str(base))
                process.kill()
                process.wait()
        log = base / "refused.log"
        refused = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        report = alone / "done.json"
        told = (base / "output").read_text(errors="replace").strip().split("\n")[-1]
        done = {"ok": False, "log": told or "no reply in time", "notes": []}
        if report.exists():
            done = json.loads(report.read_text())
        if done["ok"]:
            kept.mkdir(parents=True)
            shutil.copy(marked / paper, kept)  # and no file that was written while it ran
        return done | {"refused": [text.replace(str(base), "…") for text in refused]}
    finally:
        shutil.rmtree(base, ignore_errors=True)


# ---- the class

def prepare(out: Path, course: Path | None, names: list[str]):
    "The class's course in `out`: its problem sets are those of the course that `make assignments` wrote."
    if course is None:
        if not (out / "gradebook.db").exists():
            raise Problem("there is no course to grade with: run `make assignments` first, or name one, COURSE=…")
        return
    if not (course / "release").is_dir():
        raise Problem(f"{course} is not a course of `make assignments`")
    out.mkdir(parents=True, exist_ok=True)
    if (out / "course.py").exists() and term_of(out) != term_of(course):
        raise Problem(f"{out} belongs to term {term_of(out)}, {course} to {term_of(course)}: name another folder, OUT=…")
    for name in ("nbgrader_config.py", "course.py"):
        shutil.copy(course / name, out)
    shutil.copytree(course / "source", out / "source", dirs_exist_ok=True)
    try:
        generate(out, [name for name in names if not same_release(course, out, name)])
    except RuntimeError as error:
        said = str(error).strip().splitlines()
        why = next((line.split("Error: ")[-1] for line in said if "Error: Cannot" in line), said[-1]).strip()
        raise Problem(f"{why}; {out} holds marks of another version: name another folder, OUT=…") from None


def same_release(course: Path, out: Path, name: str) -> bool:
    "Whether a problem set in `out` is the one of `course`."
    folders = course / "release" / name, out / "release" / name
    texts = [{path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()} for folder in folders]
    return texts[0] == texts[1]


def enter(out: Path, one: Submission, original: bytes | None, done: dict, marked: Path):
    "Enters a marked submission into the class's course: files, points by tests, and what waits for marks by hand."
    from nbgrader.api import Gradebook
    from nbgrader.preprocessors import SaveAutoGrades
    paper = paper_of(out / "release" / one.set)
    submitted, autograded = (out / place / one.student / one.set for place in ("submitted", "autograded"))
    before = submitted / paper.name
    same = original is not None and before.exists() and before.read_bytes() == original
    for folder in (submitted, autograded):
        shutil.rmtree(folder, ignore_errors=True)
    submitted.mkdir(parents=True)
    if original is not None:
        (submitted / paper.name).write_bytes(original)
    address = f"sqlite:///{out.resolve()}/gradebook.db"
    with Gradebook(address, "adrec") as book:
        book.update_or_create_student(one.student)
        book.update_or_create_submission(one.set, one.student)
    if done["ok"]:
        shutil.copytree(marked, autograded)
        names = {"notebook": paper.stem, "assignment": one.set, "student": one.student, "db_url": address}
        notebook = nbformat.read(autograded / paper.name, 4)
        SaveAutoGrades().preprocess(notebook, {"nbgrader": names})
    with Gradebook(address, "adrec") as book:
        for grade in book.find_submission_notebook(paper.stem, one.set, one.student).grades:
            if not done["ok"]:
                grade.auto_score, grade.needs_manual_grade = 0, False
            elif same and grade.manual_score is not None:
                grade.needs_manual_grade = False  # marked by hand, and nothing has changed
            if grade.needs_manual_grade:
                one.look(f"{grade.name} waits for marks by hand")
        book.db.commit()


def questions_of(released) -> dict[str, str]:
    "Test cell -> question: the answer cell above it."
    question, belongs = "", {}
    for cell in released.cells:
        mark = cell.metadata.get("nbgrader", {})
        if mark.get("solution"):
            question = mark["grade_id"]
        if mark.get("grade"):
            belongs[mark["grade_id"]] = question
    return belongs


def marks(out: Path, released: dict) -> dict[tuple[str, str], dict[str, list[float]]]:
    "The class's marks: (student, set) -> question -> [points, points at most]."
    from nbgrader.api import Gradebook
    table = {}
    with Gradebook(f"sqlite:///{out.resolve()}/gradebook.db", "adrec") as book:
        for name, paper in released.items():
            belongs = questions_of(paper)
            for submission in book.assignment_submissions(name):
                row = {question: [0.0, 0.0] for question in belongs.values()}
                for sheet in submission.notebooks:
                    for grade in sheet.grades:
                        row[belongs[grade.name]][0] += grade.score
                        row[belongs[grade.name]][1] += grade.max_score
                table[submission.student.id, name] = row
    return table


def most_of(released) -> dict[str, float]:
    "Question -> points at most."
    points, belongs = dict[str, float](), questions_of(released)
    for cell in released.cells:
        if id_of(cell) in belongs:
            points[belongs[id_of(cell)]] = points.get(belongs[id_of(cell)], 0.0) + cell.metadata["nbgrader"]["points"]
    return points


def read_table(path: Path) -> list[dict]:
    "The rows of a CSV file that was written before; none where there is no file."
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def write_table(path: Path, columns: list[str], rows: list[dict]):
    "Writes a CSV file that spreadsheets read as UTF-8."
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        table = csv.DictWriter(file, columns, restval="")
        table.writeheader()
        table.writerows([{key: f"{value:g}" if isinstance(value, float) else value for key, value in row.items()}
                         for row in rows])


def grade(folder: Path, out: Path, course: Path | None, wanted: str | None = None, jobs: int = 2,
          seconds: float = 300) -> list[dict]:
    "Grades a folder of submissions into `out`, and returns the rows of grades.csv."
    if not folder.is_dir():
        raise Problem(f"{folder} is not a folder: FOLDER=… names the one with a folder, zip or notebook per student")
    known = [name for name in sets(course or out) if ((course or out) / "release" / name).exists()]
    if wanted and wanted not in known:
        raise Problem(f"there is no problem set {wanted}: the course has {', '.join(known) or 'none'}")
    prepare(out, course, known)
    released = {name: nbformat.read(paper_of(out / "release" / name), 4) for name in known}
    names = {name: paper_of(out / "release" / name).stem for name in known}
    with tempfile.TemporaryDirectory() as scratch:
        submissions, came = collect(folder, released, names, wanted, Path(scratch, "zips"))
        students = len({one.student for one in submissions})
        print(f"{folder}: {came}; {students} student{'s' * (students != 1)}, "
              f"{', '.join(sorted({one.set for one in submissions}))}, term {term_of(out)}")
        run_all(submissions, released, out, Path(scratch).resolve(), jobs, seconds)
    return report(submissions, released, out)


def run_all(submissions, released, out, scratch, jobs, seconds):
    "Marks all submissions, some at a time, and enters them into the class's course."
    template = scratch / "course"
    template.mkdir(parents=True)
    shutil.copy(out / "nbgrader_config.py", template)
    shutil.copytree(out / "source", template / "source")
    wanted = sorted({one.set for one in submissions})
    generate(template, wanted)
    if any("matplotlib" in imports_of(paper_of(out / "release" / name)) for name in wanted):
        warm(template)
    alone = len({one.student for one in submissions}) == 1
    tasks = [(one, *opened(one, released[one.set], alone), scratch / "marked" / str(number))
             for number, one in enumerate(submissions) if one.path]
    copies(submissions)
    def work(task):
        one, _, notebook, kept = task
        nothing = {"ok": False, "notes": [], "refused": [], "log": ""}
        return mark(one, notebook, template, seconds, kept) if notebook else nothing
    with ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(work, task): task for task in tasks}
        try:
            for finished in tqdm(as_completed(pending), total=len(tasks), desc="graded", unit="notebook"):
                one, original, _, kept = pending[finished]
                done = finished.result()
                one.look(*done["notes"], *done["refused"][:6])
                if not done["ok"] and done["log"]:
                    one.look(f"could not be graded: {done['log'].splitlines()[-1][:200]}")
                enter(out, one, original, done, kept)
        except BaseException:  # as Ctrl-C: nothing is left running
            pool.shutdown(wait=False, cancel_futures=True)
            end_all(str(scratch))
            raise


def opened(one: Submission, released, alone: bool) -> tuple[bytes | None, nbformat.NotebookNode | None]:
    "The file as it was handed in, and the notebook in it with its tests put back; None for what cannot be read."
    original = None
    try:
        if one.path.stat().st_size > LARGEST:
            raise ValueError(f"it has {one.path.stat().st_size / 1e6:.0f} MB")
        original, notebook = one.path.read_bytes(), read(one.path)
        one.look(*static_looks(one, notebook, released, alone), *repaired(notebook, released))
        one.answers = answers_of(notebook, released)
        return original, notebook
    except Exception as error:  # whatever a file may hold, the others are graded
        one.look(f"cannot be read as a notebook: {(str(error) or type(error).__name__).splitlines()[0][:100]}")
        return original, None


def warm(course: Path):
    "Matplotlib's list of fonts takes seconds to make: it is made once."
    code = "import matplotlib.font_manager"
    place = {"MPLCONFIGDIR": str(course / ".matplotlib")}
    subprocess.run([sys.executable, "-c", code], env=os.environ | place, capture_output=True)


def report(submissions, released, out) -> list[dict]:
    "Writes grades.csv, needs_a_look.csv and the feedback pages, and returns the rows of the first."
    done_now = {(one.student, one.set) for one in submissions}
    looks = [row for row in read_table(out / "needs_a_look.csv") if (row["student"], row["set"]) not in done_now]
    looks += [{"student": one.student, "set": one.set, "why": why} for one in submissions for why in one.looks]
    looks.sort(key=lambda row: (row["set"], row["student"]))
    write_table(out / "needs_a_look.csv", ["student", "set", "why"], looks)
    table = marks(out, released)
    for row in read_table(out / "grades.csv"):  # those who have no notebook stay in the list
        table.setdefault((row["student"], row["set"]), None)
    for one in submissions:
        table.setdefault((one.student, one.set), None)
    rows, columns = [], ["student", "set", "points", "max", "needs_a_look"]
    for (student, name), questions in sorted(table.items(), key=lambda item: item[0][::-1]):
        if name not in released:
            continue
        questions = questions or {question: [0.0, most] for question, most in most_of(released[name]).items()}
        why = "; ".join(row["why"] for row in looks if (row["student"], row["set"]) == (student, name))
        row = {"student": student, "set": name, "points": sum(p for p, _ in questions.values()),
               "max": sum(most for _, most in questions.values()), "needs_a_look": why}
        row |= {question: points for question, (points, _) in questions.items()}
        columns += [question for question in questions if question not in columns]
        rows.append(row)
    write_table(out / "grades.csv", columns, rows)
    for name in sorted({one.set for one in submissions if (out / "autograded" / one.student / one.set).exists()}):
        try:
            convert(out, "GenerateFeedback", name)
        except RuntimeError as error:
            raise Problem(f"the feedback of {name} could not be written: {str(error).splitlines()[-1]}") from None
    return rows


def print_points(row: dict, most: dict[str, float]):
    "The points of one student, question by question."
    width = max(map(len, most))
    print(f"{row['set']}, {row['student']}:")
    for question, points in most.items():
        print(f"  {question:{width}}  {float(row[question]):g} of {points:g}")
    print(f"  {'':{width}}  {row['points']:g} of {row['max']:g}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="holds a folder, a zip or a notebook per student")
    parser.add_argument("--set", help="grade this problem set only")
    parser.add_argument("--out", type=Path, default=Path("grades"), help="where the class's course and its grades stand")
    parser.add_argument("--course", type=Path, default=ROOT / "build" / "assignments", help="what `make assignments` wrote")
    parser.add_argument("--jobs", type=int, default=min(4, os.cpu_count() or 1), help="submissions at a time")
    parser.add_argument("--seconds", type=float, default=300, help="for one notebook as a whole")
    wanted = parser.parse_args()
    warnings.filterwarnings("ignore", message="Object of type|Non-unique cell id|Cell is missing an id")  # of nbgrader and nbformat, about themselves
    try:
        course = wanted.course if wanted.course.exists() else None
        rows = grade(wanted.folder, wanted.out, course, wanted.set or None, wanted.jobs, wanted.seconds)
    except Problem as problem:
        sys.exit(str(problem))
    except KeyboardInterrupt:
        sys.exit(f"stopped: grades.csv is as it was; start again, and it will be right for {wanted.folder}")
    if len({row["student"] for row in rows}) == 1:
        for row in rows:
            print_points(row, most_of(nbformat.read(paper_of(wanted.out / "release" / row["set"]), 4)))
    looks = read_table(wanted.out / "needs_a_look.csv")
    print(wanted.out / "grades.csv")
    print(wanted.out / "needs_a_look.csv", f"({len({(row['student'], row['set']) for row in looks})} submissions)")
    print(wanted.out / "feedback", "(a page for each student)")


if __name__ == "__main__":
    main()
