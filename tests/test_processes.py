"Several processes that share one training (gloo, on this machine) do what one process does."
import json, os, subprocess, sys

import pytest
import torch
from safetensors.torch import load_file

# One interpreter imports everything once, and forks as many processes as a launcher would start. SASRec without dropout has
# nothing random but the order of the users; ADRec draws noise and dropout. 83 users are updates of 40, 40 and 3.
SCRIPT = """
import os, socket, sys, traceback
from pathlib import Path
from adrec.data import synthetic_data
from adrec.runs import continue_run, start_run
from adrec.training import Settings, Stage
place = Path(sys.argv[1])
data = synthetic_data(users=83, items=30, clusters=3, dim=4, seed=0)[0]
plain = dict(users_per_update=40, length_groups=3, validate_every=2, learning_rate=3e-3)
recipes = dict(
    sasrec=([Stage("train", "sasrec", 5)], dict(dim=8, heads=2, dropout=0.0, embedding_dropout=0.0)),
    adrec=([Stage("pre-train", "stage1", 4), Stage("warm-up", "adrec", 1, True), Stage("fine-tune", "adrec", 3)], dict(dim=8)))

class Cut(Exception):
    def on_step(self, state):
        if state.system == "adrec" and state.epoch == 3: raise self

def work(name, system, pcgrad=False, cut=False):
    stages, options = recipes[system]
    start_run(place/name, data, stages, Settings(**plain, pcgrad=pcgrad), options, seed=3)
    if cut:
        try: continue_run(place/name, data, [Cut()], device="cpu", progress=False)
        except Cut: assert (place/name/"checkpoint.safetensors").exists()
    run = continue_run(place/name, data, device="cpu", progress=False)
    with open(place/"told.txt", "a") as f: f.write(f"{name} {len(run.history)} {run.metrics['test']['users']}\\n")

def launch(processes, *what, **how):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    children = []
    for rank in range(processes):
        if child := os.fork():
            children.append(child)
            continue
        if processes > 1: os.environ |= dict(RANK=f"{rank}", LOCAL_RANK=f"{rank}", WORLD_SIZE=f"{processes}",
                                             MASTER_ADDR="127.0.0.1", MASTER_PORT=f"{port}")
        try: work(*what, **how)
        except BaseException: traceback.print_exc()
        else: os._exit(0)
        os._exit(1)
    if any(os.waitpid(child, 0)[1] for child in children): sys.exit(f"{what} with {processes} processes failed")

for processes in (1, 2, 3): launch(processes, f"sasrec-{processes}", "sasrec")
for processes in (1, 2): launch(processes, f"adrec-{processes}", "adrec")
for processes in (1, 2): launch(processes, f"pcgrad-{processes}", "adrec", pcgrad=True)
launch(2, "cut-2", "adrec", cut=True)
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    "The folder with all trainings, and what their processes told at the end."
    place = tmp_path_factory.mktemp("processes")
    if not hasattr(os, "fork"): pytest.skip("no fork")
    done = subprocess.run([sys.executable, "-c", SCRIPT, place], capture_output=True, text=True, timeout=500,
                          env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    return place


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


def test_every_process_returns_the_same_run_and_files_are_written_once(runs):
    told = (runs/"told.txt").read_text().splitlines()
    assert sorted(told) == sorted(f"{run.name} {len(losses(run))} 83" for run in runs.iterdir() if run.is_dir()
                                  for _ in range(int(run.name[-1])))
    for run in (r for r in runs.iterdir() if r.is_dir()):
        assert {p.name for p in run.iterdir()} - {"stage1.safetensors"} == {"config.json", "items.csv", "history.jsonl", "metrics.json",
                                                                            "model.safetensors"}
