"Hands the facts of settings.ini to setuptools, so that they are written down once, and the notebooks to the wheel."
import json
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
facts = config["DEFAULT"]


class WithNotebooks(build_py):
    "Puts the pages of nbs/ into the package, for `adrec notebooks`: without outputs, which are nine tenths of their weight."
    def run(self):
        super().run()
        if self.editable_mode: return
        for page in sorted(Path("nbs").rglob("*")):
            path = page.relative_to("nbs")
            kept = page.suffix == ".ipynb" or path.parts[0] in ("results", "tutorials")  # as `page_files` in nbs/38_handout.ipynb
            if not (page.is_file() and kept) or any(part[0] in "._" for part in path.parts): continue
            target = Path(self.build_lib, facts["lib_path"], "notebooks", path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(without_outputs(page.read_bytes()) if page.suffix == ".ipynb" else page.read_bytes())


def without_outputs(text:bytes) -> bytes:
    "A notebook as nobody has run it."
    notebook = json.loads(text)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code": cell |= {"outputs": [], "execution_count": None}
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


setup(
    cmdclass={"build_py": WithNotebooks},
    name=facts["lib_name"],
    version=facts["version"],
    description=facts["description"],
    long_description=Path("README.md").read_text(encoding="utf-8") if Path("README.md").exists() else "",
    long_description_content_type="text/markdown",
    author=facts["author"],
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords=facts["keywords"].split(),
    classifiers=[
        "Development Status :: 3 - Alpha",
        f"Intended Audience :: {facts['audience']}",
        f"Natural Language :: {facts['language']}",
        "Programming Language :: Python :: 3",
    ],
    packages=[facts["lib_path"]],
    python_requires=f">={facts['min_python']}",
    install_requires=facts["requirements"].split(),
    extras_require={"teach": facts["teach_requirements"].split(),
                    "dev": f"{facts['dev_requirements']} {facts['teach_requirements']}".split()},
    entry_points={
        "console_scripts": facts["console_scripts"].split(),
        "nbdev": [f"{facts['lib_name']}={facts['lib_path']}._modidx:d"],  # so that nbdev's docs can link to our names
    },
    zip_safe=False,
)
