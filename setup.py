"Hands the facts of settings.ini to setuptools, so that they are written down once."
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup

config = ConfigParser(delimiters=["="])
config.read("settings.ini", encoding="utf-8")
facts = config["DEFAULT"]

setup(
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
    extras_require={"dev": facts["dev_requirements"].split()},
    entry_points={
        "console_scripts": facts["console_scripts"].split(),
        "nbdev": [f"{facts['lib_name']}={facts['lib_path']}._modidx:d"],  # so that nbdev's docs can link to our names
    },
    zip_safe=False,
)
