"Wrong and right answers to problem set 4."
from grading import Question, Right, Wrong

BANK = {
    "effective_rank": Question(
        wrong=[
            Wrong("not centred", """
def effective_rank(table):
    s = np.linalg.svd(table, compute_uv=False)
    p = s[s > 0] / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
""", {"effective_rank_3"}),
            Wrong("variances in place of singular values", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=0), compute_uv=False) ** 2
    p = s[s > 0] / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
""", {"effective_rank_2"}),
            Wrong("the entropy, without exp", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=0), compute_uv=False)
    p = s[s > 0] / s.sum()
    return float(-(p * np.log(p)).sum())
""", {"effective_rank_1", "effective_rank_2"}),
            Wrong("the mean where the sum belongs", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=0), compute_uv=False)
    p = s[s > 1e-9] / s.sum()
    return float(np.exp(-(p * np.log(p)).mean()))
""", {"effective_rank_1", "effective_rank_2"}),
            Wrong("logarithm to base 2 under exp", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=0), compute_uv=False)
    p = s[s > 0] / s.sum()
    return float(np.exp(-(p * np.log2(p)).sum()))
""", {"effective_rank_1", "effective_rank_2"}),
            Wrong("0·ln 0 is not a number", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=0), compute_uv=False)
    s[s < 1e-12] = 0
    p = s / s.sum()
    with np.errstate(all="ignore"):
        return float(np.exp(-(p * np.log(p)).sum()))
""", {"effective_rank_1"}),
            Wrong("the mean of each row subtracted", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=1, keepdims=True), compute_uv=False)
    p = s[s > 0] / s.sum()
    return float(np.exp(-(p * np.log(p)).sum()))
""", {"effective_rank_1", "effective_rank_2", "effective_rank_3"}),
        ],
        right=[
            Right("by the covariance", """
def effective_rank(table):
    values = np.linalg.eigvalsh(np.cov(table, rowvar=False))
    s = np.sqrt(np.maximum(values, 0))
    p = s[s > 1e-9 * s.max()] / s[s > 1e-9 * s.max()].sum()
    return np.prod(p ** -p)
"""),
            Right("in a loop", """
import math
def effective_rank(table):
    entropy, s = 0.0, np.linalg.svd(table - np.mean(table, 0))[1]
    for size in s:
        p = size / sum(s)
        if p > 0: entropy -= p * math.log(p)
    return math.exp(entropy)
"""),
            Right("in float32", """
def effective_rank(table):
    x = np.asarray(table, dtype=np.float32)
    s = np.linalg.svd(x - x.mean(0), compute_uv=False)
    p = s / s.sum() + np.float32(1e-20)
    return np.exp(-np.sum(p * np.log(p)))
"""),
            Right("base 2 throughout", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=0, keepdims=True), full_matrices=False)[1]
    p = s[s > 0] / np.linalg.norm(s, 1)
    return 2 ** -np.dot(p, np.log2(p))
"""),
            Right("centred by a matrix, eigenvalues of the pairs", """
def effective_rank(table):
    n = len(table)
    x = (np.eye(n) - np.ones((n, n)) / n) @ table
    s = np.sqrt(np.abs(np.linalg.eigvalsh(x.T @ x)))
    p = s / s.sum()
    return float(np.exp(np.sum(np.where(p > 1e-8, -p * np.log(np.maximum(p, 1e-300)), 0))))
"""),
            Right("ln of the sum, taken apart", """
def effective_rank(table):
    s = np.linalg.svd(table - table.mean(axis=0), compute_uv=False)
    s = s[s > 0]
    return s.sum() / np.exp((s * np.log(s)).sum() / s.sum())
"""),
        ]),
    "noise_band": Question(
        wrong=[
            Wrong("γ = d/N", """
def noise_band(n_items, dim, variance):
    root = np.sqrt(dim / n_items)
    return variance * (1 - root) ** 2, variance * (1 + root) ** 2
""", {"noise_band_2"}),
            Wrong("γ upside down", """
def noise_band(n_items, dim, variance):
    root = np.sqrt((n_items - 1) / dim)
    return variance * (1 - root) ** 2, variance * (1 + root) ** 2
""", {"noise_band_1", "noise_band_2"}),
            Wrong("γ without its root", """
def noise_band(n_items, dim, variance):
    gamma = dim / (n_items - 1)
    return variance * (1 - gamma) ** 2, variance * (1 + gamma) ** 2
""", {"noise_band_1", "noise_band_2"}),
            Wrong("the bracket is not squared", """
