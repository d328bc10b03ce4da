"""What students handed in: who it is from, which problem set it answers, and what can be seen in it without running it."""
import ast
import os
import re
import unicodedata
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import nbformat

DATA = {".csv", ".json", ".npz", ".npy", ".txt", ".parquet"}  # what a student may hand in beside the notebook
LARGEST = 100_000_000  # bytes of one file; a notebook with many figures in it has tens of millions
CHANCE = 120  # characters, spaces and comments aside, that two students may write alike in their answers together
SKIPPED = re.compile(r"^[._]|checkpoint|__MACOSX|^venv$|^node_modules$")
OURS = re.compile(r"\b(?:def\s+(written_here|rng_of|seed_of)\b|(written_here|rng_of|seed_of)\s*=[^=])|\b(get_ipython)\("
                  r"|\b((?:np|numpy|torch|pd|pandas|builtins)(?:\.\w+){1,2})\s*=[^=]")


class Problem(Exception):
    "Something that the caller must change; its text is one line."


@dataclass
class Submission:
    "One student's notebook of one problem set."
    student: str
    set: str
    path: Path | None  # None: not handed in
    looks: list[str] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)
    data: list[Path] = field(default_factory=list)  # files that came with it

    def look(self, *found):
        "Notes why the teacher should look at it."
        self.looks = list(dict.fromkeys([*self.looks, *found]))


# ---- who handed in what

def student_of(name: str, papers: set[str]) -> str:
    "The student in the name of a file or folder, as an id for nbgrader; '' where there is none."
    name = unicodedata.normalize("NFKC", name)
    name = re.sub(r"_\d+_assignsubmission_.*$", "", name)  # Moodle
    for paper in sorted(papers, key=len, reverse=True):    # GitHub Classroom puts the name of the task before it
        slug = re.sub(r"[\W_]+", "[-_ ]", paper)
        name = re.sub(rf"^{slug}($|[-_ ]+)|(^|[-_ ]+){slug}$", "", name, flags=re.I)
    return re.sub(r"[^\w.-]+", "_", name.strip()).strip("._-")


def notebooks_in(folder: Path) -> list[Path]:
    "The notebooks below a folder; links are not followed, nor copies of editors taken."
    found = []
    for path, folders, files in os.walk(folder):
        folders[:] = sorted(f for f in folders if not SKIPPED.search(f) and not Path(path, f).is_symlink())
        found += [Path(path, f) for f in sorted(files) if f.endswith(".ipynb") and not SKIPPED.search(f)
                  and not Path(path, f).is_symlink()]
    return found


def unpack(archive: Path, folder: Path) -> Path:
    "Unpacks the notebooks and data of a zip, none of them larger than `LARGEST`."
    with ZipFile(archive) as file:
        for info in file.infolist():
            if not info.is_dir() and Path(info.filename).suffix in DATA | {".ipynb"} and info.file_size < LARGEST:
                file.extract(info, folder)  # which keeps names inside the folder
    return folder


def read(paper: Path) -> nbformat.NotebookNode:
    "A notebook, also where an editor put its mark of UTF-8 before it."
    return nbformat.reads(paper.read_text(encoding="utf-8-sig"), 4)


def set_of(paper: Path, released: dict[str, nbformat.NotebookNode], names: dict[str, str]) -> str | None:
    "The problem set that a notebook answers: by the ids of its cells, else by their text, else by its name."
    try:
        cells = read(paper).cells
        ids, texts = {id_of(cell) for cell in cells}, {cell.source.strip() for cell in cells}
    except Exception:  # whatever a file may hold
        return next((name for name, stem in names.items() if stem == paper.stem), None)
    def alike(name):
        theirs = released[name].cells
        return (len(ids & {id_of(cell) for cell in theirs} - {None}),
                len(texts & {cell.source.strip() for cell in theirs if locked(cell)}), paper.stem == names[name])
    best = max(released, key=alike)
    return best if any(alike(best)) else None


def id_of(cell) -> str | None:
    "nbgrader's id of a cell."
    mark = cell.metadata.get("nbgrader")
    return mark.get("grade_id") if isinstance(mark, dict) else None


def locked(cell) -> bool:
    "Whether a cell is one of the tests, or another that students leave as it is."
    return bool(cell.metadata.get("nbgrader", {}).get("locked"))


@dataclass
class Person:
    "A student, all notebooks that came from there, and what was odd about them."
    student: str
    papers: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    theirs: dict[str, list[Path]] = field(default_factory=dict)  # set -> notebooks


