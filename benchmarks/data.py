"""Time and memory from a large log to sequences. Run it with  python benchmarks/data.py

It makes a log of 20,000,000 interactions (400,000 users, 60,000 items, both skewed; two of a user's items
share each moment; the rows stand in no order), writes it as CSV and as Parquet, and calls `load_data` on each
in a process of its own: first without a cache entry, then with it. Not run by the tests.
"""
import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

CHILD = """
import json, resource, sys, time
from adrec.read import load_data
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 ** 2
before, begin, spent = peak(), time.perf_counter(), time.process_time()
data = load_data(sys.argv[1])
seconds, cpu = time.perf_counter() - begin, time.process_time() - spent
print(json.dumps(dict(seconds=seconds, cpu=cpu, peak=peak(), imports=before, users=data.n_users, items=data.n_items,
                      interactions=data.n_interactions, fingerprint=data.fingerprint())))
"""


def skewed(n, power):
    "Chances of n things, the most frequent first: a Zipf law with a bent top."
    weights = 1 / np.arange(20, n + 20) ** power
    return np.cumsum(weights / weights.sum())


def chunks(interactions, users, items, text, seed=0, rows=1_000_000):
    "Tables of at most a million rows, no row twice."
    rng, count = np.random.default_rng(seed), -(-interactions // rows)
    user_chances, item_chances = skewed(users, 0.5), skewed(items, 0.9)
    user_names, item_names = (rng.permutation(n) + 1 for n in (users, items))
    if text:  # like Amazon's: A1000042, B1000007
        user_names, item_names = (np.array([f"{letter}{1_000_000 + n}" for n in names])
                                  for letter, names in (("A", user_names), ("B", item_names)))
    for number in range(count):
        size = min(rows, interactions - number * rows)
        visits = -(-size // 2)
        user = np.searchsorted(user_chances, rng.random(visits)).clip(max=users - 1).repeat(2)[:size]
        moment = (1_000_000_000 + rng.permutation(visits) * count + number).repeat(2)[:size]
        item = np.searchsorted(item_chances, rng.random(size)).clip(max=items - 1)
        item[1::2] += item[1::2] == item[:-1:2][:size // 2]  # a visit takes two different items
        yield pa.table(dict(user_id=user_names[user], item_id=item_names[item % items],
                            rating=rng.choice(np.arange(1.0, 6.0), size, p=[.04, .06, .1, .3, .5]), timestamp=moment))


def write(folder, interactions, users, items, text):
    "The log as CSV and as Parquet, a chunk at a time."
    paths, writers = [folder/"log.csv", folder/"log.parquet"], []
    for number, table in enumerate(chunks(interactions, users, items, text), start=1):
        if not writers:
            writers = [csv.CSVWriter(str(paths[0]), table.schema, write_options=csv.WriteOptions(quoting_style="none")),
                       parquet.ParquetWriter(str(paths[1]), table.schema)]
        for writer in writers: writer.write_table(table)
        print(f"\r  {min(number * 1_000_000, interactions):,} interactions written", end="", file=sys.stderr, flush=True)
    for writer in writers: writer.close()
    print(file=sys.stderr)
    return paths


def measure(path, folder):
    "Load a file in a process of its own; seconds, peak memory (GiB) and what was loaded."
    print(f"  loading {path.name} ...", end="\r", file=sys.stderr, flush=True)
    done = subprocess.run([sys.executable, "-c", CHILD, str(path)], capture_output=True, text=True,
                          env={**os.environ, "ADREC_CACHE": str(folder/"cache")})
    if done.returncode: raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def report(path, folder):
    "Print the first load and the cached one; they must give the same data."
    first = measure(path, folder)
    entries = sum(f.stat().st_size for f in (folder/"cache").rglob("*") if f.is_file())
    again = measure(path, folder)
    assert again["fingerprint"] == first["fingerprint"], "the cache gives other data"
    for what, found in ((f"{path.name}, {path.stat().st_size / 1e6:,.0f} MB, first", first), (f"{path.name}, {'cached' if entries else 'again (too small to keep)'}", again)):
        print(f"{what:<32}{found['seconds']:7.1f} s ({found['cpu']:.1f} s of processor time)   peak memory {found['peak']:.2f} GiB", flush=True)
    print(f"  {first['users']:,} users, {first['items']:,} items, {first['interactions']:,} interactions after filter and 5-core; "
          f"cache {entries / 1e6:,.0f} MB; the imports alone take {first['imports']:.2f} GiB")
    shutil.rmtree(folder/"cache", ignore_errors=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--interactions", type=int, default=20_000_000)
    parser.add_argument("--users", type=int, default=400_000)
    parser.add_argument("--items", type=int, default=60_000)
    parser.add_argument("--ids", choices=("numbers", "text"), default="text", help="what ids look like: 42, or A1000042")
    parser.add_argument("--folder", help="where the temporary files go (2 GB for 20 million); default: the system's")
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, {pa.cpu_count()} threads for pyarrow; {options.interactions:,} interactions, {options.users:,} users, {options.items:,} items, ids: {options.ids}")
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        begin = time.perf_counter()
        paths = write(Path(folder), options.interactions, options.users, options.items, options.ids == "text")
        print(f"made in {time.perf_counter() - begin:.1f} s")
        for path in paths: report(path, Path(folder))