def noise_band(n_items, dim, variance):
    root = np.sqrt(dim / (n_items - 1))
    return variance * (1 - root), variance * (1 + root)
""", {"noise_band_1", "noise_band_2"}),
            Wrong("the variance is squared", """
def noise_band(n_items, dim, variance):
    root = np.sqrt(dim / (n_items - 1))
    return variance ** 2 * (1 - root) ** 2, variance ** 2 * (1 + root) ** 2
""", {"noise_band_1", "noise_band_3"}),
            Wrong("nothing below zero before squaring", """
def noise_band(n_items, dim, variance):
    root = np.sqrt(dim / (n_items - 1))
    return variance * max(1 - root, 0) ** 2, variance * (1 + root) ** 2
""", {"noise_band_2"}),
        ],
        right=[
            Right("multiplied out", """
def noise_band(n_items, dim, variance):
    g = dim / (n_items - 1)
    return variance * (1 + g - 2 * g ** 0.5), variance * (1 + g + 2 * g ** 0.5)
"""),
            Right("by singular values", """
def noise_band(n_items, dim, variance):
    n = n_items - 1
    return tuple(variance * (np.sqrt(n) + sign * np.sqrt(dim)) ** 2 / n for sign in (-1, 1))
"""),
            Right("as an array", """
def noise_band(n_items, dim, variance):
    return variance * (1 + np.array([-1, 1]) * np.sqrt(dim / (n_items - 1))) ** 2
"""),
            Right("in float32, as a list", """
def noise_band(n_items, dim, variance):
    root = np.sqrt(np.float32(dim) / np.float32(n_items - 1))
    return [np.float32(variance) * np.square(1 - root), np.float32(variance) * np.square(1 + root)]
"""),
            Right("with the standard deviation", """
import math
def noise_band(n_items, dim, variance):
    s, root = math.sqrt(variance), math.sqrt(dim) / math.sqrt(n_items - 1)
    return (s - s * root) ** 2, (s + s * root) ** 2
"""),
            Right("as roots of a quadratic", """
def noise_band(n_items, dim, variance):
    g = dim / (n_items - 1)
    low, high = sorted(np.roots([1, -2 * (1 + g), (1 - g) ** 2]).real)
    return variance * low, variance * high
"""),
        ]),
    "outliers": Question(
        wrong=[
            Wrong("not centred", """
def outliers(table, variance):
    n, d = table.shape
    values = np.linalg.eigvalsh(table.T @ table / (n - 1))
    return int((values > variance * (1 + np.sqrt(d / (n - 1))) ** 2).sum())
""", {"outliers_3"}),
            Wrong("compared with the true variance", """
def outliers(table, variance):
    return int((np.linalg.eigvalsh(np.cov(table, rowvar=False)) > variance).sum())
""", {"outliers_1", "outliers_2"}),
            Wrong("γ without its root", """
def outliers(table, variance):
    n, d = table.shape
    values = np.linalg.eigvalsh(np.cov(table, rowvar=False))
    return int((values > variance * (1 + d / (n - 1)) ** 2).sum())
""", {"outliers_1", "outliers_2"}),
            Wrong("γ upside down", """
def outliers(table, variance):
    n, d = table.shape
    values = np.linalg.eigvalsh(np.cov(table, rowvar=False))
    return int((values > variance * (1 + np.sqrt((n - 1) / d)) ** 2).sum())
""", {"outliers_1", "outliers_2"}),
            Wrong("the variance estimated from the table", """
def outliers(table, variance):
    n, d = table.shape
    values = np.linalg.eigvalsh(np.cov(table, rowvar=False))
    return int((values > values.mean() * (1 + np.sqrt(d / (n - 1))) ** 2).sum())
""", {"outliers_1"}),
            Wrong("the variance is forgotten", """
def outliers(table, variance):
    n, d = table.shape
    values = np.linalg.eigvalsh(np.cov(table, rowvar=False))
    return int((values > (1 + np.sqrt(d / (n - 1))) ** 2).sum())
""", {"outliers_1", "outliers_2", "outliers_3"}),
        ],
        right=[
            Right("singular values, squared", """
def outliers(table, variance):
    n, d = table.shape
    values = np.linalg.svd(table - table.mean(axis=0), compute_uv=False) ** 2 / (n - 1)
    return np.count_nonzero(values > variance * (1 + np.sqrt(d / (n - 1))) ** 2)
"""),
            Right("singular values against √(N−1) + √d", """
def outliers(table, variance):
    n, d = table.shape
    sizes = np.linalg.svd(table - table.mean(axis=0), compute_uv=False)
    return int(sum(sizes > np.sqrt(variance) * (np.sqrt(n - 1) + np.sqrt(d))))
