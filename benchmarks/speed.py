"""How fast `adrec` is. Run it with  python benchmarks/speed.py

In one run, as ratios, so that the machine cancels out: a training update and the ranking of all test users against
the plain way (plain.py), and against the rate at which this machine multiplies matrices. Then how the cost grows
with users, length, items and diffusion steps, how much memory a catalogue of Yelp's size takes, and what becomes
of a training when another one, or another program, wants the same cores. Repetitions are interleaved (matrix product, plain, fast, matrix product, plain, …) and their medians reported.

Baby and Beauty are read from the folder that ADREC_TEST_DATA names, and left out without it. Not run by the tests.
"""
import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from plain import PlainADRec, pad_to_window

from adrec.checks import InputError
from adrec.data import SequenceData, evaluation_batches, training_updates
from adrec.model import ADRec
from adrec.ranking import evaluate, target_ranks
from adrec.read import load_data
from adrec.recipes import Settings
from adrec.sasrec import SASRec
from adrec.training import Training

DIM, STEPS, WINDOW, BLOCKS = 128, 32, 50, 4   # ADRec's defaults; two blocks in CAM and two in ADM
USERS = 512
PARTS = ["training", "ranking", "growth", "memory", "sharing"]
CATALOGUES = {64_669: WINDOW, 1_000_000: 10}  # items (the first: as many as Yelp's): items per user
PLAIN_USERS = 256                             # ranked in the plain way, and scaled up to all users
clock = time.perf_counter


# ---- counting

def training_flops(lengths, n_items, dim=DIM, blocks=BLOCKS):
    """Floating-point operations of one training update that cannot be avoided: a product and a sum are two.

    A token passes 12·dim² weights in each block (queries, keys, values and output 4, feed-forward 8), looks at itself
    and all tokens before it (dim products for the fit, dim for the average), and is compared with every item.
    The backward pass costs twice the forward pass. Left out: norms, GELU, softmax, noise, dropout, time embedding,
    optimiser, and everything that is spent on padding.
    """
    tokens, pairs = lengths.sum(), (lengths * (lengths + 1) // 2).sum()
    return float(3 * 2 * (tokens * 12 * dim**2 * blocks + pairs * 2 * dim * blocks + tokens * dim * n_items))


def seconds(call):
    "How long a call takes."
    begin = clock()
    call()
    return clock() - begin


def matmul_rate(size=1024, times=6):
    "Floating-point operations per second of float32 products of square matrices."
    a, b = torch.randn(2, size, size)
    a @ b
    return times * 2 * size**3 / seconds(lambda: [a @ b for _ in range(times)])


def made_up(users, length, n_items, seed=0):
    "A data set without sense: `users` sequences, each with `length` + 3 items, so that all histories have `length` or more."
    rng, count = np.random.default_rng(seed), length + 3
    info = pd.DataFrame({"item_id": [str(i) for i in range(1, n_items + 1)]}, index=pd.RangeIndex(1, n_items + 1, name="item"))
    return SequenceData("made up", rng.integers(1, n_items + 1, users * count), np.arange(users + 1) * count,
                        np.tile(np.arange(count), users), np.arange(users).astype(str), info)


def training_of(data, steps=STEPS):
    "ADRec in stage 3: everything is trained."
    torch.manual_seed(0)
    training = Training(ADRec(data.n_items, steps=steps), data, Settings(), "adrec", device="cpu")
    training.model.train()
    return training


# ---- against the plain way and the matrix product

def measure_training(data, repeats):
    "Rows of one training update: fast, plain, ratio, utilisation."
    training = training_of(data)
    plain = PlainADRec(data.n_items)
    plain.load_state_dict(training.model.state_dict())
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-3, weight_decay=1e-5)
    updates = list(training_updates(data, np.random.default_rng(0)))
    parts, wide = updates[0], pad_to_window(updates[0])
    lengths = torch.cat([part.lengths for part in parts])

    def plain_update():
        optimizer.zero_grad()
        sum(plain.losses(wide).values()).div(2).backward()
        optimizer.step()

    training.update(parts), plain_update()                       # the first time is never the measure
    rates, slow, fast = [], [], []
    for _ in range(repeats):
        rates.append(matmul_rate())
        slow.append(seconds(plain_update))
        rates.append(matmul_rate())
        fast.append(seconds(lambda: training.update(parts)))
    between = np.array(rates).reshape(-1, 2)[:, 1]                # the rate just before each fast update
    flops, tokens = training_flops(lengths, data.n_items), int(lengths.sum())
    yield "tokens of an update", tokens, "tokens", f"{len(lengths)} users; padded to {WINDOW}: {wide.history.numel()}"
    yield "arithmetic of an update", flops / 1e9, "GFLOP", "forward and backward, real tokens"
    yield "update, fast", np.median(fast), "s", f"median of {repeats}"
    yield "update, plain", np.median(slow), "s", f"median of {repeats}"
    yield "training, against the plain way", np.median(np.divide(slow, fast)), "ratio", "target 10 (ML-100K 2)"
    yield "training, utilisation", np.median(flops / np.array(fast) / between), "share", "target 0.45 (ML-100K 0.50)"
    yield "epoch, fast", np.median(fast) / tokens * training_tokens(updates), "s", "estimated from one update, by tokens"
    yield "matrix product", np.median(rates) / 1e9, "GFLOP/s", "float32, 1024 × 1024"


