"The `adrec` command: what it prints, what it writes, and how it complains."
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest

from adrec import checkup, cli
from adrec.cli import main

BABY = Path(os.environ.get("ADREC_TEST_DATA", "nowhere"))/"baby.csv.gz"
needs_baby = pytest.mark.skipif(not BABY.exists(),
                                reason="set ADREC_TEST_DATA to a folder with baby.csv.gz")
METRICS = ["HR@5", "NDCG@5", "HR@10", "NDCG@10", "HR@20", "NDCG@20", "MRR"]
SMALL = "--data synthetic --dim 16 --no-progress"
FILES = {"config.json", "history.jsonl", "items.csv", "metrics.json", "model.safetensors"}


class Done(NamedTuple):
    code:int
    out:str
    err:str
    def json(self): return json.loads(self.out)


@pytest.fixture
def adrec(tmp_path, monkeypatch, capsys):
    "Run one line in an empty folder; the quick way, in this process."
    monkeypatch.chdir(tmp_path)
    def run(line) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as end: main(shlex.split(line))
        return Done(end.value.code, *capsys.readouterr())
    return run


def process(line, cwd) -> Done:
    "Run one line as a process of its own."
    command = [sys.executable, "-m", "adrec", *shlex.split(line)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    return Done(done.returncode, done.stdout, done.stderr)


def train_here(line, folder):
    with contextlib.chdir(folder), pytest.raises(SystemExit) as end: main(shlex.split(line))
    assert end.value.code == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    "A folder with two finished runs; tests copy from it what they want to spoil."
    folder = tmp_path_factory.mktemp("made")
    train_here(f"train {SMALL} --model adrec --steps 8 --out adrec --epochs 7", folder)
    train_here(f"train {SMALL} --model sasrec --out sasrec --epochs 7", folder)
    return folder


def log(users=40, items=25, length=6, **more) -> pd.DataFrame:
    "A small log that is all right; every user takes neighbouring items."
    rows = [(f"u{u}", f"i{(u + j) % items}", j) for u in range(users) for j in range(length)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).assign(**more)


# ---- help

def test_help_comes_without_heavy_imports(tmp_path):
    heavy = {"torch", "pandas", "matplotlib", "scipy"}
    code = f"import sys, adrec.cli; sys.exit(bool({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code])
    assert done.returncode == 0, "adrec.cli imports something heavy at its top"
    assert "Examples:" in process("--help", tmp_path).out


@pytest.mark.parametrize("command, options", [
    ("data", ["--json", "--min-rating", "--k-core", "--user-column"]),
    ("train", ["--data", "--model", "--out", "--seed", "--epochs", "--device", "--precision",
               "--pretrained", "--resume", "--noise-scale", "--attention-sink", "--padding-class",
               "--warm-up-decay", "--any-metric", "--pcgrad", "--guidance", "--condition-dropout",
               "--prefixes", "--users-per-update", "--heads", "--blocks", "--dropout",
               "--embedding-dropout", "--weight-decay", "--length-groups", "--validate-every",
               "--monitor", "--cosine-epochs", "--warm-up N", "--allow-code", "--no-header",
               "--min-user-items", "--time-format", "--drop-duplicates"]),
    ("evaluate", ["--split", "--ties", "--filter-seen", "--json"]),
    ("recommend", ["--user", "--history", "-k", "--json"]),
    ("export", ["-o"]),
    ("diagnose", ["--labels", "--key", "--json", "--plot", "--seed", ".safetensors", "word2vec"]),
    ("demo", ["--out", "--epochs", "first free of runs/demo"]),
])
def test_every_command_explains_itself(adrec, command, options):
    done = adrec(f"{command} --help")
    text = " ".join(done.out.split()).replace("--[no-]", "--no-")
    assert done.code == 0 and done.err == "" and "Examples:" in text
    assert [option for option in options if option not in text] == []
    for line in re.findall(r"^ +(adrec .*)$", done.out, re.M):
        assert adrec(f"{line.removeprefix('adrec ')} --help").code == 0, f"cannot be parsed: {line}"


def test_the_help_of_train_is_grouped_and_fits_on_two_screens(adrec, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    lines = adrec("train --help").out.splitlines()
    assert len(lines) <= 120 and max(map(len, lines)) <= 100
    headings = [line for line in lines if re.fullmatch(r"[A-Z]\w+:", line)]
    assert headings == ["Data:", "Model:", "Optimisation:", "Run:", "Examples:"]
    def group(option): return headings[sum(h in lines[:lines.index(next(
        line for line in lines if line.startswith(f"  {option}")))] for h in headings) - 1]
    assert [group(o) for o in ("--sep", "--heads", "--epochs", "-o, --out")] == headings[:4]


def test_the_help_states_the_defaults_that_hold(adrec, monkeypatch):
    from adrec.options import options_of
    from adrec.recipes import Settings, three_stages
    monkeypatch.setenv("COLUMNS", "100")
    text = " ".join(adrec("train --help").out.split())
    for option in options_of([three_stages, Settings]).values():
        flag, settings = option.name.replace("_", "-"), text.split("Optimisation:")[1]
        shown = re.search(rf"--(?:\[no-\])?{flag} (?:[A-Z]+ )?(.*?)(?= --|$)", settings)[1]
        default = "yes" if option.default is True else option.default
        if default not in (None, False): assert f"[default: {default}]" in shown
    assert "[default: 2, diffurec 4]" in text and "adrec, diffurec: weight of the noisy target" in text


def test_defaults_are_told_as_they_are():
    from adrec.options import Option
    text = lambda default, help="text": Option("x", object, default, help).help_text()
    assert [text(value) for value in (None, False, True, 1, 0.0, ())] == [
        "text", "text", "text [default: yes]", "text [default: 1]", "text [default: 0.0]", "text"]
    assert text(None, "how many; None: all; 0: none") == "how many; 0: none [default: all]"
    assert text(None, "Keep those. Default: 4 where there are any.") == "keep those [default: 4 where there are any]"
    assert text(None, "DiffuRec: a share; None: 0") == "DiffuRec: a share [default: 0]"


def test_help_is_plain_text(made, tmp_path):
    environment = {**os.environ, "FORCE_COLOR": "1", "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "adrec", "export", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.stdout.isascii() and "\x1b" not in done.stdout and "Usage: adrec export RUN" in done.stdout


def test_version(adrec, root):
    version = re.search(r"^version = (.*)$", (root/"settings.ini").read_text(), re.M)[1]
    assert adrec("--version") == Done(0, f"adrec {version}\n", "")


def test_alone_it_prints_its_help(adrec):
    done = adrec("")
    assert done.code == 0 and done.out == adrec("--help").out
    for name in ("data", "train", "evaluate", "recommend", "export", "diagnose", "demo"):
        assert name in done.out


# ---- data

def test_data_describes_ml_100k(adrec):
    found = adrec("data ml-100k --json").json()
    assert list(found) == ["name", "users", "items", "interactions", "mean_length", "source", "split", "first", "last", "equal_times", "cold_answers", "warnings", "counts"]
    assert (found["first"], found["last"], found["equal_times"], found["warnings"]) == ("1997-09-20 03:05:10", "1998-04-22 23:10:38", 0.4154, [])
    assert [found[key] for key in list(found)[:5]] == ["ml-100k", 938, 1008, 54413, 58.01]
    text = adrec("data ml-100k").out
    for part in ("938", "1,008", "54,413", "ratings from 4 up, 5-core", "GroupLens"):
        assert part in text


@needs_baby
def test_data_describes_a_file(adrec):
    found = adrec(f"data {BABY} --json").json()
    assert [found[key] for key in ("users", "items", "interactions")] == [11761, 4731, 92823]


def test_data_reads_other_logs_and_warns(adrec):
    Path("pairs.txt").write_text("".join(f"{u} {i}\n" for i in (7, 8, 9) for u in (1, 2)))
    done = adrec("data pairs.txt")
    assert done.code == 2 and "--no-header" in done.err and "--order lines" in done.err
    text = adrec("data pairs.txt --no-header --order lines").out
    assert "time is the order of the lines" in text and "warning: took column 1 as the user, column 2 as the item" in text
    Path("log.dat").write_text("who;what;when\n" + "".join(f"{u};{i};0{i}.05.2024\n" for i in (7, 8, 9) for u in (1, 2)))
    columns = "--user-column who --item-column what --time-column when"
    assert adrec(f"data log.dat {columns}").code == 2
    found = adrec(f"data log.dat {columns} --sep ';' --time-format %d.%m.%Y --json").json()
    assert (found["first"], found["last"], found["users"]) == ("2024-05-07 00:00:00", "2024-05-09 00:00:00", 2)
    assert "leave out --sep" in adrec("data ml-100k --sep tab").err and "--order" in adrec("data --order lines").err


def test_data_lists_what_is_built_in(adrec):
    assert {"ml-100k", "synthetic"} <= {entry["name"] for entry in adrec("data --json").json()}
    assert "ml-100k" in adrec("data").out


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz", "log.tsv", "log.parquet"])
def test_data_reads_files_with_other_columns(adrec, name):
    table = log(rating=5)
    table.columns = ["who", "what", "when", "stars"]
    if "parquet" in name: table.to_parquet(name)
    else: table.to_csv(name, index=False, sep="\t" if "tsv" in name else ",")
    columns = "--user-column who --item-column what --time-column when --rating-column stars"
    found = adrec(f"data {name} {columns} --json").json()
    assert (found["users"], found["items"], found["interactions"]) == (40, 25, 240)


def test_data_filters_as_told(adrec):
    assert adrec("data ml-100k --min-rating 0 --k-core 0 --json").json()["interactions"] == 100_000
    assert adrec("data ml-100k --min-rating 5 --k-core 10 --json").json()["interactions"] < 54413


# ---- evaluate

@pytest.mark.parametrize("ties, hit_rate, ndcg", [("pessimistic", 9.28, 3.48),
                                                  ("optimistic", 10.34, 3.73)])
def test_popularity_on_ml_100k(adrec, ties, hit_rate, ndcg):
    found = adrec(f"evaluate popularity --data ml-100k --ties {ties} --json").json()
    assert [round(100 * found[name], 2) for name in ("HR@20", "NDCG@20")] == [hit_rate, ndcg]
    expected = dict(users=938, split="test", ties=ties, filter_seen=False)
    assert expected.items() <= found.items()
    assert [name for name in found if "@" in name or name == "MRR"] == METRICS


@needs_baby
def test_popularity_on_baby(adrec):
    found = adrec(f"evaluate popularity --data {BABY} --json").json()
    assert [round(100 * found[name], 2) for name in ("HR@20", "NDCG@20")] == [2.90, 1.07]


def test_evaluate_says_how_it_measured(adrec):
    said = adrec("evaluate popularity --data ml-100k").out
    for part in ("ml-100k", "test split", "938 users", "all 1,008 items", "expected",
                 "not filtered", "log rank", "NLL at temperature", *METRICS): assert part in said
    assert 9.28 <= float(said.splitlines()[-3].split()[5]) <= 10.34
    options = "--filter-seen --split validation --ties optimistic"
    other = adrec(f"evaluate popularity --data ml-100k {options}").out
    for part in ("validation split", "optimistic", "seen items filtered out"): assert part in other


@pytest.mark.parametrize("name", ["popularity", "markov", "itemknn"])
def test_all_simple_systems_can_be_named(adrec, name):
    assert adrec(f"evaluate {name} --data synthetic --json").json()["users"] == 300


@pytest.mark.parametrize("name", ["adrec", "sasrec"])
def test_evaluating_a_run_gives_its_own_numbers_again(adrec, made, name):
    stored = json.loads((made/name/"metrics.json").read_text())
    for split in ("validation", "test"):
        found = adrec(f"evaluate {made/name} --split {split} --json").json()
        assert {key: found[key] for key in stored[split]} == stored[split]


def test_json_is_all_there_is_on_stdout(made, tmp_path):
    done = process(f"evaluate {made/'adrec'} --json", tmp_path)
    assert done.code == 0 and done.json()["users"] == 300 and done.err == ""


# ---- train

def test_training_fills_a_run_folder_and_names_its_files(adrec):
    done = adrec(f"train {SMALL} --out runs/a --epochs 6 --seed 3")
    assert done.code == 0 and done.err == ""
    named = set(re.findall("^wrote (.*)$", done.out, re.M))
    there = {str(path) for path in Path("runs/a").iterdir()}
    assert there == named == {str(Path("runs/a", name)) for name in FILES | {"stage1.safetensors", "checkpoint.safetensors", "spectra.npz"}}
    history = pd.read_json("runs/a/history.jsonl", lines=True)
    epochs = history.groupby("stage", sort=False).size().to_dict()
    assert epochs == {"pre-train": 6, "warm-up": 5, "fine-tune": 1}, "--epochs bounds every stage"
    for part in ("seed 3", "pre-train 6, warm-up 5, fine-tune 1", "not filtered"):
        assert part in done.out
    config = json.loads(Path("runs/a/config.json").read_text())
    assert (config["system"], config["seed"], config["options"]) == ("adrec", 3, {"dim": 16})


def test_options_reach_the_configuration(adrec):
    model = "--steps 8 --schedule cosine --level sequence --noise-scale 0.5"
    optimising = "--max-length 9 --patience 2 --learning-rate 0.01 --pcgrad"
    authors = "--attention-sink --padding-class --warm-up-decay --any-metric"
    assert adrec(f"train {SMALL} --out a --epochs 1 {model} {optimising} {authors}").code == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["options"] == dict(dim=16, steps=8, schedule="cosine", level="sequence",
                                     noise_scale=0.5, attention_sink=True, padding_class=True)
    expected = dict(max_length=9, patience=2, learning_rate=0.01, pcgrad=True, warm_up_decay=True,
                    any_metric=True)
    assert expected.items() <= config["settings"].items()


def test_every_declared_option_reaches_the_configuration(adrec):
    model = "--heads 2 --blocks 1 --dropout 0.2 --embedding-dropout 0.25 --steps 8"
    optimising = ("--users-per-update 100 --length-groups 2 --weight-decay 0.001 --validate-every 2 "
                  "--monitor HR@10 --cosine-epochs 90 --warm-up 1")
    assert adrec(f"train {SMALL} --out a --epochs 2 {model} {optimising}").code == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["options"] == dict(dim=16, heads=2, blocks=1, dropout=0.2,
                                     embedding_dropout=0.25, steps=8)
    expected = dict(users_per_update=100, length_groups=2, weight_decay=0.001, validate_every=2,
                    monitor="HR@10", cosine_epochs=90, learning_rate=0.001)
    assert expected.items() <= config["settings"].items()
    assert [stage["epochs"] for stage in config["stages"]] == [2, 1, 1]
    assert adrec("train --resume --out a --warm-up 1 --heads 2 --monitor HR@10").code == 0
    for change in ("--warm-up 2", "--heads 4", "--monitor MRR", "--length-groups 3"):
        assert "a was begun with" in adrec(f"train --resume --out a {change}").err, change


def test_only_what_was_given_is_noted(adrec):
    log().to_csv("log.csv", index=False)
    line = "train --data log.csv --k-core 2 --model sasrec --dim 16 --epochs 1 --no-positions"
    assert adrec(f"{line} --no-progress --out a").code == 0
    config = json.loads(Path("a/config.json").read_text())
    assert config["options"] == dict(dim=16, positions=False)
    assert config["data"]["arguments"] == dict(source=str(Path("log.csv").resolve()), k_core=2)


OWN = """
from __future__ import annotations
from typing import Optional
import torch
from adrec.sasrec import SASRec

class Base(SASRec):
    def __init__(self, n_items,
        rate:Optional[float]=None,  # how fast; None: not at all
        dim=16):
        super().__init__(n_items, dim=dim, blocks=1, heads=1)

class Mine(Base):
    def __init__(self,
        n_items:int,
        width:int,            # of the item vectors
        biased:bool=True,     # is there a bias?
        title="x",            # what to call it
        layers:list=(1, 2),   # more than a word can say
        device=torch.device,  # the command's own
        **rest):
        super().__init__(n_items, dim=width, **rest)
        self.told = dict(width=width, biased=biased, title=title, **rest)

def make(n_items, width:int=4): return Mine(n_items, width)  # how wide
"""


@pytest.fixture
def own(adrec, monkeypatch):
    "A line's words for a system in a file of the current folder, ready for its name."
    from adrec.systems import SYSTEMS
    Path("ownmodels.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    yield "--data synthetic --no-progress --allow-code ownmodels --model ownmodels:"
    for name in [name for name in SYSTEMS if "ownmodels" in name]: del SYSTEMS[name]
    sys.modules.pop("ownmodels", None)


def test_options_of_a_system_of_ones_own(adrec, own):
    done = adrec(f"train {own}Mine --out a --epochs 1 --width 8 --no-biased --title y --rate 0.5")
    assert done.code == 0, done.err
    told = dict(width=8, biased=False, title="y", rate=0.5)
    assert json.loads(Path("a/config.json").read_text())["options"] == told
    assert adrec("evaluate a --allow-code ownmodels").code == 0
    assert adrec(f"train {own}Mine --resume --out a --width 8").code == 0
    assert "a was begun with width 8" in adrec(f"train {own}Mine --resume --out a --width 9").err
    assert adrec(f"train {own}make --out b --epochs 1 --width 6").code == 0


def test_the_help_shows_the_options_of_a_system_of_ones_own(adrec, own, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    text = adrec(f"train {own}Mine --help").out
    group = text[text.index("Model:"):text.index("Optimisation:")]
    assert [line.strip() for line in group.splitlines()[1:-1]] == [
        "--width N              of the item vectors [required]",
        "--[no-]biased          is there a bias? [default: yes]",
        "--title TEXT           what to call it [default: x]",
        "--rate X               how fast [default: not at all]",
        "--dim N                [default: 16]"]
    assert text.count("--device") == 1
    assert "--steps" in adrec("train --help").out, "the built-in ones are as they were"


def test_a_system_of_ones_own_is_compared(adrec, own):
    words = "compare --data synthetic --systems sasrec,ownmodels:make --seeds 1 --epochs 1 --out grid --processes 1 --no-progress"
    assert "--allow-code ownmodels" in adrec(words).err and not Path("grid").exists()
    done = adrec(f"{words} --allow-code ownmodels")
    assert done.code == 0, done.err
    assert [line.split()[0] for line in done.out.splitlines()[1:6]] == ["popularity", "markov", "itemknn", "sasrec", "make"]
    assert "two have the same name" in adrec(words.replace("sasrec,", "others:make,")).err


def test_wrong_words_about_a_system_of_ones_own(adrec, own):
    done = adrec("train --data synthetic --model ownmodels:Mine --width 8 --out new")
    assert done.code == 2 and "allow it with" in done.err and "ownmodels" not in sys.modules
    for words, complaint in (
            ("Mine --steps 8", "ownmodels:Mine takes --width, --biased, --title, --rate, --dim (see"),
            ("Mine --widht 8", "Did you mean --width? ownmodels:Mine takes --width"),
            ("Mine --layers 8", "Unknown option: --layers"), ("Mine --width x", "--width should be a whole number"),
            ("Mine", "ownmodels:Mine: Mine.__init__() missing"), ("Min", "Did you mean 'Mine'"), ("make --dim 8", "ownmodels:make takes --width (see")):
        done = adrec(f"train {own}{words} --out new --epochs 1")
        assert done.code == 2 and complaint in done.err and not Path("new").exists(), done.err


def test_the_recipe_of_the_demo_is_a_command(adrec):
    from adrec.demo import DEMO_SETTINGS, _train_both
    from adrec.read import load_data
    from adrec.recipes import Settings
    data = load_data("synthetic")
    _train_both(data, Path("demo"), 3, 2, False)
    recipe = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in
                      vars(DEMO_SETTINGS).items() if value != getattr(Settings(), name))
    line = f"train --data synthetic --seed 3 --epochs 2 {recipe} --no-progress"
    assert adrec(f"{line} --warm-up 2 --out adrec").code == 0
    assert adrec(f"{line} --model sasrec --out sasrec").code == 0
    for name in ("adrec", "sasrec"):
        for file in ("config.json", "metrics.json", "model.safetensors"):
            assert Path(name, file).read_bytes() == Path("demo", name, file).read_bytes(), (name, file)


def test_guidance_and_prefixes_reach_the_run(adrec):
    from adrec.runs import load_run
    guided = "--model dreamrec --steps 4 --guidance 2 --condition-dropout 0.1 --prefixes"
    assert adrec(f"train {SMALL} --out a --epochs 1 {guided}").code == 0
    model, config = load_run("a").model, json.loads(Path("a/config.json").read_text())
    assert (model.guidance, model.condition_dropout) == (2, 0.1)
    assert config["settings"]["prefixes"] is True
    assert adrec("train --resume --out a --guidance 2 --prefixes").code == 0
    assert "begun with guidance 2.0" in adrec("train --resume --out a --guidance 4").err


def test_the_noise_scale_reaches_the_model(adrec):
    from adrec.runs import load_run
    assert adrec(f"train {SMALL} --out a --epochs 1 --steps 8 --noise-scale 0").code == 0
    assert load_run("a").model.noise_scale == 0


def test_progress_goes_to_stderr(adrec):
    done = adrec("train --data synthetic --dim 16 --model sasrec --out a --epochs 6 --progress")
    assert done.code == 0 and "6/6" not in done.out
    for part in ("6/6", "loss", "NDCG@20"): assert part in done.err


def test_same_seed_same_numbers(adrec, made):
    for seed in (0, 1): adrec(f"train {SMALL} --model sasrec --out {seed} --epochs 7 --seed {seed}")
    same, other = (Path(out, "metrics.json").read_text() for out in "01")
    assert same == (made/"sasrec/metrics.json").read_text() != other


def test_a_run_on_a_file_works_from_elsewhere_and_after_the_file_has_moved(adrec, monkeypatch):
    log().rename(columns={"user_id": "who"}).to_csv("log.csv", index=False)
    options = "--user-column who --dim 16 --model sasrec --epochs 2 --no-progress"
    assert adrec(f"train --data log.csv {options} --out run").code == 0
    Path("deeper").mkdir(); monkeypatch.chdir("deeper")
    assert adrec("evaluate ../run --json").json()["users"] == 40
    shutil.move("../log.csv", "moved.csv")
    assert "log.csv" in adrec("evaluate ../run").err
    assert adrec("evaluate ../run --data moved.csv --user-column who --json").json()["users"] == 40
    assert adrec("recommend ../run --user u3 --data moved.csv --user-column who").code == 0


def test_pretrained_items_replace_stage_1(adrec, made):
    adrec(f"train {SMALL} --steps 8 --out a --epochs 7 --pretrained {made/'adrec'}")
    assert "pre-train" not in Path("a/history.jsonl").read_text()
    same = Path("a/metrics.json").read_text() == (made/"adrec/metrics.json").read_text()
    assert same, "from the same stage 1 the rest should be the same"
    np.save("items.npy", np.random.default_rng(0).standard_normal((60, 16)))
    assert adrec(f"train {SMALL} --out b --epochs 1 --pretrained items.npy").code == 0


# ---- interrupting, resuming

def checkpointed(folder, system, process, seconds=60):
    "Wait until a training in another process has kept something of `system`."
    end = time.time() + seconds
    while time.time() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if f'"{system}"' in (folder/"history.jsonl").read_text(): return
        time.sleep(0.01)
    pytest.fail(f"no checkpoint of {system}; it printed {process.communicate()}")


TO_INTERRUPT = f"train {SMALL} --steps 8 --epochs 20"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    "The run that an interrupted one should become."
    folder = tmp_path_factory.mktemp("whole")
    train_here(f"{TO_INTERRUPT} --out whole", folder)
    return folder/"whole"


def resumes(adrec, whole):
    "The run in `cut` is not finished; continue it, and compare it with the whole one."
    complains(adrec("evaluate cut"), "cut is incomplete", "adrec train --resume --out cut")
    assert adrec("train --resume --out cut --no-progress").code == 0
    assert Path("cut/metrics.json").read_text() == (whole/"metrics.json").read_text()
    histories = [pd.read_json(run/"history.jsonl", lines=True) for run in (Path("cut"), whole)]
    pd.testing.assert_frame_equal(*(history.drop(columns="seconds") for history in histories))


def test_a_killed_training_resumes_to_the_same_numbers(adrec, whole, tmp_path):
    command = [sys.executable, "-m", "adrec", *shlex.split(f"{TO_INTERRUPT} --out cut")]
    running = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try: checkpointed(tmp_path/"cut", "adrec", running)
    finally: running.kill(); running.communicate(timeout=30)
    assert not Path("cut/metrics.json").exists(), "it was too late to interrupt"
    resumes(adrec, whole)


def test_after_ctrl_c_a_training_resumes_to_the_same_numbers(adrec, whole, monkeypatch):
    from adrec.training import Training
    run_epoch = Training.run_epoch
    def until_the_eighth(self, *args, **options):
        if (self.system, self.epoch) == ("adrec", 8): signal.raise_signal(signal.SIGINT)
        return run_epoch(self, *args, **options)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background may ignore it
    with monkeypatch.context() as patched:
        patched.setattr(Training, "run_epoch", until_the_eighth)
        done = adrec(f"{TO_INTERRUPT} --out cut")
    text = "adrec: interrupted; to continue:  adrec train --resume --out cut\n"
    assert done == Done(130, "", text)
    resumes(adrec, whole)


def test_options_may_be_repeated_but_not_changed_on_resuming(adrec, made):
    shutil.copytree(made/"adrec", "run")
    assert adrec(f"train {SMALL} --resume --out run --model adrec --steps 8 --epochs 7").code == 0
    for change in ("--epochs 6", "--seed 1", "--model sasrec", "--dim 32", "--steps 9",
                   "--learning-rate 0.1", "--noise-scale 0.1", "--pcgrad", "--padding-class",
                   "--schedule cosine"):
        done = adrec(f"train --resume --out run {change}")
        assert done.code == 2 and "run was begun with" in done.err, change


# ---- recommend, export

def test_recommend_for_a_history(adrec, made):
    found = adrec(f'recommend {made/"adrec"} --history "i22, i25,i31" -k 4 --json').json()
    history, best = found["history"], found["recommendations"]
    assert [item["item_id"] for item in history] == ["i22", "i25", "i31"]
    assert history[0]["title"] == "item 22 of cluster 2"
    assert [row["rank"] for row in best] == [1, 2, 3, 4]
    assert all(set(row) == {"rank", "item_id", "title", "genres", "score"} for row in best)
    scores = [row["score"] for row in best]
    assert scores == sorted(scores, reverse=True)
    assert not {"i22", "i25", "i31"} & {row["item_id"] for row in best}
    line = f"recommend {made/'adrec'} --history i22,i25,i31 -k 4"
    assert found == adrec(f"{line} --json").json(), "same seed, same answer"
    text = adrec(line).out
    assert "item 31 of cluster 3" in text
    for row in best:
        for part in (row["item_id"], row["title"], f"{row['score']:.3f}"): assert part in text


def test_recommend_for_a_user_rests_on_everything_known(adrec, made):
    from adrec.read import load_data
    data = load_data("synthetic")
    everything = data.item_info.item_id.loc[data.sequence(data.user_row("u7"))].tolist()
    found = adrec(f"recommend {made/'sasrec'} --user u7 -k 3 --json").json()
    assert found["user"] == "u7" and [item["item_id"] for item in found["history"]] == everything
    same = adrec(f"recommend {made/'sasrec'} --history {','.join(everything)} -k 3 --json").json()
    assert same["recommendations"] == found["recommendations"]
    assert "history of user u7" in adrec(f"recommend {made/'sasrec'} --user u7").out
    whole = adrec(f"recommend {made/'sasrec'} --user u7 -k 60 --no-filter-seen --json").json()
    assert len(whole["recommendations"]) == 60


def test_export_writes_the_vectors_with_their_ids(adrec, made):
    from adrec.runs import load_run
    vectors = load_run(made/"adrec").model.item_embeddings().detach().numpy()
    for name in ("items.npy", "items.csv", "items.parquet"):
        done = adrec(f"export {made/'adrec'} -o {name}")
        assert done.code == 0 and f"wrote {name}" in done.out
    np.testing.assert_array_equal(np.load("items.npy"), vectors)
    ids = pd.read_csv("items.items.csv")
    for table in (pd.read_csv("items.csv"), pd.read_parquet("items.parquet")):
        np.testing.assert_allclose(table.filter(regex=r"^dim\d+$"), vectors, rtol=1e-6)
        assert table.item_id.tolist() == ids.item_id.tolist() == [f"i{n}" for n in range(1, 61)]
        assert "title" in table
    written = {path.name for path in Path().iterdir()}
    assert written == {"items.npy", "items.items.csv", "items.csv", "items.parquet"}


# ---- diagnose

DIAGNOSTICS = {"mean_cosine", "uniformity", "hubness", "effective_rank", "participation_ratio", "unit_participation_ratio",
               "stable_rank", "information_abundance", "spectrum_decay", "outlier_count",
               "noise_share", "noise_distance", "top_eigenvalue", "spectrum_variance", "iso_score", "rankme"}
FIGURES = {"spectrum.png", "eigenvalues.png", "cosines.png", "pca.png"}


def save_tables(n=300, d=32):
    "Three tables with known answers, and labels for the last."
    rng = np.random.default_rng(0)
    np.save("gauss.npy", rng.normal(size=(n, d)))
    np.save("eight.npy", rng.normal(size=(n, 4)) @ rng.normal(size=(4, d)))
    group = np.arange(n) % 5
    vectors = rng.normal(size=(5, d))[group] + rng.normal(size=(n, d))
    ids = [f"w{i}" for i in range(n)]
    pd.DataFrame(vectors).add_prefix("x").assign(id=ids).to_csv("groups.csv", index=False)
    pd.DataFrame({"id": ids, "group": group})[::-1].to_csv("labels.csv", index=False)


def strict(text):
    "Parse JSON that has no NaN in it, which many programs cannot read."
    def never(word): raise AssertionError(f"{word} is not JSON")
    return json.loads(text, parse_constant=never)


def test_diagnose_knows_noise_low_rank_and_structure(adrec):
    save_tables()
    done = adrec("diagnose gauss.npy eight.npy groups.csv --labels labels.csv --json")
    assert done.code == 0 and "ids are in column 'id'" in done.err
    noise, low, groups = strict(done.out)
    assert [t["name"] for t in (noise, low, groups)] == ["gauss", "eight", "groups"]
    assert "noise" in noise["verdict"] and "low_rank" in low["verdict"]
    assert groups["verdict"] == ["structured"] and groups["neighbour_lift"]["value"] > 2
    for table in (noise, low, groups):
        assert (table["n"], table["d"]) == (300, 32)
        assert DIAGNOSTICS | {"neighbour_lift", "neighbour_share"} == {k for k, v in table.items() if isinstance(v, dict)}
        assert all(set(table[name]) == {"value", "null"} for name in DIAGNOSTICS)


def test_diagnose_shows_values_beside_their_nulls_and_then_the_verdicts(adrec, monkeypatch):
    save_tables()
    monkeypatch.setenv("COLUMNS", "120")
    done = adrec("diagnose gauss.npy eight.npy groups.csv --labels labels.csv")
    lines = done.out.splitlines()
    assert done.code == 0 and lines[0].split() == ["gauss", "eight", "groups"]
    assert lines[1].split() == ["300", "x", "32"] * 3 and lines[2].split() == ["value", "noise"] * 3
    from adrec.tables import read_tables
    value, null = next(iter(read_tables("gauss.npy").values())).diagnose().values["participation_ratio"]
    row = next(line for line in lines if "participation ratio" in line).split()[2:]
    assert len(row) == 6 and row[:2] == [f"{value:.1f}", f"{null:.1f}"] == [row[0], row[3]]
    verdicts = [line for line in lines if re.match(r"(gauss|eight|groups): ", line)]
    assert verdicts[0] == "gauss: noise" and "low rank" in verdicts[1]
    for part in ("Same direction? No", "Few dimensions? Yes", "Only noise?", "they share labels"):
        assert part in done.out


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("count", [1, 3, 6])
def test_any_number_of_tables_fits_any_terminal(adrec, monkeypatch, width, count):
    monkeypatch.setenv("COLUMNS", str(width))
    rng = np.random.default_rng(0)
    for i in range(count): np.save(f"table-{i}.npy", rng.normal(size=(60, 8)))
    done = adrec("diagnose " + " ".join(f"table-{i}.npy" for i in range(count)))
    lines = done.out.splitlines()
    assert done.code == 0 and max(map(len, lines)) <= width
    assert sum(line.startswith("  participation ratio") for line in lines) == (2 if (count, width) in
                                                                              ((6, 80), (6, 120)) else 1)
    assert all(f"table-{i}" in done.out for i in range(count))


def test_every_diagnostic_has_its_place_under_a_question():
    from adrec.collapse import diagnose
    rng = np.random.default_rng(0)
    measured = set(diagnose(rng.normal(size=(60, 8)), labels=np.arange(60) % 3, popularity=np.arange(60)).values)
    placed = [name for names in checkup._QUESTIONS.values() for name in names]
    assert set(placed) == measured and len(placed) == len(measured)


def test_diagnose_a_run_with_its_genres_and_popularity(adrec, made):
    found, = strict(adrec(f"diagnose {made/'sasrec'} --json").out)
    assert found["name"] == "sasrec" and "neighbour_lift" in found and found["n"] == 60
    from adrec.read import load_data
    from adrec.tables import read_tables
    table, = read_tables(made/"sasrec").values()
    data = load_data("synthetic")
    assert table.titles == data.titles(range(1, 61)) and table.ids == data.item_info.item_id.tolist()
    assert table.popularity.sum() == data.n_interactions - 2 * data.n_users, "training part only"


def test_diagnose_a_run_whose_data_are_gone(adrec):
    log().to_csv("log.csv", index=False)
    adrec("train --data log.csv --dim 16 --model sasrec --epochs 1 --no-progress --out run")
    Path("log.csv").unlink()
    done = adrec("diagnose run --json")
    assert done.code == 0 and strict(done.out)[0]["n"] == 25
    assert done.err == "", "the run folder knows how often each item occurs in training"
    items = pd.read_csv("run/items.csv", dtype=str, keep_default_na=False)
    items.drop(columns="interactions").to_csv("run/items.csv", index=False)
    done = adrec("diagnose run --json")
    assert re.fullmatch(r"adrec: run: popularity is unknown[^\n]+log.csv[^\n]+\n", done.err)


def test_an_export_is_diagnosed_like_its_run(adrec, made):
    for name in ("items.csv", "items.parquet", "items.npy"): adrec(f"export {made/'adrec'} -o {name}")
    run, *files = strict(adrec(f"diagnose {made/'adrec'} items.csv items.parquet items.npy --json").out)
    for found in files:
        assert found["participation_ratio"]["value"] == pytest.approx(run["participation_ratio"]["value"])
        assert found["neighbour_lift"]["value"] == pytest.approx(run["neighbour_lift"]["value"])


def test_plot_writes_figures_and_names_them(adrec, made):
    from PIL import Image
    done = adrec(f"diagnose {made/'adrec'} {made/'sasrec'} --plot deep/er")
    named = re.findall("^wrote (.*)$", done.out, re.M)
    there = {path.name for path in Path("deep/er").iterdir()}
    assert done.code == 0 and set(named) == {str(Path("deep/er", name)) for name in there}
    assert there == FIGURES | {"collapse-map.png", "neighbours.csv"}
    for path in Path("deep/er").glob("*.png"):
        with Image.open(path) as image:
            assert min(image.size) > 300 and len(image.convert("L").getcolors()) > 20, path
    table = pd.read_csv("deep/er/neighbours.csv")
    assert {"anchor", "place", "adrec neighbour", "sasrec cosine"} <= set(table.columns) and len(table) == 30
    again = adrec(f"diagnose {made/'adrec'} --plot deep/er --json")
    assert again.code == 0 and len(strict(again.out)) == 1 and "wrote deep/er/spectrum.png" in again.err


def test_plot_handles_tables_of_all_kinds(adrec):
    rng = np.random.default_rng(0)
    np.save("wide.npy", rng.normal(size=(10, 30)))
    np.save("padded.npy", np.vstack([np.zeros((1, 8)), rng.normal(size=(60, 8))]))
    np.save("point.npy", np.ones((20, 8)))
    done = adrec("diagnose wide.npy padded.npy point.npy --plot figures")
    assert done.code == 0 and {path.name for path in Path("figures").iterdir()} == FIGURES
    for part in ("point is left out of the figures", "padded: 1 rows of zeros", "wide left out of eigenvalues",
                 "no collapse map"): assert part in done.err
    assert "nan" in done.out and "0/0" in done.out and "rows of zeros: 1 of 61 (first: row 0)" in done.out.replace("\n    ", " ")
    assert adrec("diagnose point.npy --plot none").code == 0 and not list(Path("none").iterdir())


def test_undefined_numbers_are_null_in_json_with_a_reason(adrec):
    np.save("point.npy", np.ones((20, 8)))
    Path("alike.txt").write_text("same\n" * 20)
    found, = strict(adrec("diagnose point.npy --labels alike.txt --json").out)
    assert found["participation_ratio"]["value"] is None and found["neighbour_lift"]["value"] is None
    assert found["verdict"] == ["cone", "low_rank"] and "all items are one point" in " ".join(found["warnings"])


def test_names_of_equal_files_are_told_apart(adrec):
    for folder in "ab":
        Path(folder).mkdir(); np.save(f"{folder}/x.npy", np.random.default_rng(0).normal(size=(30, 4)))
    assert [t["name"] for t in adrec("diagnose a/x.npy b/x.npy --json").json()] == ["a/x.npy", "b/x.npy"]


def test_the_seed_of_the_samples(adrec):
    np.save("big.npy", np.random.default_rng(0).normal(size=(2500, 8)))
    a, b, c = (adrec(f"diagnose big.npy --json --seed {seed}").json()[0]["hubness"]["value"] for seed in (0, 0, 1))
    assert a == b != c


def test_stdout_has_the_answer_and_nothing_else(tmp_path):
    with contextlib.chdir(tmp_path): save_tables()
    done = process("diagnose groups.csv --json --plot figures", tmp_path)
    assert done.code == 0 and len(strict(done.out)) == 1
    assert all(line.startswith("adrec: ") or line.startswith("wrote ") for line in done.err.splitlines()), done.err


def test_diagnose_bad_input(adrec):
    import torch
    save_tables()
    torch.save({"a.weight": torch.ones(3, 3), "item_emb": torch.ones(9, 3)}, "model.pt")
    torch.save({"module": torch.nn.Linear(2, 2)}, "whole.pt")
    np.save("holes.npy", np.where(np.arange(12).reshape(4, 3) == 7, np.nan, 1.0))
    np.save("one.npy", np.ones((1, 3)))
    Path("short.txt").write_text("a\n" * 7)
    Path("words.vec").write_text("a 1 2\nb 1\n")
    Path("figures").write_text("a file")
    before = {path.name for path in Path().iterdir()}
    for line, *words in [
        ("model.pt", "model.pt holds 2 tables", "--key: item_emb (9 x 3), a.weight (3 x 3)"),
        ("model.pt --key item_em", "Did you mean 'item_emb'"), ("gauss.npy --key a", "--key a"),
        ("whole.pt", "whole.pt is refused", "torch.nn.modules.linear.Linear"),
        ("holes.npy", "holes.npy", "1 of 4 rows (rows 2)"), ("one.npy", "at least 2 items"),
        ("words.vec", "words.vec, line 2"), ("gauss.npy gauss.npy", "named twice"),
        ("gauss.npy --labels short.txt", "7 labels for 300 items"),
        ("gauss.npy --labels nosuch.csv", "nosuch.csv"), ("gauss.npy nosuch.npy", "nosuch.npy"),
        ("gauss.npy --plot figures", "figures"), ("gauss.npy --seed -1", "--seed"),
    ]: complains(adrec(f"diagnose {line}"), *words)
    assert {path.name for path in Path().iterdir()} == before, "bad input left something behind"


# ---- demo

def test_demo_takes_a_free_folder_and_names_every_file(adrec, monkeypatch):
    log().to_csv("log.csv", index=False)
    Path("runs/demo").mkdir(parents=True)
    done = adrec("demo --data log.csv --epochs 1 --no-progress")
    assert done.code == 0
    for part in ("Popularity", "ItemKNN", "SASRec+", "ADRec", "epochs", "hortened", "adrec train"):
        assert part in done.out
    there = {str(path) for path in Path("runs/demo-2").rglob("*") if path.is_file()}
    assert any(path.endswith(".png") for path in there) and all(path in done.out for path in there)
    Path("deeper").mkdir(); monkeypatch.chdir("deeper")
    found = adrec("evaluate ../runs/demo-2/adrec --json").json()
    assert found["users"] == 40, "the runs of a demo should know their data, wherever one stands"


# ---- bad input

def complains(done:Done, *words):
    "One line on stderr, nothing on stdout, exit code 2; and the line says these words."
    assert done.code == 2 and done.out == "" and "Traceback" not in done.err
    assert re.fullmatch("adrec: (?!adrec: )[^\n]+\n", done.err), done.err
    for word in words: assert word in done.err, done.err


@pytest.mark.parametrize("line, words", [
    ("data nosuch.csv", ["nosuch.csv", "no such file"]),
    ("data folder/nosuch.csv", ["folder/nosuch.csv"]),
    ("data ml-100", ["'ml-100'", "Did you mean 'ml-100k'"]),
    ("data ml-100k --k-core 500", ["55,375", "k_core=500", "smaller"]),
    ("data ml-100k --user-column who", ["--user-column", "columns"]),
    ("data --k-core 3", ["--k-core", "--data"]),
    ("train --data synthetic --model adrek --out new", ["'adrek'", "Did you mean 'adrec'"]),
    ("train --data synthetic --schedule trunc-lin --out new", ["'trunc-lin'", "'trunc_lin'"]),
    ("train --data synthetic --level user --out new", ["'user'", "token"]),
    ("train --data synthetic --dim 30 --out new", ["30", "heads"]),
    ("train --data synthetic --model sasrec --noise-scale 1 --out new", ["--noise-scale"]),
    ("train --data synthetic --noise-scale -0.1 --out new", ["--noise-scale", "0 or more", "-0.1"]),
    ("train --data synthetic --noise-scale nan --out new", ["--noise-scale", "a number", "nan"]),
    ("train --data synthetic --blocks 0 --out new", ["--blocks", "1 or more"]),
    ("train --data synthetic --heads two --out new", ["--heads", "a whole number", "'two'"]),
    ("train --data synthetic --dim 16.5 --out new", ["--dim", "a whole number", "'16.5'"]),
    ("train --data synthetic --seed 4294967296 --out new", ["--seed", "4294967295"]),
    ("train --data synthetic --dim", ["--dim needs a value"]),
    ("train --data synthetic --dim 8 --dim 16 --out new", ["--dim is given twice"]),
    ("train --data synthetic", ["--out is missing"]),
    ("train --data synthetic --out new --users-per-updates 3", ["Did you mean --users-per-update?"]),
    ("train --data synthetic --model sasrec --warm-up 3 --out new", ["--warm-up", "sasrec"]),
    ("train --data synthetic --model my.models:Mine --out new", ["my.models:Mine"]),
    ("evaluate", ["SYSTEM is missing", "adrec evaluate --help"]),
    ("recommend run more --user 1", ["'more'", "one word too many"]),
    ("data --header maybe", ["maybe"]),
    ("train --data synthetic --model sasrec --steps 8 --out new", ["--steps", "sasrec"]),
    ("train --data synthetic --guidance 2 --out new", ["--guidance", "adrec"]),
    ("train --data synthetic --model diffurec --condition-dropout 0.1 --out new",
     ["--condition-dropout", "diffurec"]),
    ("train --data synthetic --model dreamrec --guidance 2 --out new",
     ["guidance", "condition_dropout"]),
    ("train --data synthetic --model dreamrec --condition-dropout nan --out new", ["nan"]),
    ("train --data synthetic --model dreamrec --condition-dropout 1 --out new", ["below 1"]),
    ("diagnose nosuch", ["nosuch"]),
    ("diagnose", ["SOURCES is missing", "adrec diagnose --help"]),
    ("train --data synthetic --schedule linear --steps 8 --out new", ["beta"]),
    ("train --data synthetic --precision half --out new", ["'half'", "bf16"]),
    ("train --data synthetic --device abacus --out new", ["'abacus'", "cpu"]),
    ("train --data synthetic --learning-rate 0 --out new", ["0.0", "above 0"]),
    ("train --data synthetic --learning-rate nan --out new", ["nan"]),
    ("train --data synthetic --epochs 0 --out new", ["--epochs", "1"]),
    ("train --data synthetic --warm-up -1 --out new", ["--warm-up", "0 or more"]),
    ("train --data synthetic --seed -1 --out new", ["--seed"]),
    ("train --data synthetic --pretrained nosuch --out new", ["nosuch"]),
    ("train --data synthetic --pretrained . --out new", ["not a run folder"]),
    ("train --data nosuch.csv --out new", ["nosuch.csv"]),
    ("train --out new", ["--data"]),
    ("train --data synthetic", ["--out"]),
    ("train --resume --out new", ["new", "not a run folder"]),
    ("evaluate popularity", ["popularity", "--data"]),
    ("evaluate popularty --data ml-100k", ["'popularty'", "Did you mean 'popularity'"]),
    ("evaluate popularity --data synthetic --split tst", ["'tst'", "'test'"]),
    ("evaluate popularity --data synthetic --ties optimist", ["'optimist'", "'optimistic'"]),
    ("evaluate .", ["not a run folder"]),
    ("recommend nosuch --user 1", ["nosuch"]),
    ("export nosuch -o items.csv", ["nosuch"]),
    ("demo --data nosuch.csv --out new", ["nosuch.csv"]),
    ("trian --data synthetic", ['"trian"', 'Did you mean "train"']),
    ("data ml-100k --jsn", ["--jsn", "--json", "adrec data --help"]),
    ("--frobnicate", ["--frobnicate"]),
])
def test_wrong_words(adrec, line, words):
    complains(adrec(line), *words)
    assert not list(Path().iterdir()), "bad input left something behind"


def with_value(table, column, value) -> pd.DataFrame:
    "The table with a wrong value in its eleventh row, which is line 12 of the file."
    return table.assign(**{column: [value if i == 10 else v for i, v in enumerate(table[column])]})


@pytest.mark.parametrize("change, words", [
    (lambda t: t.rename(columns={"item_id": "item"}), ["'item_id'", "user_id, item, timestamp"]),
    (lambda t: with_value(t, "timestamp", "soon"), ["line 12", "'soon'", "ISO"]),
    (lambda t: with_value(t, "timestamp", None), ["line 12", "timestamp"]),
    (lambda t: with_value(t, "item_id", None), ["line 12", "item_id", "empty"]),
    (lambda t: with_value(t, "user_id", " "), ["line 12", "user_id", "empty"]),
    (lambda t: pd.concat([t, t[:1]]), ["line 242", "'u0'", "'i0'", "line 2"]),
    (lambda t: t[1:-4], ["'u39'", "2 items", "at least 3"]),
    (lambda t: t[:0], ["no interactions"]),
    (lambda t: t[:6].assign(item_id="only"), ["1 item", "at least 2"]),
], ids=["column", "timestamp", "no timestamp", "no item", "blank user", "duplicate",
        "short user", "no rows", "one item"])
def test_wrong_files(adrec, change, words):
    change(log()).to_csv("log.csv", index=False)
    complains(adrec("train --data log.csv --out new --dim 16"), "log", *words)
    assert [p.name for p in Path().iterdir()] == ["log.csv"], "bad input left something behind"


@pytest.mark.parametrize("name, content", [
    ("empty.csv", b""),
    ("noise.csv", bytes(range(256))),
    ("cut.csv.gz", b"\x1f\x8b\x08\x00"),
    ("noise.parquet", b"PAR1 and no more"),
    ("list.jsonl", b"[1]\n"),
    ("log.xlsx", b"PK"),
])
def test_damaged_files(adrec, name, content):
    Path(name).write_bytes(content)
    complains(adrec(f"data {name}"), name)


def contents() -> dict:
    "Every file below this folder, with what is in it."
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.mark.parametrize("line, words", [
    ("recommend RUN --user 7", ["'7'", "Did you mean 'u7'"]),
    ("recommend RUN --history i1,i99", ["'i99'", "Did you mean"]),
    ("recommend RUN --history i1 -k 61", ["61", "60 items"]),
    ("recommend RUN --history i1 -k 60", ["60", "59"]),
    ("recommend RUN --history i1 -k 0", ["k = 0"]),
    ("recommend RUN --history ''", ["''"]),
    ("recommend RUN", ["--user", "--history"]),
    ("recommend RUN --user u7 --history i1", ["--user", "--history"]),
    ("recommend RUN --history i1 --data log.csv", ["--data", "--history"]),
    ("evaluate RUN --data log.csv", ["RUN", "other data", "synthetic", "log"]),
    ("recommend RUN --user u7 --data log.csv", ["other data"]),
    ("train --resume --out RUN --data log.csv", ["other data"]),
    ("train --data log.csv --out new --pretrained RUN", ["RUN", "other data"]),
    ("train --data synthetic --out new --dim 32 --pretrained RUN", ["(60, 16)", "(60, 32)"]),
    ("train --data synthetic --out new --pretrained few.npy", ["few.npy", "60 rows"]),
    ("train --data synthetic --out RUN", ["RUN", "--resume"]),
    ("train --data synthetic --out log.csv", ["log.csv"]),
    ("train --resume --out RUN --pretrained RUN", ["--pretrained"]),
    ("export RUN -o items.xlsx", [".xlsx", ".npy, .safetensors, .csv"]),
    ("export RUN -o nosuch/items.csv", ["nosuch"]),
    ("export RUN -o RUN/items.csv", ["RUN/items.csv"]),
    ("demo --out RUN", ["RUN", "another folder"]),
])
def test_wrong_use_of_a_run(adrec, made, line, words):
    shutil.copytree(made/"sasrec", "RUN")
    log().to_csv("log.csv", index=False)
    np.save("few.npy", np.zeros((7, 16)))
    before = contents()
    complains(adrec(line), *words)
    assert contents() == before, "bad input left something behind, or changed something"


def cut(content:bytes) -> bytes:
    "The first part of a file: of JSON up to its last string, of anything else the first half."
    return content[:content.rindex(b'"') if content.startswith(b"{") else len(content) // 2]


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("spoil", [None, cut, lambda content: b'[{"a": 1}]'],
                         ids=["missing", "cut", "other"])
def test_spoilt_runs(adrec, made, name, spoil):
    shutil.copytree(made/"sasrec", "run")
    path = Path("run", name)
    if spoil: path.write_bytes(spoil(path.read_bytes()))
    else: path.unlink()
    for line in ("evaluate run", "recommend run --history i1", "export run -o items.csv"):
        complains(adrec(line), "run", name)
    assert not Path("items.csv").exists()


def test_a_diverging_training_is_a_complaint_too(adrec):
    done = adrec(f"train {SMALL} --out new --epochs 4 --learning-rate 1e30")
    complains(done, "loss", "learning rate")
    assert not Path("new").exists()


@pytest.mark.parametrize("line", ["--debug data nosuch.csv", "data nosuch.csv --debug"])
def test_debug_shows_the_traceback(adrec, line):
    done = adrec(line)
    assert done.code == 2 and "Traceback" in done.err and "InputError" in done.err
    assert done.err.splitlines()[-1].startswith("adrec: nosuch.csv")


def test_a_bug_is_not_hidden(adrec, monkeypatch):
    monkeypatch.setattr(cli, "print_json", lambda value: 1 / 0)
    done = adrec("data --json")
    assert done.code == 1 and "ZeroDivisionError" in done.err and "print_json" in done.err


def test_in_a_process_of_its_own(tmp_path):
    done = process("data --frobnicate", tmp_path)
    complains(done, "--frobnicate", "(see adrec data --help)")


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
def test_a_closed_pipe_is_no_error(tmp_path):
    line = f"{shlex.quote(sys.executable)} -m adrec --help | true"
    done = subprocess.run(line, shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "adrec:" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="needs a shell")
@pytest.mark.parametrize("line, code", [("data good.csv >&-", 0), ("data good.csv 2>&-", 0), ("data good.csv >&- 2>&-", 0), ("data nosuch.csv 2>&-", 2), ("data nosuch.csv >&-", 2)])
def test_closed_streams_change_nothing(tmp_path, line, code):
    log().to_csv(tmp_path/"good.csv", index=False)
    done = subprocess.run(f"{shlex.quote(sys.executable)} -m adrec {line}", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == code and "Traceback" not in done.stderr
    assert ("no such file" in done.stderr) == (line == "data nosuch.csv >&-")


# ---- the edges

def test_more_epochs_on_resuming(adrec, made):
    shutil.copytree(made/"sasrec", "run")
    assert adrec("train --resume --out run --epochs 9 --no-progress").code == 0
    assert adrec(f"train {SMALL} --model sasrec --out straight --epochs 9").code == 0
    for name in ("metrics.json", "config.json", "model.safetensors"):
        assert Path("run", name).read_bytes() == Path("straight", name).read_bytes(), name
    complains(adrec("train --resume --out run --epochs 501"), "learning rate", "500")


def test_data_that_moved_are_found_again_by_every_command(adrec):
    log().rename(columns={"user_id": "who"}).to_csv("log.csv", index=False)
    options = "--user-column who --dim 16 --model sasrec --epochs 2 --no-progress"
    assert adrec(f"train --data log.csv {options} --out run").code == 0
    Path("log.csv").rename("moved.csv")
    Path("lag.csv").write_text("")
    for line in ("evaluate run", "report run -o r.html", "recommend run --user u3",
                 "train --resume --out run --epochs 3"):
        done = adrec(line)
        complains(done, "log.csv", "--data FILE")
        assert "Did you mean" not in done.err
        if "resume" not in line: assert adrec(f"{line} --data moved.csv").code == 0, line
    assert adrec("diagnose run").err == "", "the counts of the items stand in the folder"
    assert adrec("diagnose run --data moved.csv").code == 0
    complains(adrec("diagnose run --data synthetic"), "other data")
    np.save("a.npy", np.eye(4))
    complains(adrec("diagnose a.npy --data moved.csv"), "--data")


@pytest.fixture
def odd(adrec):
    "A run on items with odd ids."
    ids = ["a", "b", "a,b", " c", "c", 'd"e', "f\tg", "\x1b]0;gone\x07", "\u202egnorw", "ż"]
    table = log(items=25)
    names = ids + [f"i{n}" for n in range(25 - len(ids))]
    table["item_id"] = [names[int(i[1:])] for i in table.item_id]
    table.to_csv("odd.csv", index=False)
    assert adrec("train --data odd.csv --dim 16 --model sasrec --epochs 1 --out odd --no-progress").code == 0
    return adrec


@pytest.mark.parametrize("history, wanted", [
    ("'a, b'", ["a", "b"]), ("a,b", ["a,b"]), ("'\"a,b\",c'", ["a,b", "c"]), ("a --history b", ["a", "b"]),
    ("' c'", [" c"]), ("'a, c'", ["a", " c"]), ("'b , a'", ["b", "a"]), ("'d\"e'", ['d"e']),
])
def test_every_id_can_be_named(odd, history, wanted):
    found = odd(f"recommend odd --history {history} -k 2 --json").json()
    assert [item["item_id"] for item in found["history"]] == wanted


def test_control_characters_are_shown_and_do_nothing(odd):
    for line in ("recommend odd --user u5 --no-filter-seen -k 25", "recommend odd --history '\x1b[31mno'",
                 "evaluate '\x1b[31mno'", "data '\u202eno.csv'"):
        done = odd(line)
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.out + done.err), line
    said = odd("recommend odd --user u5 --no-filter-seen -k 25").out
    for part in ("\\x1b]0;gone\\x07", "\\u202egnorw", "f\\tg", "ż"): assert part in said
    found = odd("recommend odd --user u5 --no-filter-seen -k 25 --json").json()
    assert "\x1b]0;gone\x07" in {row["item_id"] for row in found["recommendations"]}


@pytest.mark.parametrize("setting", [{"PYTHONIOENCODING": "cp1252"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}])
def test_a_console_that_lacks_characters_gets_escapes(odd, setting, tmp_path):
    line = [sys.executable, "-m", "adrec", "recommend", "odd", "--user", "u9", "--no-filter-seen", "-k", "25"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, env={**os.environ, **setting})
    assert done.returncode == 0 and done.stderr == b"" and (b"\\u017c" in done.stdout or "ż".encode() in done.stdout)


def test_folders_that_were_there_stay_when_a_training_fails(adrec):
    Path("empty").mkdir(); Path("file").write_text("")
    bad = f"train {SMALL} --epochs 4 --learning-rate 1e30 --out"
    complains(adrec(f"{bad} empty"), "loss")
    complains(adrec(f"{bad} file"), "file")
    complains(adrec(f"{bad} ''"), "empty")
    complains(adrec(f"{bad} {'x' * 3000}"))
    assert sorted(path.name for path in Path().iterdir()) == ["empty", "file"] and not list(Path("empty").iterdir())


def test_too_little_memory_is_said_in_one_line(adrec, monkeypatch):
    for error in (MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")):
        def fail(error=error, **_): raise error
        with monkeypatch.context() as m:
            m.setattr("adrec.read.load_data", fail)
            complains(adrec("data synthetic"), "memory does not suffice")


def test_a_full_disk_names_the_file_and_how_to_go_on(adrec, monkeypatch):
    real = os.replace
    def full(source, target):
        if os.path.basename(target) == "history.jsonl" and full.count: raise OSError(28, "No space left on device")
        full.count += os.path.basename(target) == "history.jsonl"
        real(source, target)
    full.count = 0
    line = f"train {SMALL} --model sasrec --epochs 12 --out"
    with monkeypatch.context() as m:
        m.setattr(os, "replace", full)
        done = adrec(f"{line} cut")
    assert done.code == 2 and "history.jsonl: No space left" in done.err and "adrec train --resume --out cut" in done.err
    assert adrec("train --resume --out cut --no-progress").code == 0 and adrec(f"{line} whole").code == 0
    assert Path("cut/metrics.json").read_text() == Path("whole/metrics.json").read_text()
