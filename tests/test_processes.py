"Several processes that share one training (gloo, on this machine) do what one process does."
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
import torch
from safetensors.torch import load_file

# SASRec without dropout has nothing random but the order of the users; ADRec draws noise and dropout. 83 users are updates of
# 40, 40 and 3. Each group of processes is started once, with the environment of a launcher, and does all its trainings one after
# the other. Most of the time would go into six imports of PyTorch; where processes can be forked safely, one is enough.
SCRIPT = """
import os, sys
from pathlib import Path
import torch
from adrec.data import synthetic_data
from adrec.runs import continue_run, start_run
from adrec.recipes import Settings, Stage
place, groups = Path(sys.argv[1]), [(int(count), port) for count, port in (word.split(":") for word in sys.argv[2:])]
processes = int(os.environ.get("WORLD_SIZE", 1))
for count, port in groups:  # fork them, and wait for them; without groups, this is one that was started from outside
    children = []
    for rank in range(count):
        if child := os.fork(): children.append(child); continue
        if count > 1: os.environ.update(RANK=f"{rank}", LOCAL_RANK=f"{rank}", WORLD_SIZE=f"{count}", MASTER_ADDR="127.0.0.1", MASTER_PORT=port)
        processes, children = count, None
        break
    if children is None: break
    if any([os.waitpid(child, 0)[1] for child in children]): sys.exit(1)
else:
    if groups: sys.exit()
data = synthetic_data(users=83, items=30, clusters=3, dim=4, seed=0)[0]
plain = dict(users_per_update=40, length_groups=3, validate_every=2, learning_rate=3e-3)
recipes = dict(
    sasrec=([Stage("train", "sasrec", 5)], dict(dim=8, heads=2, dropout=0.0, embedding_dropout=0.0)),
    adrec=([Stage("pre-train", "stage1", 4), Stage("warm-up", "adrec", 1, True), Stage("fine-tune", "adrec", 3)], dict(dim=8)))

class Cut(Exception):
    def on_step(self, state):
        if state.system == "adrec" and state.epoch == 3: raise self

class Watch:
    "What would have been measured by one process with these weights?"
    def on_stage(self, state):
        if state.stage != "end": return
        from adrec.ranking import evaluate
        alone = evaluate(state.model, data, "validation", likelihood=False).metrics
        state.model.train()
        together = state.validate()
        assert max(abs(alone[name] - together[name]) for name in alone) < 1e-12, (alone, together)
        with open(place/"validated.txt", "a") as f: f.write(f"{state.processes.number} of {state.processes.count}\\n")

def work(system, name=None, pcgrad=False, cut=False):
    stages, options = recipes[system]
    name = f"{name or system}-{processes}"
    start_run(place/name, data, stages, Settings(**plain, pcgrad=pcgrad), options, seed=3)
    if cut:
        try: continue_run(place/name, data, [Cut()], device="cpu", progress=False)
        except Cut: assert (place/name/"checkpoint.safetensors").exists()
    run = continue_run(place/name, data, [Watch()], device="cpu", progress=False)
    with open(place/"told.txt", "a") as f: f.write(f"{name} {len(run.history)} {run.metrics['test']['users']}\\n")

work("sasrec")
if processes < 3:
    work("adrec")
    work("adrec", "pcgrad", pcgrad=True)
if processes == 2: work("adrec", "cut", cut=True)
if processes > 1: assert torch.distributed.get_backend() == "gloo"
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(*words, **variables):
    "Start a process in a clean environment with these variables."
    clean = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *words], env=clean | variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            start_new_session=True)


def wait(started):
    "Wait for processes; what they printed is the message if one of them fails."
    try: printed = [process.communicate(timeout=300)[0] for process in started]
    finally:
        for process in started:
            process.kill()
            if hasattr(os, "killpg"):  # and those that it forked
                with contextlib.suppress(ProcessLookupError, PermissionError): os.killpg(process.pid, signal.SIGKILL)
    assert not any(process.returncode for process in started), "\n".join(printed)


def train_all(place):
    "All trainings of the script, in groups of one, two and three processes."
    (place/"script.py").write_text(SCRIPT)
    if sys.platform == "linux": return wait([start(str(place/"script.py"), str(place), *(f"{count}:{free_port()}" for count in (1, 2, 3)))])
    for count in (1, 2, 3):
        port, many = free_port(), {"WORLD_SIZE": f"{count}"} if count > 1 else {}
        wait([start(str(place/"script.py"), str(place), **many, **(dict(RANK=f"{rank}", LOCAL_RANK=f"{rank}", MASTER_ADDR="127.0.0.1", MASTER_PORT=f"{port}") if many else {}))
              for rank in range(count)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    "The folder with all trainings, and what their processes told at the end; one for all workers of the tests."
    workers = "PYTEST_XDIST_WORKER" in os.environ
    place = tmp_path_factory.getbasetemp().parent/"processes" if workers else tmp_path_factory.mktemp("processes")
    try: place.mkdir(exist_ok=not workers)
    except FileExistsError:  # another worker has begun: wait for it
        for _ in range(3000):
            if (place/"done").exists(): break
            time.sleep(0.1)
        outcome = (place/"done").read_text()
        if outcome: pytest.fail(outcome)
        return place/"runs"
    outcome = "interrupted"
    try:
        (place/"runs").mkdir()
        train_all(place/"runs")
        outcome = ""
    except Exception as e:
        outcome = str(e) or repr(e)
        raise
    finally: (place/"done").write_text(outcome)
    return place/"runs"


def losses(run): return [json.loads(line)["loss"] for line in (run/"history.jsonl").read_text().splitlines()]

def weights(run): return load_file(run/"model.safetensors")


@pytest.mark.parametrize("processes", [2, 3])
def test_the_same_updates_give_the_same_losses_and_weights(processes, runs):
    alone, together = runs/"sasrec-1", runs/f"sasrec-{processes}"
    assert losses(together) == pytest.approx(losses(alone), rel=1e-5)
    for name, theirs in weights(alone).items(): torch.testing.assert_close(weights(together)[name], theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", ["adrec", "pcgrad"])
def test_three_stages_with_a_frozen_table_take_the_same_course(kind, runs):
    alone, together = losses(runs/f"{kind}-1"), losses(runs/f"{kind}-2")
    assert len(alone) == len(together) == 8
    assert together == pytest.approx(alone, rel=0.05), "the processes draw other dropout and noise, but that is all"
    assert together != alone, "did both processes really take part?"


def test_a_resumed_training_is_the_whole_one_in_two_processes_as_well(runs):
    "Random numbers follow from seed, epoch and process, so the checkpoint of one process serves all."
    for name, theirs in weights(runs/"adrec-2").items(): assert torch.equal(weights(runs/"cut-2")[name], theirs), name


def test_validation_measures_what_one_process_would(runs):
    told = (runs/"validated.txt").read_text().splitlines()
    assert {"0 of 1", "0 of 2", "1 of 2", "0 of 3", "1 of 3", "2 of 3"} == set(told)


def test_every_process_returns_the_same_run_and_files_are_written_once(runs):
    told = (runs/"told.txt").read_text().splitlines()
    assert sorted(told) == sorted(f"{run.name} {len(losses(run))} 83" for run in runs.iterdir() if run.is_dir()
                                  for _ in range(int(run.name[-1])))
    for run in (r for r in runs.iterdir() if r.is_dir()):
        assert {p.name for p in run.iterdir()} - {"stage1.safetensors"} == {"config.json", "items.csv", "history.jsonl", "metrics.json",
                                                                            "model.safetensors", "checkpoint.safetensors"}