"""),
            Right("in a loop", """
def outliers(table, variance):
    x, count = table - table.mean(0), 0
    gamma = x.shape[1] / (len(x) - 1)
    for value in np.linalg.eigvals(x.T @ x).real / (len(x) - 1):
        if value > variance * (1 + gamma + 2 * gamma ** 0.5): count += 1
    return count
"""),
            Right("standardised first, in float32", """
def outliers(table, variance):
    x = (table / np.sqrt(variance)).astype(np.float32)
    values = np.linalg.eigvalsh(np.cov(x.T))
    return len(values[values > (1 + np.sqrt(x.shape[1] / (x.shape[0] - 1))) ** 2])
"""),
            Right("pairs of items in place of columns", """
def outliers(table, variance):
    n, d = table.shape
    x = table - table.mean(axis=0)
    values = np.linalg.eigvalsh(x @ x.T) / (n - 1)
    return int((values > variance * (1 + np.sqrt(d / (n - 1))) ** 2).sum())
"""),
            Right("second moments less the mean's", """
def outliers(table, variance):
    n, d = table.shape
    mean = table.mean(axis=0)
    values = np.linalg.eigvalsh((table.T @ table - n * np.outer(mean, mean)) / (n - 1))
    return int(np.sum(values / variance > np.square(1 + (d / (n - 1)) ** 0.5)))
"""),
        ]),
    "mean_cosine": Question(
        wrong=[
            Wrong("the diagonal counts", """
def mean_cosine(table):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return float((unit @ unit.T).mean())
""", {"mean_cosine_1", "mean_cosine_2", "mean_cosine_3"}),
            Wrong("centred first", """
def mean_cosine(table):
    x = table - table.mean(axis=0)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True).clip(1e-12)
    n = len(x)
    return float(((unit @ unit.T).sum() - n) / (n * (n - 1)))
""", {"mean_cosine_1", "mean_cosine_2", "mean_cosine_3"}),
            Wrong("dot products", """
def mean_cosine(table):
    n = len(table)
    dots = table @ table.T
    return float((dots.sum() - np.trace(dots)) / (n * (n - 1)))
""", {"mean_cosine_1", "mean_cosine_3"}),
            Wrong("columns are normalised", """
def mean_cosine(table):
    unit = table / np.linalg.norm(table, axis=0, keepdims=True).clip(1e-12)
    n, dots = len(table), unit @ unit.T
    return float((dots.sum() - np.trace(dots)) / (n * (n - 1)))
""", {"mean_cosine_1", "mean_cosine_2", "mean_cosine_3"}),
            Wrong("absolute values", """
def mean_cosine(table):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    n = len(table)
    return float((np.abs(unit @ unit.T).sum() - n) / (n * (n - 1)))
""", {"mean_cosine_1", "mean_cosine_3"}),
            Wrong("each pair once, over all N² places", """
def mean_cosine(table):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return float(np.triu(unit @ unit.T, 1).mean())
""", {"mean_cosine_1", "mean_cosine_3"}),
        ],
        right=[
            Right("by the mean direction", """
def mean_cosine(table):
    unit = table / np.sqrt((table ** 2).sum(axis=1, keepdims=True))
    n, mean = len(unit), unit.mean(axis=0)
    return (n * (mean @ mean) - 1) / (n - 1)
"""),
            Right("in two loops", """
def mean_cosine(table):
    lengths, cosines = np.linalg.norm(table, axis=1), []
    for i in range(len(table)):
        for j in range(i):
            cosines.append(table[i] @ table[j] / lengths[i] / lengths[j])
    return sum(cosines) / len(cosines)
"""),
            Right("upper triangle", """
def mean_cosine(table):
    unit = table / np.linalg.norm(table, axis=1)[:, None]
    return (unit @ unit.T)[np.triu_indices(len(unit), 1)].mean()
"""),
            Right("by distances, in float32", """
def mean_cosine(table):
    unit = table.astype(np.float32)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    squares = ((unit[:, None] - unit) ** 2).sum(-1)
    return (1 - squares / 2)[~np.eye(len(unit), dtype=bool)].mean()
"""),
            Right("diagonal set to nan", """
def mean_cosine(table):
    dots, lengths = table @ table.T, np.linalg.norm(table, axis=1)
    cosines = dots / np.outer(lengths, lengths)
    np.fill_diagonal(cosines, np.nan)
    return np.nanmean(cosines)
"""),
            Right("item against the sum of the others", """
