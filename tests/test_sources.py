"What is made from the notebooks is what they make: the package, the README, the site."
import ast
import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from check_types import check, folded

BIN = Path(sys.executable).parent
SOURCES = ("nbs", "adrec", "tools", "docs", "settings.ini", "pyproject.toml", "README.md")


@pytest.fixture
def copied(root, tmp_path) -> Path:
    "A copy of the sources, in which things can be made anew."
    for name in SOURCES:
        source = root/name
        if source.is_dir(): shutil.copytree(source, tmp_path/name, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints", "nbdev.yml"))
        elif source.exists(): shutil.copy(source, tmp_path/name)
    return tmp_path


def call(*command, cwd):
    "Run a command in `cwd`; its output is the message if it fails."
    done = subprocess.run([str(c) for c in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def differing(a:Path, b:Path) -> list[str]:
    "Files that only one of two folders has, or that differ between them."
    files = {f.relative_to(top) for top in (a, b) for f in top.rglob("*") if f.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(f.parts)}
    return sorted(str(f) for f in files if not ((a/f).exists() and (b/f).exists() and filecmp.cmp(a/f, b/f, shallow=False)))


def test_the_package_is_what_the_notebooks_export(root, copied):
    shutil.rmtree(copied/"adrec")
    call(BIN/"nbdev_export", cwd=copied)
    assert not differing(root/"adrec", copied/"adrec"), "adrec/ is not what the notebooks export: run `make export`, and commit"
    assert (root/"pyproject.toml").read_text() == (copied/"pyproject.toml").read_text()


def test_the_notebooks_are_clean(root, copied):
    call(BIN/"nbdev_clean", cwd=copied)
    changed = [f for f in differing(root/"nbs", copied/"nbs") if f.endswith(".ipynb")]
    assert not changed, f"not clean: {', '.join(changed)}: run `nbdev_clean`, and once per clone `nbdev_install_hooks`"


def test_readme_and_site_are_current(root, copied):
    call(sys.executable, copied/"tools/build_docs.py", cwd=copied)
    assert (root/"README.md").read_text() == (copied/"README.md").read_text(), "README.md is not what nbs/index.ipynb gives: run `make docs`, and commit"
    changed = differing(root/"docs", copied/"docs")
    assert not changed, f"docs/ is not what the notebooks give: run `make docs`, and commit ({', '.join(changed[:5])})"


def test_no_file_is_heavy(root):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, capture_output=True, text=True)
    if listed.returncode: pytest.skip("not a git repository")
    sizes = {f: (root/f).stat().st_size for f in listed.stdout.splitlines() if (root/f).is_file()}
    heavy = {f: size for f, size in sizes.items() if size > 2_000_000}
    assert not heavy, f"larger than 2 MB: {heavy}"
    site = sum(size for f, size in sizes.items() if f.startswith("docs/"))
    assert site < 20_000_000, f"docs/ has {site / 1e6:.1f} MB, more than 20"


def test_the_makefile_lists_its_targets(root):
    if not shutil.which("make"): pytest.skip("no make")
    for command in (["make"], ["make", "help"]):
        printed = subprocess.run(command, cwd=root, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""}).stdout
        assert all(f"make {target} " in printed for target in ("demo", "test", "docs", "lab", "bench", "assignments", "grade", "export", "execute", "clean"))


# ---- the house: see nbs/architecture.ipynb

def modules(root) -> dict[str, tuple[str, Path]]:
    "Every module of the package in the order of the house, with the page that it comes from: basement, lessons, workshop."
    paths = [p for p in (root/"adrec").glob("*.py") if p.name != "_modidx.py"]
    page = {p: re.search(r"nbs/(\w+)\.ipynb", p.read_text(encoding="utf-8"))[1] for p in paths}
    basement = ("__init__", "checks", "devices")
    return {p.stem: (page[p], p) for p in sorted(paths, key=lambda p: (p.stem not in basement, p.stem != "__init__", page[p]))}


def imports(path) -> set[str]:
    "The modules of the package that a module imports, also inside functions; those of the package itself at once only."
    tree = ast.parse(path.read_text(encoding="utf-8"))
    unseen = {n for node in ast.walk(tree) if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) for n in ast.walk(node)}
    nodes = tree.body if path.stem == "__init__" else [n for n in ast.walk(tree) if n not in unseen]
    names = set()
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.level or node.module.split(".")[0] == "adrec"):
            module = (node.module or "").removeprefix("adrec").removeprefix(".")
            names |= {module} if module else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import): names |= {a.name.removeprefix("adrec.") for a in node.names if a.name.split(".")[0] == "adrec"}
    return names