def papers_of(entry: Path, unpacked: Path) -> list[Path]:
    "The notebooks of one entry of the folder; a zip inside a student's folder, as Moodle has it, is opened."
    if entry.is_dir():
        inside = [paper for archive in sorted(entry.glob("*.zip")) for paper in papers_of(archive, unpacked / archive.stem)]
        return notebooks_in(entry) or inside
    return [entry] if entry.suffix == ".ipynb" else notebooks_in(unpack(entry, unpacked))


def people_in(folder: Path, tasks: set[str], unpacked: Path) -> tuple[list[Person], str]:
    "The students in a folder, and in words how they came."
    people, kinds, aside = {}, Counter(), []
    for entry in sorted(folder.iterdir()):
        kind = "folders" if entry.is_dir() else {".zip": "zips", ".ipynb": "notebooks"}.get(entry.suffix)
        if SKIPPED.search(entry.name):
            continue
        if not kind or entry.is_symlink():
            aside.append(entry.name)
            continue
        kinds[kind] += 1
        name = entry.name if entry.is_dir() else entry.stem
        student = student_of(name, tasks) or student_of(folder.resolve().name, tasks) or "student"
        person = people.setdefault(student.casefold(), Person(student))
        try:
            person.papers += papers_of(entry, unpacked / entry.name)
        except (BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
            person.notes.append(f"cannot be unpacked: {entry.name}: {error}")
    if not people:
        raise Problem(f"{folder} holds no submission: a folder, a zip or a notebook per student")
    came = [f"{number} {kind[:-1] if number == 1 else kind}" for kind, number in kinds.items()]
    return list(people.values()), ", ".join(came + [f"left aside {name}" for name in aside])


def collect(folder: Path, released: dict, names: dict[str, str], wanted: str | None,
            unpacked: Path) -> tuple[list[Submission], str]:
    "The submissions in a folder, one for each student and set, and in words how they came."
    people, came = people_in(folder, {*names, *names.values()}, unpacked)
    for person in people:
        for paper in person.papers:
            if name := set_of(paper, released, names):
                person.theirs.setdefault(name, []).append(paper)
            else:
                person.notes.append(f"not of this course: {paper.name}")
    asked = [wanted] if wanted else sorted({name for person in people for name in person.theirs})
    if not asked:
        raise Problem(f"{folder} holds no notebook of this course")
    submissions = [choice(person, name, names[name], folder) for person in people for name in asked]
    return sorted(submissions, key=lambda one: (one.student, one.set)), came


def choice(person: Person, name: str, stem: str, folder: Path) -> Submission:
    "What one student handed in for one set: of several notebooks the one with the right name, else the newest."
    papers = person.theirs.get(name, [])
    if not papers:
        return Submission(person.student, name, None, ["no notebook of this set", *person.notes])
    right = [paper for paper in papers if paper.stem == stem]
    one = Submission(person.student, name, max(right or papers, key=lambda paper: paper.stat().st_mtime))
    if len(papers) > 1:
        place = {paper: "/".join(paper.parts[-2:]) for paper in papers}
        one.look(f"{len(papers)} notebooks of this set, graded is {place[one.path]}: {', '.join(place.values())}")
    elif not right and one.path.parent != folder:
        one.look(f"renamed: {one.path.name} instead of {stem}.ipynb")
    if one.path.parent != folder:  # else the files beside it are of the whole class
        one.data = [path for path in sorted(one.path.parent.iterdir())
                    if path.suffix in DATA and path.is_file() and not path.is_symlink() and path.stat().st_size < LARGEST]
    one.look(*person.notes)
    return one


# ---- what a notebook looks like before it is run

def repaired(notebook: nbformat.NotebookNode, released: nbformat.NotebookNode) -> list[str]:
    "Puts the tests of a notebook back as they were handed out, and says which were not so."
    known, found = {id_of(cell): cell for cell in released.cells if id_of(cell)}, []
    if not any(id_of(cell) in known for cell in notebook.cells):
        match_by_text(notebook, known)
        found.append("the marks of its cells were lost, perhaps in another editor: matched by their text")
    at: dict[str, list[int]] = {}
    for index, cell in enumerate(notebook.cells):
        at.setdefault(id_of(cell), []).append(index)
    for name, places in at.items():
        for index in places[:-1] if name in known else places:  # the last of several counts
            notebook.cells[index].metadata.pop("nbgrader", None)
        if name in known and len(places) > 1:
            found.append(f"cell {name} stands there {len(places)} times")
    for name, cell in known.items():
        if name not in at:
            continue
        theirs = notebook.cells[at[name][-1]]
        if locked(cell) and any(notebook.cells[index].source != cell.source for index in at[name]):
            found.append(f"test cell {name} was changed, and put back")
        fresh = nbformat.from_dict(cell)
        fresh.source = cell.source if locked(cell) else theirs.source
        notebook.cells[at[name][-1]] = fresh
    order = [id_of(cell) for cell in notebook.cells if id_of(cell)]
    moved = order != [name for name in known if name in at]
    if moved:
        found.append("cells were moved: each test was put behind its answer")
        notebook.cells = [cell for cell in notebook.cells if not locked(cell)]
    for position, (name, cell) in enumerate(known.items()):
        if name not in at or moved and locked(cell):
            earlier, places = set(list(known)[:position]), [i for i, other in enumerate(notebook.cells) if id_of(other)]
            first = min(places, default=len(notebook.cells))
            place = max((i + 1 for i in places if id_of(notebook.cells[i]) in earlier), default=first)
            notebook.cells.insert(place, nbformat.from_dict(cell))
        if name not in at:
            found.append(f"{'test' if locked(cell) else 'answer'} cell {name} was deleted, and put back")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []  # all are made again
    notebook.metadata = nbformat.from_dict(released.metadata)
    notebook.nbformat, notebook.nbformat_minor = released.nbformat, released.nbformat_minor
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # ids that are there twice, or not at all
        nbformat.validator.normalize(notebook)
    return found


def match_by_text(notebook, known):
    "Finds the tests of a notebook by their text, and the answers by the line with their `def`, or by their name."
    for name, cell in known.items():
        start = next((line for line in cell.source.split("\n") if re.match(r"(def|class) ", line)), f"\n{name} = ")
        for theirs in notebook.cells:
            same = theirs.source.strip() == cell.source.strip() if locked(cell) else start in f"\n{theirs.source}"
            if same and not id_of(theirs):
                theirs.metadata["nbgrader"] = dict(cell.metadata["nbgrader"])


def static_looks(one: Submission, notebook, released, alone: bool) -> list[str]:
    "What can be seen in a notebook without running it."
    found, given = [], {cell.source for cell in released.cells}
    own = [cell.source for cell in notebook.cells if cell.cell_type == "code" and cell.source not in given]
    if any(re.search(r"^\s*(import|from)\s+adrec\b|['\"]adrec(\.\w+)*['\"]", text, re.M) for text in own) and not any(
            re.search(r"^\s*(import|from)\s+adrec\b", text, re.M) for text in given):
        found.append("imports from adrec")
    words = {word for text in own for groups in OURS.findall(text) for word in groups if word}
    found += [f"its own code redefines or calls {word}" for word in sorted(words)]
    if any(re.search(r"^\s*from\s+[\w.]+\s+import\s+\*", text, re.M) for text in own):
        found.append("import * may replace Python's own sum or max, which the tests use")
    names = students_written_in(notebook)
    if not names and students_written_in(released):
        found.append("the cell with STUDENT is not there")
    found += ["STUDENT is empty" if not name.strip() else f"STUDENT is {name!r}" for name in names
              if not name.strip() or not alone and letters(name) != letters(one.student)]
    return found


def students_written_in(notebook) -> list[str]:
    "The values that STUDENT gets in a notebook."
    names = []
    for cell in notebook.cells:
        for match in re.finditer(r"^\s*STUDENT\s*=\s*([^=\s].*?)\s*(#.*)?$", cell.source if cell.cell_type == "code" else "", re.M):
            try:
                names.append(str(ast.literal_eval(match[1])))
            except (ValueError, SyntaxError):
                names.append(match[1])
    return names


def letters(name: str) -> str:
    "A name without what file systems and course pages change in it: the order of its words, capitals, accents, signs."
    plain = unicodedata.normalize("NFKD", name).casefold()
    return " ".join(sorted(re.findall(r"[^\W_\d]+", "".join(c for c in plain if not unicodedata.combining(c)))))


def answers_of(notebook, released) -> dict[str, str]:
    "What a student wrote into the answer cells: id -> the lines that were not there, without comments and spaces."
    given = {id_of(cell): set(map(str.strip, cell.source.split("\n"))) for cell in released.cells if id_of(cell)}
    written = {}
    for cell in notebook.cells:
        if id_of(cell) in given and not locked(cell):
            lines = [re.sub(r"#.*", "", line) if cell.cell_type == "code" else line for line in cell.source.split("\n")]
            written[id_of(cell)] = "".join("".join(line.split()) for line in lines if line.strip() not in given[id_of(cell)])
    return written


def copies(submissions: list[Submission]):
    "Notes where two students have the same text in answers, and more of it than chance explains."
    for one in submissions:
        for other in submissions:
            if other is not one and other.set == one.set:
                same = {cell: text for cell, text in one.answers.items() if text and other.answers.get(cell) == text}
                if sum(map(len, same.values())) >= CHANCE:
                    one.look(f"the same text as {other.student} in {', '.join(same)}")