def mean_cosine(table):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    others = unit.sum(axis=0) - unit
    return ((unit * others).sum(axis=1) / (len(unit) - 1)).mean()
"""),
        ]),
    "neighbour_lift": Question(
        wrong=[
            Wrong("an item is its own neighbour", """
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit.T), axis=1)[:, :k]
    n, counts = len(labels), np.bincount(labels)
    share = (labels[nearest] == labels[:, None]).mean()
    return float(share * n * (n - 1) / (counts * (counts - 1)).sum())
""", {"neighbour_lift_2", "neighbour_lift_3"}),
            Wrong("an item is its own pair in the chance", """
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = unit @ unit.T - 9 * np.eye(len(unit))
    nearest = np.argsort(-cosines, axis=1)[:, :k]
    chance = ((np.bincount(labels) / len(labels)) ** 2).sum()
    return float((labels[nearest] == labels[:, None]).mean() / chance)
""", {"neighbour_lift_1", "neighbour_lift_3"}),
            Wrong("reads a global: ten neighbours, whatever was asked", """
how_many = 10
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    nearest = np.argsort(9 * np.eye(len(unit)) - unit @ unit.T, axis=1)[:, :how_many]
    n, counts = len(labels), np.bincount(labels)
    share = (labels[nearest] == labels[:, None]).mean()
    return float(share * n * (n - 1) / (counts * (counts - 1)).sum())
""", {"neighbour_lift_1", "neighbour_lift_2", "neighbour_lift_3"}),
            Wrong("distances, not angles", """
def neighbour_lift(table, labels, k):
    gaps = ((table[:, None] - table) ** 2).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    nearest = np.argsort(gaps, axis=1)[:, :k]
    n, counts = len(labels), np.bincount(labels)
    share = (labels[nearest] == labels[:, None]).mean()
    return float(share * n * (n - 1) / (counts * (counts - 1)).sum())
""", {"neighbour_lift_4"}),
            Wrong("the share, without the chance", """
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = unit @ unit.T - 9 * np.eye(len(unit))
    nearest = np.argsort(-cosines, axis=1)[:, :k]
    return float((labels[nearest] == labels[:, None]).mean())
""", {"neighbour_lift_1", "neighbour_lift_3"}),
            Wrong("one neighbour too few", """
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    nearest = np.argsort(-(unit @ unit.T), axis=1)[:, 1:max(k, 2)]
    n, counts = len(labels), np.bincount(labels)
    share = (labels[nearest] == labels[:, None]).mean()
    return float(share * n * (n - 1) / (counts * (counts - 1)).sum())
""", {"neighbour_lift_3"}),
        ],
        right=[
            Right("in a loop", """
def neighbour_lift(table, labels, k):
    unit = np.array([row / np.linalg.norm(row) for row in table])
    hits = pairs = 0
    for i in range(len(unit)):
        order = [j for j in np.argsort(-(unit @ unit[i])) if j != i]
        hits += sum(labels[j] == labels[i] for j in order[:k])
        pairs += (labels == labels[i]).sum() - 1
    return hits / (len(unit) * k) / (pairs / len(unit) / (len(unit) - 1))
"""),
            Right("by distances of unit vectors", """
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    gaps = ((unit[:, None] - unit) ** 2).sum(axis=2)
    np.fill_diagonal(gaps, np.inf)
    same = labels[:, None] == labels
    share = np.take_along_axis(same, np.argsort(gaps, axis=1)[:, :k], axis=1).mean()
    n = len(labels)
    return share / ((same.sum() - n) / (n * (n - 1)))
"""),
            Right("argpartition", """
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.fill_diagonal(cosines, -2)
    nearest = np.argpartition(cosines, -k, axis=1)[:, -k:]
    _, counts = np.unique(labels, return_counts=True)
    chance = (counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1))
    return np.mean(labels[nearest] == labels[:, np.newaxis]) / chance
"""),
            Right("itself first, and skipped", """
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    cosines = unit @ unit.T + 9 * np.eye(len(unit))
    nearest = np.argsort(cosines, axis=1)[:, ::-1][:, 1:k + 1]
    counts, n = np.bincount(labels), len(labels)
    return (labels[nearest] == labels[:, None]).mean() / ((counts ** 2).sum() - n) * n * (n - 1)
"""),
            Right("angles themselves", """
def neighbour_lift(table, labels, k):
    lengths = np.linalg.norm(table, axis=1)
    angles = np.arccos(np.clip(table @ table.T / np.outer(lengths, lengths), -1, 1))
    angles[np.diag_indices_from(angles)] = 7
    nearest = angles.argsort(axis=1)[:, :k]
    n = len(labels)
    chance = np.mean([labels[i] == labels[j] for i in range(n) for j in range(n) if i != j])
    return (labels[nearest] == labels.reshape(-1, 1)).mean() / chance