def test_no_import_points_upward(root):
    house = modules(root)
    order = list(house)
    upward = [f"{name} imports {other}" for i, (name, (_, path)) in enumerate(house.items())
              for other in imports(path) & set(order) if order.index(other) >= i and other != name]
    assert not upward, f"a module may import what stands on earlier pages, not {', '.join(upward)}"


def test_no_module_is_long(root):
    long = {name: n for name, (_, path) in modules(root).items() if (n := len(path.read_text(encoding="utf-8").splitlines())) > 600}
    assert not long, f"more than 600 lines: {long}"


def fresh(code:str, root) -> str:
    "What Python prints that begins anew."
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(root)})
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


DRAWING = ("matplotlib", "seaborn", "bokeh", "sklearn")  # what only figures need
HEAVY = ("torch", "pandas", "scipy", *DRAWING)
LIGHT = {**dict.fromkeys(["checks", "options", "shell", "checkup", "book", "handout", "cli"], HEAVY),
         **dict.fromkeys(["formats", "columns", "vectors"], ("torch", "scipy", *DRAWING)),
         **dict.fromkeys(["spectra", "collapse", "recorder", "tables"], ("torch", *DRAWING)),
         **dict.fromkeys(["read", "ranking", "systems", "recipes", "training"], ("scipy.stats", *DRAWING))}


@pytest.mark.parametrize("name", LIGHT)
def test_light_modules_stay_light(name, root):
    assert fresh(f"import sys, adrec.{name}; print([m for m in {LIGHT[name]} if m in sys.modules])", root) == "[]"


def test_the_help_of_a_training_loads_nothing_for_numbers_or_figures(root):
    code = f"""import contextlib, gc, io, sys
from adrec.cli import main
sys.argv = ["adrec", "train", "--help"]
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit): main()
print(gc.isenabled(), [m for m in {("scipy.stats", *DRAWING)} if m in sys.modules])"""
    assert fresh(code, root) == "True []"


def test_importing_the_package_loads_next_to_nothing(root):
    code = "import sys, time; start = time.perf_counter(); import adrec; print(time.perf_counter() - start, 'numpy' in sys.modules)"
    seconds, numpy = zip(*(fresh(code, root).split() for _ in range(5)))
    assert set(numpy) == {"False"}
    assert min(map(float, seconds)) < 0.1, f"`import adrec` took {min(map(float, seconds)):.2f} s"


# ---- lint, types, hooks

def test_ruff_is_content(root):
    call(sys.executable, "-m", "ruff", "check", "--no-cache", ".", cwd=root)


def test_pyright_is_content(root):
    found = check(root/"adrec")
    assert not found, "\n".join([f"{len(found)} findings:", *found])


def test_patched_methods_are_checked_where_they_belong():
    source = "from fastcore.basics import patch\nclass A:\n    n = 1\n\n@patch\ndef two(self:A, x:int=2):\n    return self.n\n\n@patch(as_prop=True)\ndef three(self:A): return 3\n"
    text, lines = folded(source)
    tree = ast.parse(text)
    (a,) = (node for node in tree.body if isinstance(node, ast.ClassDef))
    assert [node.name for node in a.body if isinstance(node, ast.FunctionDef)] == ["two", "three"]
    assert not any(isinstance(node, ast.FunctionDef) for node in tree.body), "moved, not copied"
    assert lines[text.splitlines().index("        return self.n")] == 7, "a finding names the line of the original"


WORKFLOW, HOOKS = ".github/workflows/test.yml", ".pre-commit-config.yaml"


@pytest.mark.parametrize("name", [WORKFLOW, HOOKS, "nbs/_quarto.yml"])
def test_yaml_can_be_read(name, root): assert yaml.safe_load((root/name).read_text(encoding="utf-8"))


def test_the_workflow_runs_everywhere(root):
    jobs = yaml.safe_load((root/WORKFLOW).read_text(encoding="utf-8"))["jobs"]
    matrix = jobs["test"]["strategy"]["matrix"]
    assert {name.split("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
    assert matrix["python"] == ["3.11", "3.12", "3.13", "3.14"]
    commands = "\n".join(step.get("run", "") for job in jobs.values() for step in job["steps"])
    assert "--resolution lowest-direct" in commands and "make export docs" in commands


def test_hooks_need_no_network(root):
    repos = yaml.safe_load((root/HOOKS).read_text(encoding="utf-8"))["repos"]
    assert {repo["repo"] for repo in repos} == {"local"}
    entries = {hook["id"]: hook["entry"] for repo in repos for hook in repo["hooks"]}
    assert set(entries) == {"nbdev_clean", "nbdev_export", "ruff"}
    for entry in entries.values(): assert shutil.which(entry.split()[0], path=str(BIN)), f"{entry}: not installed"
