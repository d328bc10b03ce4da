"""Build the site in docs/ and README.md from the notebooks, without running them: what `make docs` calls.

nbdev processes the notebooks into _proc/, smalldocs renders them, and this script does what neither does: it
shows exported code where nbdev would hide it, says above each page how long it takes to read and when its numbers
were computed, links terms to the glossary, keeps KaTeX and the search index beside the pages so that they work
without a network (also opened straight from the folder), and makes two builds of the same tree byte for byte equal.
"""
import ast
import json
import posixpath
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import nbformat
import smalldocs.layout
import yaml
from execnb.nbio import read_nb, write_nb
from nbconvert import MarkdownExporter
from nbdev.config import get_config
from nbdev.doclinks import _nbpath2html, nbglob, patch_name
from nbdev.process import Processor
from nbdev.processors import FilterDefaults, _default_exp, mk_cell
from nbdev.quarto import refresh_quarto_yml
from smalldocs.site import build
from traitlets.config import Config

from adrec.handout import glossary_terms, link_terms

ROOT = Path(__file__).resolve().parent.parent
KATEX = smalldocs.layout.KATEX                      # the address that smalldocs writes, with its version
KATEX_FILES = ("katex.min.css", "katex.min.js", "contrib/auto-render.min.js")


# ---- notebooks → _proc/

def defined_names(source:str) -> list[str]:
    "The names that a cell defines, methods and `@patch`ed methods included."
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef):
            names += [node.name, *(f"{node.name}.{m.name}" for m in node.body if isinstance(m, ast.FunctionDef))]
        elif isinstance(node, ast.FunctionDef):
            found = patch_name(node)
            names += [found] if isinstance(found, str) else list(found)
    return [n for n in names if not n.split(".")[-1].startswith("__")]


class mark_exports(Processor):
    "Put each exported cell in a box that says which module it goes to, with an anchor for every name it defines."
    def begin(self):
        module, cells = _default_exp(self.nb), []
        for cell in self.nb.cells:
            if cell.cell_type != "code" or "export" not in cell.directives_: cells.append(cell); continue
            anchors = "".join(f'<div id="{n.lower()}"></div>' for n in defined_names(cell.source))
            head = f":::: {{.exported title=\"{get_config().lib_name}.{module}\"}}"
            cells += [mk_cell(f"{anchors}\n\n{head}", "markdown"), cell, mk_cell("::::", "markdown")]
        self.nb.cells = cells


class drop_empty(Processor):
    "Leave out code cells of which only directives were written, such as `#| default_exp`."
    def cell(self, cell):
        if cell.cell_type == "code" and not cell.source.strip(): del cell["source"]


class Lesson(FilterDefaults):
    "nbdev's processors, less those that settings.ini skips, and the two above."
    def base_procs(self): return [mark_exports, *super().base_procs(), drop_empty]


# ---- around the text of a page

def prose(nb) -> list:
    "The cells of words, less the title."
    return [cell for cell in nb.cells[1:] if cell.cell_type == "markdown"]


def reading_minutes(nb) -> int:
    "Minutes that the words of a page take, 200 a minute; code, formulas and addresses are not counted."
    text = "\n".join(cell.source for cell in prose(nb))
    text = re.sub(r"```.*?```|\$\$.*?\$\$|\$[^$\n]+\$|\]\([^)]*\)|^:::[^\n]*$", " ", text, flags=re.S | re.M)
    return max(1, round(len(re.findall(r"[^\W_]+(?:['’-][^\W_]+)*", text)) / 200))


def colab_address(path:Path, git_url:str, user:str, branch:str) -> str:
    "Where Colab opens a notebook; empty while the `user` of settings.ini stands in for an account, or for another host."
    found = re.fullmatch(r"https://github\.com/([\w.-]+/[\w.-]+?)(?:\.git)?/?", git_url)
    if not found or user == get_config().lib_name: return ""
    return f"https://colab.research.google.com/github/{found[1]}/blob/{branch}/{path.relative_to(ROOT).as_posix()}"