"""),
            Right("a queue of the best", """
import heapq
def neighbour_lift(table, labels, k):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    n, hits = len(unit), 0
    for i in range(n):
        best = heapq.nlargest(k, (j for j in range(n) if j != i), key=(unit @ unit[i]).__getitem__)
        hits += np.count_nonzero(labels[best] == labels[i])
    return hits / (n * k) * n * (n - 1) / sum(c * (c - 1) for c in np.bincount(labels).tolist())
"""),
        ]),
}

# The four tables. Every answer stands by itself; what differs is filled in.
_EXAMINE = """
def _rank(table):
    s = np.linalg.svd({rank_of}, compute_uv=False)
    return np.exp(-(s / s.sum() * np.log(s / s.sum())).sum())

def _cosines(table):
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return unit @ unit.T

def _lift(table, labels, k=10):
    cosines, n, counts = _cosines(table), len(labels), np.bincount(labels)
    np.fill_diagonal(cosines, {itself})
    nearest = np.argsort(-cosines, axis=1)[:, :k]
    return (labels[nearest] == labels[:, None]).mean() * n * (n - 1) / (counts * (counts - 1)).sum()

def examine(tables, labels):
    diagnosis, evidence = {{}}, {{}}
    for name, table in tables.items():
        rank, lift = _rank(table), _lift(table, labels)
        cosine = {cosine}
        evidence[name] = {{"effective rank": rank, "mean cosine": cosine, "lift": lift}}
        diagnosis[name] = {rule}
    return diagnosis, evidence
"""
_PARTS = dict(
    rank_of="table - table.mean(axis=0)", itself="-9",
    cosine="(_cosines(table).sum() - len(table)) / (len(table) * (len(table) - 1))",
    cone="cosine > 0.5", flat="rank < 8", well="lift > 2")


def _examine(**other):
    parts = _PARTS | other
    rule = '"cone" if {cone} else "low rank" if {flat} else "healthy" if {well} else "noise"'
    return _EXAMINE.format(**{"rule": rule.format(**parts)} | parts)


BANK["examine"] = Question(
    wrong=[
        Wrong("the cone is missed: judged by rank and lift only", _examine(
            rule='"low rank" if rank < 8 else "healthy" if lift > 2 else "noise"'),
            {"examine_4", "examine_5"}),
        Wrong("the highest rank is taken for the best health", _examine(
            well="rank > 15.6"),
            {"examine_4", "examine_5"}),
        Wrong("the tables of somebody else", """
def examine(tables, labels):
    return ({"A": "noise", "B": "noise", "C": "noise", "D": "noise"},
            {name: {"effective rank": 15.8, "mean cosine": 0.0, "lift": 1.0} for name in "ABCD"})
""", {"examine_1", "examine_2", "examine_3", "examine_5"}),
        Wrong("rank without centring, and a cone taken for a flat table", _examine(
            rank_of="table", cone="rank >= 10 and cosine > 0.5", flat="rank < 10"),
            {"examine_1", "examine_4", "examine_5"}),
        Wrong("an item is its own neighbour", _examine(itself="1"), {"examine_3"}),
        Wrong("the mean cosine with the diagonal", _examine(
            cosine="_cosines(table).mean()"), {"examine_2"}),
    ],
    right=[
        Right("helpers, and a rule with other limits", _examine(
            cone="cosine > 0.3", flat="rank < 11", well="lift > 2.7")),
        Right("the mean cosine without the diagonal", _examine(
            cosine="np.mean(_cosines(table)[~np.eye(len(table), dtype=bool)])")),
        Right("the rank by rotating first", _examine(
            rank_of="(table - table.mean(axis=0)) @ np.linalg.qr(np.ones((16, 16)) + np.eye(16))[0]")),
        Right("in float32", _examine(rank_of="(table - table.mean(axis=0)).astype(np.float32)")),
        Right("limits from noise of this shape", """
_rng = np.random.default_rng(0)
""" + _examine(flat="rank < 0.8 * _rank(_rng.normal(size=table.shape))",
               well="lift > 1.7 * _lift(table, _rng.permutation(labels))")),
        Right("numbers of Python", _examine() + """
_first = examine
def examine(tables, labels):
    words, numbers = _first(tables, labels)
    rounded = {name: {key: round(float(value), 4) for key, value in numbers[name].items()}
               for name in numbers}
    return words, rounded
"""),
    ])
