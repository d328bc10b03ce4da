"The book around the pages: the map, the glossary and its links, the line below a title, copies for a class."
import json
import re
import xml.etree.ElementTree as ET
from types import SimpleNamespace

import nbformat
import pytest
from build_docs import about, colab_address, keep_links, reading_minutes
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from test_notebooks import LESSONS, ROOT

from adrec.book import system_map
from adrec.checks import InputError
from adrec.handout import class_copy, copy_notebooks, glossary_terms, link_terms, page_files

TERMS = {"item table": "item-table", "embedding table": "item-table", "null": "null", "loss": "loss"}


def words(name) -> list[str]:
    "The Markdown of a page, less its title."
    cells = nbformat.read(ROOT/"nbs"/name, as_version=4).cells
    return [cell.source for cell in cells[1:] if cell.cell_type == "markdown"]


# ---- the map

@pytest.mark.parametrize("name", LESSONS)
def test_a_map_is_small_and_says_what_it_is(name):
    module = name[3:].removesuffix(".ipynb")
    drawn = system_map(module)
    assert len(drawn.encode()) < 8_000
    svg = ET.fromstring(drawn).find("svg")
    assert svg.get("role") == "img" and module.replace("_", " ") in svg.find("title").text
    links = [a.get("href") for a in svg.iter("a")]
    assert set(LESSONS) <= set(links) and all((ROOT/"nbs"/link).exists() for link in links)
    assert [a.get("href") for a in svg.iter("a") if a.get("aria-current") == "page"] == [name]


def test_the_map_has_no_colour_but_its_mark():
    colours = set(re.findall(r"(?:fill|stroke|color):([^;}]+)", system_map("data"))) | set(re.findall(r'(?:fill|stroke)="([^"]+)"', system_map("data")))
    assert colours == {"currentColor", "transparent", "none", "inherit", "#0072b2", "#fff"}


def test_only_lessons_are_on_the_map():
    assert "aria-current" not in system_map()
    with pytest.raises(InputError, match="unknown lesson 'report'"): system_map("report")


# ---- links to the glossary

@pytest.mark.parametrize("text", [
    "`null`", "```python\nnull = 1\n```", "$null$", "$$\nnull\n$$", "[the null](11_collapse.ipynb)", "# Null", "| null | loss |",
    "**null**", "> null", "::: {.null}", "<b title='null'>", "https://null.org/null", "annulled", "nullify", "![null](x.png)"])
def test_what_is_no_prose_is_not_linked(text): assert link_terms([text], TERMS) == [text]


def test_the_first_use_is_linked_and_no_other():
    assert link_terms(["Item tables,", "an embedding table, a null, nulls, losses."], TERMS) == [
        "[Item tables](glossary.ipynb#item-table),", "an embedding table, a [null](glossary.ipynb#null), nulls, [losses](glossary.ipynb#loss)."]


def test_links_have_an_end():
    terms = {f"term {c}": f"term-{c}" for c in "abcdefgh"}
    assert "".join(link_terms([", ".join(terms)], terms)).count("](") == 6
    assert link_terms(["term a"], {}) == ["term a"]


def test_everyday_words_are_explained_and_not_linked():
    assert glossary_terms("### item\nWhat can be chosen.\n\n### null\nAlso: noise null.\n\nChance.\n") == {"null": "null", "noise null": "null"}


@pytest.mark.parametrize("name", LESSONS)
def test_every_lesson_leads_to_the_glossary(name):
    text = "\n\n".join(words("glossary.ipynb"))
    before = words(name)
    after = link_terms(before, glossary_terms(text))
    anchors = re.findall(r"\]\(glossary\.ipynb#([^)]+)\)", "\n".join(after))
    assert 1 <= len(anchors) <= 6 and len(set(anchors)) == len(anchors)
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^### (.+)$", text, re.M)}
    assert set(anchors) <= headings
    assert [re.sub(r"\[([^\]]+)\]\(glossary\.ipynb#[^)]+\)", r"\1", s) for s in after] == before, "nothing but links was added"


# ---- the line below a title

def page(*texts, **metadata): return new_notebook(cells=[new_markdown_cell("# A page\n\n> of words " + "x " * 999), *map(new_markdown_cell, texts)], metadata=metadata)


def test_minutes_count_words_and_nothing_else():
    assert reading_minutes(page("word " * 600)) == 3
    assert reading_minutes(page("it's well-known " * 100)) == 1
    assert reading_minutes(page("word " * 200, "```python\n" + "code " * 900 + "\n```", "$" + "x " * 900 + "$", "[word](" + "a" * 900 + ")")) == 1
    assert reading_minutes(page("::: {#panel .class}\nword\n:::\n" + "word " * 600)) == 3  # a panel ends where it ends
    assert reading_minutes(page()) == 1


