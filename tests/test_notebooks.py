"Every notebook runs, and shows today what it showed when it was committed."
import re
import shutil
from datetime import date
from pathlib import Path

import nbformat
import pytest
import yaml
from nbclient.exceptions import DeadKernelError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from notebooks import LANGUAGE, differences, notebooks, run, same_number, same_text, unfit_outputs

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = [p.relative_to(ROOT).as_posix() for p in notebooks()]


@pytest.fixture(scope="module")
def copied_tree(tmp_path_factory) -> Path:
    "A copy of what the notebooks may read, so that running them leaves the repository as it is."
    tree = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT/"nbs", tree/"nbs")
    shutil.copy(ROOT/"settings.ini", tree)
    return tree


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_runs_and_shows_what_is_stored(name, copied_tree):
    found = differences(nbformat.read(ROOT/name, as_version=4), run(copied_tree/name))
    if found: pytest.fail(f"{name}: the outputs differ from the stored ones; if today's are right, run `make execute`\n" + "\n".join(found), pytrace=False)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stored_outputs_are_fit_to_show(name):
    found = unfit_outputs(nbformat.read(ROOT/name, as_version=4))
    assert not found, f"{name}: " + "; ".join(found)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_kernel_is_named(name):
    kernel = nbformat.read(ROOT/name, as_version=4).metadata.get("kernelspec", {}).get("name")
    assert kernel == "python3", f"{name}: without a kernelspec JupyterLab asks for a kernel at every opening"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_language_is_named(name):
    found = nbformat.read(ROOT/name, as_version=4).metadata.get("language_info")
    assert found == LANGUAGE, f"{name}: without it `jupyter nbconvert --to script` writes .txt, and a version in it differs between people"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_day_of_the_numbers_is_a_day(name):
    day = nbformat.read(ROOT/name, as_version=4).metadata.get("computed")
    assert day is None or date.fromisoformat(day) <= date.today(), f"{name}: `python tools/notebooks.py {name}` writes the day"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_title_cell_holds_the_title_and_a_subtitle_alone(name):
    first = nbformat.read(ROOT/name, as_version=4).cells[0]
    assert first.cell_type == "markdown" and re.fullmatch(r"# [^\n]+\n\n> [^\n]+", first.source.strip()), (
        f"{name}: the first cell must be `# Title`, an empty line and `> one-line subtitle`, and nothing else: nbdev makes the "
        "page's heading of that cell and drops everything else in it. Put what follows into a cell of its own")


def listed_pages(root) -> dict[str, list[str]]:
    "The doors of the sidebar, and the pages behind each of them, in order."
    def pages(entries):
        for entry in entries:
            if isinstance(entry, dict) and "contents" in entry: yield from pages(entry["contents"])
            elif isinstance(entry, dict): yield entry["href"]
            elif "*" in entry: yield from sorted(p.relative_to(root/"nbs").as_posix() for p in (root/"nbs").glob(entry))
            else: yield entry
    sidebar = yaml.safe_load((root/"nbs/_quarto.yml").read_text())["website"]["sidebar"]["contents"]
    return {door["section"]: list(pages(door["contents"])) for door in sidebar}


def test_sidebar_lists_every_page_in_reading_order():
    doors = listed_pages(ROOT)
    assert list(doors) == ["Learn", "Understand", "Use"]
    listed = [page for pages in doors.values() for page in pages]
    assert sorted(f"nbs/{page}" for page in listed) == sorted(NOTEBOOKS), "nbs/_quarto.yml and the notebooks of nbs/ do not agree"
    for kind in (r"\d\d_", "tutorials/"):
        numbered = [page for page in listed if re.match(kind, page)]
        assert numbered == sorted(numbered), "the sidebar is not in reading order"


LESSONS = [page for page in listed_pages(ROOT)["Understand"] if re.match(r"[01]\d_", page)]


@pytest.mark.parametrize("name, following", [*zip(LESSONS, LESSONS[1:]), (LESSONS[-1], "20_checks.ipynb")])
def test_lesson_begins_with_the_map_and_ends_with_what_to_read_next(name, following):
    cells = nbformat.read(ROOT/"nbs"/name, as_version=4).cells
    module = name[3:].removesuffix(".ipynb")
    assert cells[1].source == f'#| echo: false\nfrom adrec.book import system_map\n\nsystem_map("{module}")', (
        f"{name}: the cell below the title shows the map: see nbs/42_book.ipynb")
    last = [cell.source for cell in cells if cell.cell_type == "markdown"][-1]
    assert f"({following})" in last, f"{name}: the last words must lead to {following}"


# ---- does the comparison see what it should?

def notebook(outputs, source="f()", tags=()):
    "A notebook of one code cell with these outputs."
    return new_notebook(cells=[new_markdown_cell("# A page"), new_code_cell(source, outputs=outputs, metadata={"tags": list(tags)})])

def printed(s): return notebook([new_output("stream", name="stdout", text=s)])
def returned(**data): return notebook([new_output("execute_result", data={k.replace("_", "/"): v for k, v in data.items()})])

PICTURE = [new_output("display_data", data={"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 600x240 with 1 Axes>"})]


@pytest.mark.parametrize("stored, fresh", [
    ("HR@20 22.41 %", "HR@20 22.44 %"),                    # the third digit is the same
    ("[ 0.1 -2.  3.5]", "[0.1 -2.0 3.5]"),                 # spaces, and zeros that add nothing
    ("error 3.1e-08", "error 9.9e-12"),                    # noise below a millionth
    ("error 0.0", "error -4.7e-17"),
    ("1,008 films", "1008 films"),
    ("f at 0x7f01", "f at 0x7f02"),                        # an address
])
def test_outputs_that_agree(stored, fresh): assert not differences(printed(stored), printed(fresh))