def about(nb, path:Path) -> str:
    "The line below a title."
    cfg, minutes = get_config(), reading_minutes(nb)
    said = [f"{minutes} minute{'s' if minutes > 1 else ''} of reading"]
    if day := nb.metadata.get("computed"): said.append(f"computed on {day}")
    if there := colab_address(path, cfg.git_url, cfg.user, cfg.branch): said.append(f"[open in Colab]({there})")
    return f"::: {{.about}}\n{' · '.join(said)}\n:::"


def link_glossary(nb, terms:dict) -> None:
    "Link the first use of each term of a lesson."
    cells = prose(nb)
    for cell, source in zip(cells, link_terms([cell.source for cell in cells], terms)): cell.source = source


def keep_links(nb) -> None:
    "Leave names in code that are links as they are: nbdev would link them a second time, and break both."
    for cell in prose(nb): cell.source = re.sub(r"\[`([^`\s]+)`\]\(", r"[<code>\1</code>](", cell.source)


def process(proc:Path) -> None:
    "Write the processed notebooks, and the files beside them, into `proc`."
    nbs = get_config().nbs_path
    shutil.rmtree(proc, ignore_errors=True)
    files = [Path(f) for f in nbglob(nbs, file_glob="", file_re="")] + [nbs/"_quarto.yml"]
    terms = glossary_terms("\n\n".join(cell.source for cell in prose(read_nb(nbs/"glossary.ipynb"))))
    for source in sorted(files):
        target = proc/source.relative_to(nbs)
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".ipynb": shutil.copy(source, target); continue
        nb = read_nb(source)
        if re.match(r"[01]\d_", source.name): link_glossary(nb, terms)
        keep_links(nb)
        if source.name != "index.ipynb": nb.cells.insert(1, mk_cell(about(nb, source), "markdown"))
        Lesson()(nb)
        write_nb(nb, target)


# ---- _proc/ → docs/

