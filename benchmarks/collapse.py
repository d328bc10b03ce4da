"""Time and memory of the collapse diagnostics. Run it with  python benchmarks/collapse.py

It measures a table of 1,000,000 items in 128 dimensions (float32), first everything but the neighbours of
labelled items, then those, then a wide table (--wide 5000 4096: rows and dimensions), and last what the recorder costs
a training on MovieLens-100K. Not run by the tests.
"""
import argparse
import os
import resource
import time

import numpy as np
import torch

from adrec.checks import InputError
from adrec.collapse import diagnose, neighbour_lift
from adrec.read import load_data
from adrec.recipes import one_stage
from adrec.recorder import CollapseRecorder
from adrec.training import train_stages

def timed(what, function, *arguments, **options):
    "Call and print the seconds, and the largest memory that this process has had so far."
    begin = time.perf_counter()
    result = function(*arguments, **options)
    seconds, peak = time.perf_counter() - begin, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{what:<44}{seconds:8.1f} s   peak memory {peak:.2f} GB", flush=True)
    return result


def recorder_cost(epochs):
    "Share of the training time that goes into recording."
    recorder, spent = CollapseRecorder(every=10, sample=200), []
    for event in ("on_step", "on_stage"):
        def call(state, event=getattr(recorder, event)):
            begin = time.perf_counter()
            event(state)
            spent.append(time.perf_counter() - begin)
        setattr(recorder, event, call)
    begin = time.perf_counter()
    train_stages(load_data("ml-100k"), one_stage("sasrec", epochs), callbacks=[recorder], device="cpu", progress=False)
    seconds = time.perf_counter() - begin
    print(f"SASRec on ml-100k, {epochs} epochs: {seconds:.1f} s, of which recording {sum(spent):.2f} s "
          f"({100 * sum(spent) / seconds:.2f} %, {len(recorder.rows)} records)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--wide", type=int, nargs=2, default=(5_000, 4_096), help="a second table, for the cost of d")
    parser.add_argument("--epochs", type=int, default=10, help="epochs of the training that is recorded; 0: none")
    options = parser.parse_args()
    print(f"{torch.get_num_threads()} threads of {os.cpu_count()} cores; table {options.items:,} x {options.dim}, float32")
    rng = np.random.default_rng(0)
    table = timed("make the table", rng.standard_normal, (options.items, options.dim), dtype=np.float32)
    found = timed("diagnose, without labels", diagnose, table)
    print("  verdict:", ", ".join(found.verdict))
    lift = timed("neighbour lift, 5,000 sampled queries", neighbour_lift, table, np.arange(options.items) % 12)
    print(f"  lift {lift.value:.3f}, null {lift.null:.3f} ± {lift.sd:.3f}")
    del table
    wide = rng.standard_normal(options.wide, dtype=np.float32)
    found = timed(f"diagnose {options.wide[0]:,} x {options.wide[1]:,}", diagnose, wide)
    print("  verdict:", ", ".join(found.verdict))
    if options.epochs:
        try: recorder_cost(options.epochs)
        except InputError as e: print(f"recorder not measured: {e}")
