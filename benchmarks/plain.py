"""ADRec the plain way: what `adrec` is measured against, and checked against (tests/test_speed.py).

Everybody is padded to the full window, the loss builds the scores of all items at all positions, and each step
of the sampler reads the whole sequence again. The network is the same: parameters have the same names and shapes,
so weights pass from one to the other by `load_state_dict`. It is written to be short and fair: PyTorch's own
layers and kernels throughout, no slow loops, the loss on real positions only.
"""
import torch
import torch.nn.functional as F
from torch import nn

from adrec.data import Batch
from adrec.diffusion import GaussianDiffusion, TimeEmbedding
from adrec.schedule import noise_schedule

class PlainAttention(nn.Module):
    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query_key_value, self.out = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)

    def forward(self, x):  # (B, L, D)
        q, k, v = self.query_key_value(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        o = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout * self.training, is_causal=True)
        return self.out(o.transpose(1, 2).flatten(2))


class PlainBlock(nn.Module):
    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.attention, self.dropout = PlainAttention(dim, heads, dropout), nn.Dropout(dropout)
        self.feed_forward = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(approximate="tanh"),
                                          nn.Dropout(dropout), nn.Linear(4 * dim, dim))
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-12), nn.LayerNorm(dim, eps=1e-12)

    def forward(self, x):
        x = self.norm1(x + self.dropout(self.attention(x)))
        return self.norm2(x + self.dropout(self.feed_forward(x)))


class PlainEncoder(nn.Module):
    def __init__(self, dim, heads, dropout):
        super().__init__()
        self.blocks = nn.Sequential(*(PlainBlock(dim, heads, dropout) for _ in range(2)))

    def forward(self, x): return self.blocks(x)


class PlainADRec(nn.Module):
    "ADRec with nothing saved; batches come from `pad_to_window`."
    def __init__(self, n_items, dim=128, steps=32, schedule="trunc_lin", noise_scale=0.001, heads=4, dropout=0.1, embedding_dropout=0.3):
        super().__init__()
        self.noise_scale = noise_scale
        self.item_embedding = nn.Embedding(n_items + 1, dim, padding_idx=0)
        self.input_dropout, self.input_norm = nn.Dropout(embedding_dropout), nn.LayerNorm(dim, eps=1e-12)
        self.cam, self.adm = PlainEncoder(dim, heads, dropout), PlainEncoder(dim, heads, dropout)
        self.diffusion = GaussianDiffusion(noise_schedule(schedule, steps))
        self.time_embedding = TimeEmbedding(dim, steps)

    def denoise(self, batch, x_t, t):  # everything is read, the history too
        context = self.cam(self.input_norm(self.input_dropout(self.item_embedding(batch.history))))
        return self.adm(context + self.noise_scale * (x_t + self.time_embedding(t)))

    def losses(self, batch, t=None, eps=None):  # cross-entropy and squared error, as means
        x0 = self.item_embedding(batch.target)
        if t is None: t = torch.randint(self.diffusion.steps, batch.target.shape)
        if eps is None: eps = torch.randn_like(x0)
        x0_hat = self.denoise(batch, self.diffusion.q_sample(x0, t, eps), t)
        logits = x0_hat @ self.item_embedding.weight[1:].T  # (B, L, N)
        cross_entropy = F.cross_entropy(logits.flatten(0, 1), batch.target.flatten() - 1, ignore_index=-1)
        squares = ((x0_hat - x0) ** 2).mean(-1) * batch.mask
        return {"cross_entropy": cross_entropy, "mse": (squares.sum(1) / batch.lengths).mean()}

    @torch.no_grad()
    def score(self, batch, noise=None):  # (B, N); noise (T + 1, B, D): the start, then t = T−1 … 0
        rows, last = torch.arange(len(batch.history)), batch.lengths - 1
        targets = self.item_embedding(F.pad(batch.history[:, 1:], (0, 1)))
        t = torch.zeros_like(batch.history)
        if noise is None: noise = torch.randn(self.diffusion.steps + 1, len(rows), targets.shape[-1])
        x = noise[0]
        for step, fresh in zip(reversed(range(self.diffusion.steps)), noise[1:]):
            targets[rows, last], t[rows, last] = x, step
            x = self.diffusion.p_sample(self.denoise(batch, targets, t)[rows, last], x, step, fresh)
        return x @ self.item_embedding.weight[1:].T


def pad_to_window(parts, window=50):
    "The parts of an update as one batch, every history padded to the whole window."
    def joined(name): return torch.cat([getattr(part, name) for part in parts])
    def padded(name): return torch.cat([F.pad(getattr(p, name), (0, window - p.history.shape[1])) for p in parts])
    target = None if parts[0].target is None else padded("target")
    return Batch(joined("users"), padded("history"), joined("lengths"), target)
