"What the tests of training and of tables share: small recipes, a plug to pull, and ways to look at what came out."

import numpy as np
import torch

from adrec.recipes import Settings, three_stages

OPTIONS = {"dim": 8, "blocks": 1, "heads": 2, "steps": 4}
EVERY = Settings(users_per_update=32, length_groups=3, validate_every=1, patience=100, learning_rate=3e-3)
RECIPE = three_stages(5, warm_up=3)
SHAPES = [(3000, 64), (1008, 128), (12301, 128), (20000, 32), (60, 100)]  # of tables: items, dimensions


def rng(seed=0): return np.random.default_rng(seed)


class Model(torch.nn.Module):
    "A model that is nothing but its table."
    def __init__(self, table):
        super().__init__()
        self.table = table
    def item_embeddings(self): return self.table


class Pull:
    "Pull the plug at the first event for which `when` is true."
    def __init__(self, event, when): setattr(self, event, self.pull); self.when = when
    def pull(self, state):
        if self.when(state): raise KeyboardInterrupt


def timeless(rows): return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]

def equal(a, b): return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)

def contents(folder): return {path.name: path.read_bytes() for path in folder.iterdir()}