def katex_files(kept:Path, target:Path) -> None:
    "Copy KaTeX from the committed site, or, where there is none, from npm."
    if (kept/"katex.min.js").exists(): shutil.copytree(kept, target); return
    version = re.search(r"katex@([\d.]+)", KATEX)[1]
    if not shutil.which("npm"): sys.exit(f"docs/site_libs/katex is missing and there is no npm to fetch katex {version}: restore the folder with `git checkout docs/site_libs/katex`")
    with tempfile.TemporaryDirectory() as tmp:
        subprocess.run(["npm", "pack", "--silent", f"katex@{version}"], cwd=tmp, check=True, stdout=subprocess.DEVNULL)
        with tarfile.open(next(Path(tmp).glob("*.tgz"))) as tar: tar.extractall(tmp, filter="data")
        dist = Path(tmp)/"package/dist"
        for name in (*KATEX_FILES, *(f"fonts/{f.name}" for f in sorted((dist/"fonts").glob("*.woff2")))):
            (target/name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(dist/name, target/name)
        shutil.copy(Path(tmp)/"package/LICENSE", target/"LICENSE")
    css = target/"katex.min.css"  # every browser of the last ten years reads woff2
    css.write_text(re.sub(r',url\(fonts/[\w-]+\.(?:woff|ttf)\) format\("\w+"\)', "", css.read_text()))


def searchable_offline(site:Path) -> None:
    "Load the search index by a script element: pages opened from a folder may not fetch a file."
    index = json.loads((site/"search.json").read_text())
    (site/"search.json").unlink()
    rows = ",\n".join(json.dumps(row, ensure_ascii=False) for row in sorted(index, key=lambda row: row["href"]))
    (site/"site_libs/search.js").write_text(f"window.searchIndex = [\n{rows}\n];\n")
    script = site/"site_libs/smalldocs.js"
    old = 'const r = await fetch(offset + "search.json");\n      index = await r.json();'
    new = '''await new Promise((done, failed) => document.head.append(Object.assign(document.createElement("script"),
        { src: offset + "site_libs/search.js", onload: done, onerror: failed })));
      index = window.searchIndex;'''
    text = script.read_text()
    if old not in text: sys.exit("smalldocs.js has changed: tools/build_docs.py must learn how it loads the search index")
    script.write_text(text.replace(old, new))


def printable(site:Path) -> None:
    "Open what is folded when a page is printed: nobody can click on paper."
    with (site/"site_libs/smalldocs.js").open("a") as script:
        script.write('\naddEventListener("beforeprint", () => document.querySelectorAll("details").forEach(d => { d.open = true; }));\n')


def local_links(site:Path) -> None:
    "Point KaTeX, and nbdev's absolute links to our own pages, at the files beside the page."
    cfg = get_config()
    pages = {_nbpath2html(nb.relative_to(cfg.nbs_path)).as_posix(): nb.relative_to(cfg.nbs_path).with_suffix(".html").as_posix()
             for nb in nbglob(cfg.nbs_path, as_path=True)}
    ours = re.compile(re.escape(f"{cfg.doc_host}{cfg.doc_baseurl}/") + r'([\w/-]+\.html)')
    for page in site.rglob("*.html"):
        up = "../" * (len(page.relative_to(site).parts) - 1)
        text = page.read_text().replace(KATEX, f"{up}site_libs/katex")
        text = re.sub(r'(<a href="[\w/]+)\.ipynb"', r'\1.html"', text)  # those of the map, which smalldocs does not see
        page.write_text(ours.sub(lambda m: up + pages[m[1]], text))


def build_site(docs:Path) -> None:
    "Render the processed notebooks and put the result in place of `docs`."
    refresh_quarto_yml()
    proc = ROOT/"_proc"
    process(proc)
    built = build(proc, quiet=True)
    for warning in built.warnings:  # links out of nbs/ are right from docs/ too; nbdev's output-file is for Quarto
        if not re.search(r"outside the project|output-file|broken link /", warning): print(warning, file=sys.stderr)
    katex_files(docs/"site_libs/katex", built.out/"site_libs/katex")
    searchable_offline(built.out)
    printable(built.out)
    local_links(built.out)
    (built.out/"sitemap.xml").unlink(missing_ok=True)  # it holds the times of the files
    (built.out/".nojekyll").touch()
    shutil.rmtree(docs, ignore_errors=True)
    shutil.move(built.out, docs)


# ---- index.ipynb → README.md

def build_readme(readme:Path, images:Path) -> None:
    "Write the landing page as Markdown, its figures as PNG files, its links as seen from the root of the repository."
    nb = nbformat.read(ROOT/"_proc/index.ipynb", as_version=4)
    front, nb.cells = yaml.safe_load(nb.cells[0].source.strip("-\n ")), nb.cells[1:]
    hidden = [cell for cell in nb.cells if "#| echo: false" in cell.source]
    for cell in hidden: cell.metadata["tags"] = ["echo-false"]
    # tables as text: GitHub shows the style sheets inside HTML as words
    exporter = MarkdownExporter(config=Config(TagRemovePreprocessor=dict(enabled=True, remove_input_tags={"echo-false"}),
                                              NbConvertBase=dict(display_data_priority=["image/png", "text/markdown", "text/plain"])))
    body, resources = exporter.from_notebook_node(nb)
    body = re.sub(r"(?<=\]\()(?!https?:|#)([^)\s]+)(?=\))", lambda m: posixpath.normpath("nbs/" + m[1]), body)
    alts = [alt[1] for cell in hidden if (alt := re.search(r'#\| fig-alt: "(.*)"', cell.source))]
    outputs = sorted(resources["outputs"].items(), key=lambda output: [int(n) for n in re.findall(r"\d+", output[0])])  # in reading order
    for n, ((name, data), alt) in enumerate(zip(outputs, alts, strict=True), start=1):
        image = images/f"readme-{n}.png"
        images.mkdir(parents=True, exist_ok=True)
        image.write_bytes(data)
        body = body.replace(f"![png](nbs/{name})", f"![{alt}]({image.relative_to(ROOT).as_posix()})")
    body = re.sub(r"^(:::|<script).*\n", "", body, flags=re.M)  # what only the site understands
    body = re.sub(r"\n\s*\n\s*\n", "\n\n", body).strip()
    readme.write_text(f"# {front['title']}\n\n**{front['description']}.**\n\n{body}\n")


if __name__ == "__main__":
    build_site(ROOT/"docs")
    build_readme(ROOT/"README.md", ROOT/"docs/images")
    size = sum(f.stat().st_size for f in (ROOT/"docs").rglob("*") if f.is_file())
    print(f"docs/index.html and README.md written ({size/1e6:.1f} MB in docs/)")