def training_tokens(updates): return int(sum(part.lengths.sum() for parts in updates for part in parts))


def measure_ranking(data, repeats):
    "Rows of ranking all test users: fast, plain on a part of them, ratio."
    torch.manual_seed(0)
    model, plain = ADRec(data.n_items).eval(), PlainADRec(data.n_items).eval()
    plain.load_state_dict(model.state_dict())
    batches = list(evaluation_batches(data, users_per_batch=PLAIN_USERS))
    batch, answers = batches[len(batches) // 2]
    wide, users = pad_to_window([batch]), len(batch.users)
    slow, fast = [], []
    for _ in range(repeats):
        slow.append(seconds(lambda: target_ranks(plain.score(wide), answers)) / users)
        fast.append(seconds(lambda: evaluate(model, data, likelihood=False)) / data.n_users)
    yield "ranking all users, fast", np.median(fast) * data.n_users, "s", f"{data.n_users} users, median of {repeats}"
    yield "ranking all users, plain", np.median(slow) * data.n_users, "s", f"timed on {users} users and scaled"
    yield "ranking, against the plain way", np.median(np.divide(slow, fast)), "ratio", "target 60 (ML-100K 20)"


# ---- how the cost grows

BASE = dict(users=1024, length=10, items=4000, steps=32)
GROWTH = dict(users=(512, 1024, 2048, 4096), length=(5, 10, 20, 50), items=(1000, 4000, 16_000, 64_000), steps=(4, 8, 16, 32, 64))


def measure_growth(repeats):
    "Rows of an epoch and a ranking of made-up data, one thing varied at a time."
    for name, values in GROWTH.items():
        for value in values:
            size = BASE | {name: value}
            data = made_up(size["users"], size["length"], size["items"])
            torch.manual_seed(0)
            model = ADRec(data.n_items, steps=size["steps"], schedule="cosine")
            training = Training(model, data, Settings(), "adrec", device="cpu")
            model.train()
            updates = list(training_updates(data, np.random.default_rng(0)))
            epoch = [seconds(lambda: [training.update(parts) for parts in updates]) for _ in range(repeats + 1)][1:]
            ranking = [seconds(lambda: evaluate(model, data, likelihood=False)) for _ in range(repeats)]
            detail = ", ".join(f"{k} {v}" for k, v in size.items())
            yield f"epoch, {name} = {value}", np.median(epoch), "s", detail
            yield f"ranking, {name} = {value}", np.median(ranking), "s", detail


# ---- memory, each in a process of its own

def peak_memory():
    "Bytes that this process has held at most. (Linux's `ru_maxrss` would begin with what the parent held.)"
    status = Path("/proc/self/status")
    if status.exists(): return 1024 * int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1])
    import resource
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

def memory_probe(what, items):
    "Do one thing on a large catalogue and print the peak memory of this process in bytes."
    data = made_up(USERS, CATALOGUES[items], items)
    if what == "training":
        training = training_of(data)
        for _ in range(2): training.update(next(training_updates(data, np.random.default_rng(0))))
    if what == "ranking": evaluate(ADRec(items), data, likelihood=False)
    print(peak_memory())


def measure_memory():
    "Rows of peak memory: the libraries and the data alone, two training updates, ranking."
    for items, length in CATALOGUES.items():
        for what in ("nothing", "training", "ranking"):
            command = [sys.executable, __file__, "--probe", what, "--probe-items", str(items)]
            peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])
            yield f"peak memory, {what}, {items:,} items", peak / 1e9, "GB", f"{USERS} users with {length} items, D = {DIM}"


# ---- a busy machine, each training in a process of its own

SPINS = {"as adrec sets it": "1000", "as OpenMP's own default": "300000"}  # how often a waiting thread looks before it sleeps

