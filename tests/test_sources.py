"What is made from the notebooks is what they make: the package, the README, the site."
import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert site < 15_000_000, f"docs/ has {site / 1e6:.1f} MB, more than 15"


def test_the_makefile_lists_its_targets(root):
    if not shutil.which("make"): pytest.skip("no make")
    for command in (["make"], ["make", "help"]):
        printed = subprocess.run(command, cwd=root, capture_output=True, text=True, env={**os.environ, "MAKEFLAGS": ""}).stdout
        assert all(f"make {target} " in printed for target in ("demo", "test", "docs", "lab", "bench", "export", "execute", "clean"))