@pytest.mark.parametrize("stored, fresh", [
    ("HR@20 22.4 %", "HR@20 22.6 %"),
    ("938 users", "939 users"),
    ("54413 interactions", "54412 interactions"),          # whole numbers agree exactly
    ("loss 0.5", "loss -0.5"),
    ("loss 2e-6", "loss 4e-6"),
    ("loss 0.5", "loss nan"),
    ("ml-100k", "ml-1m"),
    ("[1, 2]", "[1, 2, 3]"),
    ("", "one more line"),
    ("a line", ""),
])
def test_outputs_that_differ(stored, fresh):
    (found,) = differences(printed(stored), printed(fresh))
    assert "cell 1 (f())" in found and stored in found and fresh in found, "the message names the cell and shows both texts"


def test_numbers_inside_names_are_text():
    assert not same_text("conv2d", "conv3d")
    assert same_number("1.2345", "1.2349") and not same_number("1.23", "1.24")


def test_tables_and_markdown_are_compared_and_their_styling_is_not():
    page = "<style>#T_{} td {{color: red}}</style><table><td id='T_{}'>{}</td></table>"
    assert not differences(returned(text_html=page.format("ab", "ab", 0.5)), returned(text_html=page.format("cd", "cd", 0.5)))
    assert differences(returned(text_html=page.format("ab", "ab", 0.5)), returned(text_html=page.format("ab", "ab", 0.6)))
    assert differences(returned(text_markdown="**yes**"), returned(text_markdown="**no**"))


def test_a_missing_figure_is_seen_even_where_outputs_are_volatile():
    for tags in ((), ("volatile",)):
        (found,) = differences(notebook(PICTURE, tags=tags), notebook([], tags=tags))
        assert "1 figures stored, 0 fresh" in found
    assert not differences(notebook(PICTURE), notebook(PICTURE))


def test_the_text_of_volatile_cells_may_differ():
    old, new = printed("1.5 s"), printed("2.5 s")
    old.cells[1].metadata["tags"] = ["volatile"]
    assert not differences(old, new)


def test_a_cell_that_fails_is_raised(tmp_path):
    nbformat.write(notebook([], "1 / 0"), tmp_path/"fails.ipynb")
    with pytest.raises(Exception, match="ZeroDivisionError"): run(tmp_path/"fails.ipynb")


def test_cells_marked_eval_false_are_skipped_and_keep_their_outputs(tmp_path):
    stored = notebook([new_output("stream", name="stdout", text="an hour later")], "#| eval: false\n1 / 0")
    nbformat.write(stored, tmp_path/"skips.ipynb")
    assert not differences(stored, run(tmp_path/"skips.ipynb"))


def test_a_page_leaves_no_trace_in_the_next(tmp_path):
    "Pages run in forks of one process: what one does to its libraries, its folder and its environment, the next does not see."
    look = ("import os, random, sys, torch; from matplotlib import rcParams\n"
            "print('mark' in globals(), 'mark' in os.environ, hasattr(torch, 'mark'), 'mark' in sys.path, rcParams['lines.linewidth'], "
            "torch.get_default_dtype(), torch.initial_seed(), random.random() == 0.5, rcParams['backend'], os.path.basename(os.getcwd()))")
    spoil = ("mark = os.environ['mark'] = torch.mark = 'here'; sys.path.append('mark'); rcParams['lines.linewidth'] = 9; "
             "torch.set_default_dtype(torch.float64); torch.manual_seed(7); random.random = lambda: 0.5; os.mkdir('below'); os.chdir('below')")
    seen = []
    for name in ("one", "two"):
        (tmp_path/name/"page").mkdir(parents=True)
        nbformat.write(new_notebook(cells=[new_code_cell(look), new_code_cell(spoil), new_code_cell(look)]), tmp_path/name/"page/p.ipynb")
        seen += [cell.outputs[0].text for cell in run(tmp_path/name/"page/p.ipynb").cells[::2]]
    assert seen[0] == seen[2] != seen[1] == seen[3]
    assert seen[0].startswith("False False False False 1.5 torch.float32") and seen[0].endswith("inline page\n"), seen[0]


def test_a_kernel_that_dies_is_noticed(tmp_path):
    nbformat.write(notebook([], "import os; os._exit(3)"), tmp_path/"dies.ipynb")
    with pytest.raises(DeadKernelError): run(tmp_path/"dies.ipynb")


@pytest.mark.parametrize("outputs, complaint", [
    ([new_output("error", ename="ValueError", evalue="no", traceback=[])], "is an error"),
    ([new_output("stream", name="stdout", text="wrote /home/ada/runs/config.json")], "a path"),
    ([new_output("stream", name="stdout", text=r"wrote C:\Users\ada")], "a path"),
    ([new_output("stream", name="stdout", text=" 50%|█████     | 1/2 [00:01<00:01, 1.0 it/s]")], "a progress bar"),
    ([new_output("stream", name="stderr", text="x.py:1: UserWarning: beware")], "stderr"),
    ([new_output("stream", name="stdout", text="x.py:1: UserWarning: beware")], "a warning"),
    ([new_output("stream", name="stdout", text="Warning: beware")], "a warning"),
    ([new_output("display_data", data={"image/png": "A" * 200_000})], "a picture of 150 KB"),
])
def test_unfit_outputs_are_seen(outputs, complaint): assert any(complaint in found for found in unfit_outputs(notebook(outputs)))


def test_fit_outputs_pass():
    nb = notebook([*PICTURE, new_output("stream", name="stdout", text="20 % of a/b, see https://doi.org/10.1145/x and runs/demo/items.csv")])
    assert not unfit_outputs(nb)