def epoch_probe(for_seconds):
    "Train SASRec+ on ML-100K for a while and print the median time of an epoch."
    data = load_data("ml-100k")
    torch.manual_seed(0)
    training = Training(SASRec(data.n_items), data, Settings(), "sasrec", device="cpu")
    training.model.train()
    updates = list(training_updates(data, np.random.default_rng(0)))
    epoch = lambda: [training.update(parts) for parts in updates]
    times, begin = [seconds(epoch)], clock()
    while clock() - begin < for_seconds or len(times) < 3: times.append(seconds(epoch))
    print(np.median(times[1:]))


def epochs_beside(company, spin, for_seconds=6):
    "Median time of an epoch for each of the trainings that run at once; `company`: another 'training', a busy 'program', or nobody."
    command = [sys.executable, __file__, "--probe", "epochs", "--probe-items", str(for_seconds)]
    environment = os.environ | {"GOMP_SPINCOUNT": spin}
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if company == "program" else None
    try:
        trainings = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for _ in range(1 + (company == "training"))]
        return [float(training.communicate()[0].split()[-1]) for training in trainings]
    finally:
        if busy: busy.kill()


def measure_sharing(repeats):
    "Rows of an epoch alone, beside another training, and beside a busy program."
    times = {}
    for _ in range(repeats):
        for how, spin in SPINS.items():
            for company in ("nobody", "training", "program"): times.setdefault((how, company), []).append(max(epochs_beside(company, spin)))
    alone = np.array(times["as adrec sets it", "nobody"])
    for (how, company), found in times.items():
        beside = {"nobody": "alone", "training": "two at once", "program": "beside a program"}[company]
        yield f"epoch, {beside}", np.median(found), "s", f"SASRec+, the slower one; threads wait {how}; median of {repeats}"
        if (how, company) != ("as adrec sets it", "nobody"):
            yield f"{beside}, against alone", np.median(found / alone), "ratio", f"threads wait {how}"


# ---- putting it together

def processor():
    "The name of the processor."
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else ():
        if line.startswith("model name"): return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def provenance(arguments):
    "What was measured, when, and on what."
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return {"command": "python benchmarks/speed.py " + " ".join(arguments), "date": str(date.today()), "commit": commit.stdout.strip(),
            "processor": processor(), "cores": os.cpu_count(), "threads": torch.get_num_threads(),
            "clock": "processor time" if clock is time.process_time else "wall clock",
            "python": platform.python_version(), "torch": torch.__version__, "system": platform.system()}


def data_sets(names):
    "The data sets that are here; a line for those that are not."
    for name in names:
        folder = Path(os.environ.get("ADREC_TEST_DATA", "nowhere"))
        try: yield load_data(name if name == "ml-100k" else folder/f"{name}.csv.gz")
        except InputError as e: print(f"{name} not measured: {e}", file=sys.stderr)


def measure(parts, names, repeats):
    "All rows: part, data set, what, value, unit, remark."
    for data in data_sets(names if {"training", "ranking"} & set(parts) else ()):
        name = data.name.removesuffix(".gz").removesuffix(".csv")
        if "training" in parts: yield from (("training", name, *row) for row in measure_training(data, repeats))
        if "ranking" in parts: yield from (("ranking", name, *row) for row in measure_ranking(data, repeats))
    if "growth" in parts: yield from (("growth", "made up", *row) for row in measure_growth(max(2, repeats // 2)))
    if "sharing" in parts: yield from (("sharing", "ml-100k", *row) for row in measure_sharing(repeats))
    if "memory" in parts: yield from (("memory", "made up", *row) for row in measure_memory())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=PARTS, choices=PARTS)
    parser.add_argument("--data", nargs="+", default=["baby", "beauty", "ml-100k"], choices=["baby", "beauty", "ml-100k"])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processor-time", action="store_true", help="for a busy machine: one thread, and its processor time")
    parser.add_argument("--out", help="write rows and provenance to this JSON file")
    parser.add_argument("--probe", help=argparse.SUPPRESS)
    parser.add_argument("--probe-items", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.processor_time:
        torch.set_num_threads(1)
        clock = time.process_time
    if options.probe == "epochs": sys.exit(epoch_probe(options.probe_items))
    if options.probe: sys.exit(memory_probe(options.probe, options.probe_items))
    words = [word for word in sys.argv[1:] if word not in ("--out", options.out)]
    print(*(f"{k}: {v}" for k, v in provenance(words).items()), sep="\n")
    rows = []
    for part, data, what, value, unit, remark in measure(options.parts, options.data, options.repeats):
        rows.append(dict(part=part, data=data, what=what, value=float(f"{value:.5g}"), unit=unit, remark=remark))
        print(f"{data:<9} {what:<36}{value:12.4g} {unit:<8} {remark}", flush=True)
    if options.out:
        text = json.dumps({"provenance": provenance(words), "rows": rows}, indent=1, ensure_ascii=False)
        Path(options.out).write_text(text + "\n", encoding="utf-8")