def test_a_name_in_code_that_is_a_link_stays_one_link():
    one = page("# Title", "see [`collect_runs`](34_runs.ipynb), and `diagnose`")
    keep_links(one)
    assert one.cells[-1].source == "see [<code>collect_runs</code>](34_runs.ipynb), and `diagnose`"


def test_the_line_below_a_title():
    path = ROOT/"nbs/00_data.ipynb"
    assert about(page("word " * 200), path) == "::: {.about}\n1 minute of reading\n:::"
    assert about(page("word " * 400, computed="2026-01-31"), path) == "::: {.about}\n2 minutes of reading · computed on 2026-01-31\n:::"


@pytest.mark.parametrize("git_url, user, address", [
    ("https://github.com/ada/adrec", "ada", "https://colab.research.google.com/github/ada/adrec/blob/main/nbs/00_data.ipynb"),
    ("https://github.com/ada/adrec.git", "ada", "https://colab.research.google.com/github/ada/adrec/blob/main/nbs/00_data.ipynb"),
    ("https://github.com/adrec/adrec", "adrec", ""),    # stands in for an account
    ("https://gitlab.com/ada/adrec", "ada", ""), ("", "ada", "")])
def test_colab_is_offered_where_the_repository_is(git_url, user, address):
    assert colab_address(ROOT/"nbs/00_data.ipynb", git_url, user, "main") == address


# ---- copies

def test_a_copy_asks_for_its_version_and_shows_nothing():
    text = nbformat.writes(new_notebook(cells=[new_markdown_cell("# A page\n\n> about null"), new_code_cell("1", outputs=[nbformat.v4.new_output("stream", text="1")]),
                                               new_markdown_cell("A null.")]))
    copy = nbformat.reads(class_copy(text, "9.8.7", {"null": "null"}), as_version=4)
    nbformat.validate(copy)
    assert [cell.cell_type for cell in copy.cells] == ["markdown", "code", "code", "markdown"]
    assert copy.cells[1].source.splitlines()[-1].strip() == "%pip install --quiet adrec==9.8.7"
    assert copy.cells[2].outputs == [] and copy.cells[3].source == "A [null](glossary.ipynb#null)." and "[" not in copy.cells[0].source


def test_copies_are_of_all_pages_and_of_what_they_read(tmp_path):
    copies = copy_notebooks(tmp_path/"new/class")
    assert [path.relative_to(tmp_path/"new/class") for path in copies] == page_files(ROOT/"nbs")
    for path in copies:
        if path.suffix == ".ipynb":
            nb = json.loads(path.read_text(encoding="utf-8"))
            assert sum("%pip install" in "".join(cell["source"]) and cell["id"] == "install-adrec" for cell in nb["cells"]) == 1
            assert len({cell["id"] for cell in nb["cells"]}) == len(nb["cells"])


def test_nothing_that_somebody_wrote_is_lost(tmp_path):
    copies = copy_notebooks(tmp_path)
    for path in copies[:2]: path.write_text("mine")
    copies[2].unlink()
    (tmp_path/"mine.ipynb").write_text("mine")
    with pytest.raises(InputError, match=re.escape(f"{copies[0]} (and 1 more) is there already")): copy_notebooks(tmp_path)
    assert copies[0].read_text() == "mine" and not copies[2].exists()
    copy_notebooks(tmp_path, force=True)
    assert copies[0].read_text() != "mine" and copies[2].exists() and (tmp_path/"mine.ipynb").read_text() == "mine"


def test_folders_that_cannot_be_used(tmp_path, monkeypatch):
    (tmp_path/"file").write_text("")
    with pytest.raises(InputError, match="is a file"): copy_notebooks(tmp_path/"file")
    with pytest.raises(OSError): copy_notebooks(tmp_path/"file/below")
    with pytest.raises(InputError, match="empty"): copy_notebooks("")
    for own in (ROOT/"nbs", ROOT/"nbs/below"):
        with pytest.raises(InputError, match="the notebooks themselves"): copy_notebooks(own, force=True)
    monkeypatch.setattr("adrec.handout.adrec", SimpleNamespace(__path__=[str(tmp_path)], __version__="0"))
    with pytest.raises(InputError, match="this adrec has no notebooks"): copy_notebooks(tmp_path/"class")
