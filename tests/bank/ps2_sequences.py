"""Problem set 2: plausible wrong answers with the tests that each must lose, and other right ones.

The answers to `my_marks` are those of the student without a name in the term 2026.
"""
from textwrap import dedent

from grading import Question, Right, Wrong

def wrong(mistake, code, *loses):
    return Wrong(mistake, dedent(code).strip(), set(loses))


def right(way, code):
    return Right(way, dedent(code).strip())


BANK = {}

BANK["attention_mask"] = Question(
    wrong=[
        wrong("looks at the future", """
            def attention_mask(lengths, width):
                i, j = torch.arange(width)[:, None], torch.arange(width)
                real = j >= width - lengths[:, None]
                return (j >= i) & real[:, None, :] | (i == j)
            """, "attention_mask_1", "attention_mask_2", "attention_mask_3"),
        wrong("off by one: sees the next position", """
            def attention_mask(lengths, width):
                i, j = torch.arange(width)[:, None], torch.arange(width)
                real = j >= width - lengths[:, None]
                return (j <= i + 1) & real[:, None, :] | (i == j)
            """, "attention_mask_1", "attention_mask_2", "attention_mask_3"),
        wrong("the padding is hidden on the wrong axis, as the one who asks", """
            def attention_mask(lengths, width):
                i, j = torch.arange(width)[:, None], torch.arange(width)
                real = j >= width - lengths[:, None]
                return (j <= i) & real[:, :, None] | (i == j)
            """, "attention_mask_2"),
        wrong("padding on the right", """
            def attention_mask(lengths, width):
                i, j = torch.arange(width)[:, None], torch.arange(width)
                real = j < lengths[:, None]
                return (j <= i) & real[:, None, :] | (i == j)
            """, "attention_mask_2", "attention_mask_3"),
        wrong("padding forgotten", """
            def attention_mask(lengths, width):
                return torch.ones(len(lengths), width, width, dtype=torch.bool).tril()
            """, "attention_mask_2", "attention_mask_3"),
        wrong("padding sees nothing", """
            def attention_mask(lengths, width):
                i, j = torch.arange(width)[:, None], torch.arange(width)
                real = j >= width - lengths[:, None]
                return (j <= i) & real[:, None, :]
            """, "attention_mask_3"),
        wrong("nobody sees itself", """
            def attention_mask(lengths, width):
                i, j = torch.arange(width)[:, None], torch.arange(width)
                real = j >= width - lengths[:, None]
                return (j < i) & real[:, None, :]
            """, "attention_mask_1", "attention_mask_2", "attention_mask_3"),
        wrong("the first length for all", """
            def attention_mask(lengths, width):
                i, j = torch.arange(width)[:, None], torch.arange(width)
                mask = (j <= i) & (j >= width - lengths[0]) | (i == j)
                return mask.repeat(len(lengths), 1, 1)
            """, "attention_mask_2", "attention_mask_3"),
    ],
    right=[
        right("three loops", """
            def attention_mask(lengths, width):
                mask = torch.zeros(len(lengths), width, width, dtype=torch.bool)
                for b, n in enumerate(lengths.tolist()):
                    for i in range(width):
                        for j in range(width):
                            mask[b, i, j] = i == j or (width - n <= j <= i)
                return mask
            """),
        right("a triangle in a corner", """
            def attention_mask(lengths, width):
                masks = []
                for n in lengths.tolist():
                    mask = torch.eye(width, dtype=torch.bool)
                    mask[width - n:, width - n:] = torch.ones(n, n, dtype=torch.bool).tril()
                    masks.append(mask)
                return torch.stack(masks)
            """),
        right("strictly before, and itself", """
            def attention_mask(lengths, width):
                before = torch.ones(width, width).tril(-1).bool()
                padding = torch.arange(width)[None] < (width - lengths)[:, None]
                return before.logical_and(~padding.unsqueeze(1)).logical_or(torch.eye(width).bool())
            """),
        right("numpy", """
            def attention_mask(lengths, width):
                start = width - np.asarray(lengths)
                i, j = np.indices((width, width))
                allowed = (j <= i) & (j >= start[:, None, None])
                return torch.from_numpy(allowed | np.eye(width, dtype=bool))
            """),
        right("a product of real and real", """
            def attention_mask(lengths, width):
                real = (torch.arange(width) >= width - lengths[:, None]).float()
                pairs = torch.einsum("bi,bj->bij", real, real).tril()
                pairs.diagonal(dim1=1, dim2=2).fill_(1)
                return pairs > 0
            """),
        right("what is forbidden, turned round", """
            def attention_mask(lengths, width):
                place = torch.arange(width)
                ahead = place[None, None, :] > place[None, :, None]
                padding = (place + lengths.view(-1, 1, 1)) < width
                other = place.view(1, 1, -1) != place.view(1, -1, 1)
                return ~((ahead | padding) & other)
            """),
        right("masked fill", """
            def attention_mask(lengths, width):
                mask = torch.tril(torch.ones(width, width)).expand(len(lengths), -1, -1).clone()
                padding = torch.arange(width) < width - lengths.unsqueeze(1)
                mask = mask.masked_fill(padding[:, None], 0)
                mask[:, range(width), range(width)] = 1
                return mask.bool()
            """),
        right("the larger of two limits", """
            def attention_mask(lengths, width):
                j = torch.arange(width).expand(len(lengths), width, width)
                i = j.transpose(1, 2)
                first = torch.minimum(i, (width - lengths)[:, None, None])
                return (j == i) | (j >= first) & (j < i)
            """),
    ])

BANK["attention"] = Question(
    wrong=[
        wrong("√d forgotten", """
            def attention(q, k, v, allowed):
                fit = (q @ k.T).masked_fill(~allowed, float("-inf"))
                return fit.softmax(dim=1) @ v
            """, "attention_2"),
        wrong("d for √d", """
            def attention(q, k, v, allowed):
                fit = (q @ k.T / q.shape[1]).masked_fill(~allowed, float("-inf"))
                return fit.softmax(dim=1) @ v
            """, "attention_2"),
        wrong("the root of the length, not of the width", """
            def attention(q, k, v, allowed):
                fit = (q @ k.T / q.shape[0] ** 0.5).masked_fill(~allowed, float("-inf"))
                return fit.softmax(dim=1) @ v
            """, "attention_2"),
        wrong("queries and keys exchanged", """
            def attention(q, k, v, allowed):
                fit = (k @ q.T / q.shape[1] ** 0.5).masked_fill(~allowed, float("-inf"))
                return fit.softmax(dim=1) @ v
            """, "attention_2"),
        wrong("softmax down the columns", """
            def attention(q, k, v, allowed):
                fit = (q @ k.T / q.shape[1] ** 0.5).masked_fill(~allowed, float("-inf"))
                return fit.softmax(dim=0).nan_to_num() @ v
            """, "attention_1", "attention_2", "attention_3"),
        wrong("masked after the softmax, and not divided again", """
            def attention(q, k, v, allowed):
                weights = (q @ k.T / q.shape[1] ** 0.5).softmax(dim=1)
                return (weights * allowed) @ v
            """, "attention_1", "attention_3"),
        wrong("forbidden scores become 0, not −∞", """
            def attention(q, k, v, allowed):
                fit = (q @ k.T / q.shape[1] ** 0.5).masked_fill(~allowed, 0.0)
                return fit.softmax(dim=1) @ v
            """, "attention_1", "attention_3"),
        wrong("exp without taking the largest away", """
            def attention(q, k, v, allowed):
                weights = torch.exp(q @ k.T / q.shape[1] ** 0.5) * allowed
                return weights / weights.sum(dim=1, keepdim=True) @ v
            """, "attention_4"),
        wrong("the mask transposed", """
            def attention(q, k, v, allowed):
                fit = (q @ k.T / q.shape[1] ** 0.5).masked_fill(~allowed.T, float("-inf"))
                return fit.softmax(dim=1) @ v
            """, "attention_1", "attention_3"),
    ],
    right=[
        right("torch.softmax", """
            def attention(q, k, v, allowed):
                fit = torch.where(allowed, q @ k.T / q.shape[1] ** 0.5, -torch.inf)
                return torch.softmax(fit, dim=-1) @ v
            """),
        right("the library's attention", """
            def attention(q, k, v, allowed):
                library = torch.nn.functional.scaled_dot_product_attention
                return library(q[None], k[None], v[None], attn_mask=allowed)[0]
            """),
        right("position by position", """
            def attention(q, k, v, allowed):
                out = []
                for i in range(len(q)):
                    sees = allowed[i].nonzero()[:, 0]
                    fit = k[sees] @ q[i] / q.shape[1] ** 0.5
                    out.append(fit.softmax(0) @ v[sees])
                return torch.stack(out)
            """),
        right("float64", """
            def attention(q, k, v, allowed):
                q, k, v = q.double(), k.double(), v.double()
                fit = torch.einsum("id,jd->ij", q, k) / np.sqrt(q.size(1))
                fit[~allowed] = -1e30
                fit = fit - fit.max(dim=1, keepdim=True)[0]
                weights = fit.exp()
                return weights / weights.sum(dim=1, keepdim=True) @ v
            """),
        right("numpy", """
            def attention(q, k, v, allowed):
                q, k, v, allowed = (x.numpy() for x in (q, k, v, allowed))
                fit = np.where(allowed, q @ k.T / np.sqrt(q.shape[1]), -np.inf)
                weights = np.exp(fit - fit.max(axis=1, keepdims=True))
                return torch.tensor(weights / weights.sum(axis=1, keepdims=True) @ v)
            """),
        right("through the logarithm of the sum", """
            def attention(q, k, v, allowed):
                fit = (q / q.shape[1] ** 0.5) @ k.mT
                fit = fit + torch.zeros_like(fit).masked_fill(allowed.logical_not(), -torch.inf)
                return (fit - fit.logsumexp(dim=1, keepdim=True)).exp() @ v
            """),
        right("both sides scaled by the fourth root", """
            def attention(q, k, v, allowed):
                root = q.shape[-1] ** -0.25
                fit = torch.mm(q * root, (k * root).transpose(0, 1))
                fit.masked_fill_(~allowed, torch.finfo(fit.dtype).min)
                return torch.mm(torch.nn.functional.softmax(fit, dim=1), v)
            """),
        right("plain Python", """
            import math

            def attention(q, k, v, allowed):
                result = torch.zeros(len(q), v.shape[1])
                for i, row in enumerate(q.tolist()):
                    fits = {j: sum(a * b for a, b in zip(row, key)) / math.sqrt(len(row))
                            for j, key in enumerate(k.tolist()) if allowed[i, j]}
                    best = max(fits.values())
                    weights = {j: math.exp(fit - best) for j, fit in fits.items()}
                    for j, weight in weights.items():
                        result[i] += weight / sum(weights.values()) * v[j]
                return result
            """),
    ])

_LEAKS = """
    def find_leaks(reader, x):
        before = reader(x)
        leaks = torch.zeros(len(x), len(x), dtype=torch.bool)
        for j in {tokens}:
            changed = x.clone()
            changed[j] = {token}
            moved = (reader(changed) - before).abs().amax(dim=1) > {limit}
            {note}
        return leaks
    """


def hunt(tokens="range(len(x))", token="torch.randn(x.shape[1])", limit="1e-5",
         note="leaks[:j, j] = moved[:j]"):
    return _LEAKS.format(tokens=tokens, token=token, limit=limit, note=note)


_ALL = "find_leaks_1", "find_leaks_2", "find_leaks_3"
BANK["find_leaks"] = Question(
    wrong=[
        wrong("only the last token is changed", hunt(tokens="[len(x) - 1]"), *_ALL),
        wrong("outputs that may react are accused", hunt(note="leaks[:, j] = moved"), *_ALL),
        wrong("rows and columns exchanged", hunt(note="leaks[j, :j] = moved[:j]"), *_ALL),
        wrong("a shift of all coordinates", hunt(token="x[j] + 1"), "find_leaks_3"),
        wrong("a stretch of the token", hunt(token="3 * x[j]"), "find_leaks_3"),
        wrong("the limit is too high", hunt(limit="0.1"), "find_leaks_2"),
        wrong("only the output just before is watched",
              hunt(note="leaks[j - 1, j] = j > 0 and moved[j - 1]"), *_ALL),
        wrong("the token is not put back", """
            def find_leaks(reader, x):
                before = reader(x)
                leaks = torch.zeros(len(x), len(x), dtype=torch.bool)
                changed = x.clone()
                for j in range(len(x)):
                    changed[j] = torch.randn_like(x[j])
                    moved = (reader(changed) - before).abs().amax(dim=1) > 1e-5
                    leaks[:j, j] = moved[:j]
                return leaks
            """, *_ALL),
        wrong("the sequence that was given is changed", """
            def find_leaks(reader, x):
                before = reader(x)
                leaks = torch.zeros(len(x), len(x), dtype=torch.bool)
                for j in range(len(x) - 1, -1, -1):
                    x[j] = torch.randn_like(x[j])
                    after = reader(x)
                    leaks[:j, j] = ((after - before).abs().amax(dim=1) > 1e-5)[:j]
                    before = after
                return leaks
            """, "find_leaks_1"),
    ],
    right=[
        right("the Jacobian", """
            def find_leaks(reader, x):
                jacobian = torch.autograd.functional.jacobian(reader, x.clone())
                return (jacobian.abs().sum(dim=(1, 3)) > 1e-6).triu(1)
            """),
        right("many at once, with vmap", """
            def find_leaks(reader, x):
                eye = torch.eye(len(x))[:, :, None]
                others = x * (1 - eye) + torch.randn_like(x) * eye
                moved = torch.stack([reader(other) for other in others]) - reader(x)
                return (moved.abs().amax(dim=2).T > 1e-6).triu(diagonal=1)
            """),
        right("the token of a stranger", """
            def find_leaks(reader, x):
                rows = []
                stranger = torch.randn(x.shape, generator=torch.Generator().manual_seed(5))
                for j in range(len(x)):
                    keep = (torch.arange(len(x)) != j)[:, None]
                    moved = reader(torch.where(keep, x, stranger)) - reader(x)
                    rows.append(moved.norm(dim=1) > 1e-5)
                return torch.triu(torch.stack(rows, dim=1).int(), 1).bool()
            """),
        right("one coordinate at a time", """
            def find_leaks(reader, x):
                before, leaks = reader(x), torch.zeros(len(x), len(x)).bool()
                for j in range(len(x)):
                    for d in range(x.shape[1]):
                        changed = x.clone()
                        changed[j, d] += 2
                        for i in range(j):
                            if not torch.allclose(reader(changed)[i], before[i], atol=1e-5):
                                leaks[i, j] = True
                return leaks
            """),
        right("float64", """
            def find_leaks(reader, x):
                length, before = x.shape[0], reader(x.clone()).double()
                leaks = torch.full((length, length), False)
                for j in range(1, length):
                    changed = x.clone()
                    changed[j] = 3 * torch.rand(x.shape[1]) - 1
                    difference = (reader(changed).double() - before).square().sum(1).sqrt()
                    leaks[:, j] = (difference > 1e-5) & (torch.arange(length) < j)
                return leaks
            """),
        right("both ends of a line", """
            def find_leaks(reader, x):
                found = set()
                for j in range(len(x)):
                    up, down = x.clone(), x.clone()
                    push = torch.randn(x.shape[1])
                    up[j] += push
                    down[j] -= push
                    gap = (reader(up) - reader(down)).abs().max(dim=1).values
                    found |= {(i, j) for i in range(j) if gap[i] > 1e-5}
                leaks = torch.zeros(len(x), len(x), dtype=torch.bool)
                for i, j in found:
                    leaks[i, j] = True
                return leaks
            """),
        right("several tries, any of them", """
            def find_leaks(reader, x):
                n, before = len(x), reader(x)
                leaks = torch.zeros(n, n, dtype=torch.bool)
                for _ in range(3):
                    for j in range(n):
                        changed = torch.cat([x[:j], torch.randn_like(x[j:j + 1]), x[j + 1:]])
                        leaks[:, j] |= (reader(changed) - before).abs().sum(1) > 1e-5
                return leaks & torch.ones(n, n, dtype=torch.bool).triu(1)
            """),
        right("numpy", """
            def find_leaks(reader, x):
                before, rng = reader(x).numpy(), np.random.default_rng(0)
                leaks = np.zeros((len(x), len(x)), dtype=bool)
                for j in range(len(x)):
                    changed = x.numpy().copy()
                    changed[j] = rng.standard_normal(x.shape[1])
                    after = reader(torch.from_numpy(changed)).numpy()
                    leaks[:j, j] = np.abs(after - before).max(axis=1)[:j] > 1e-5
                return torch.from_numpy(leaks)
            """),
        right("tokens exchanged with a larger one", """
            def find_leaks(reader, x):
                g = torch.Generator().manual_seed(1)
                columns = []
                for j in range(len(x)):
                    other = x.clone()
                    other[j] = 10 * torch.rand(x.shape[1], generator=g)
                    columns.append((reader(other) != reader(x)).any(dim=1))
                place = torch.arange(len(x))
                return torch.stack(columns, 1) & (place[:, None] < place)
            """),
    ])

BANK["full_cross_entropy"] = Question(
    wrong=[
        wrong("the padding row competes", """
            def full_cross_entropy(vectors, target, table):
                scores = vectors.flatten(0, 1) @ table.T
                return torch.nn.functional.cross_entropy(scores, target.flatten(), ignore_index=0)
            """, "full_cross_entropy_1", "full_cross_entropy_2", "full_cross_entropy_3"),
        wrong("the last row is left out, not the first", """
            def full_cross_entropy(vectors, target, table):
                real = target > 0
                scores = vectors[real] @ table[:-1].T
                return torch.nn.functional.cross_entropy(scores, target[real] - 1)
            """, "full_cross_entropy_2", "full_cross_entropy_3", "full_cross_entropy_5"),
        wrong("the sum over the tokens", """
            def full_cross_entropy(vectors, target, table):
                real = target > 0
                scores = vectors[real] @ table[1:].T
                return torch.nn.functional.cross_entropy(scores, target[real] - 1, reduction="sum")
            """, "full_cross_entropy_1", "full_cross_entropy_2", "full_cross_entropy_4"),
        wrong("divided by all positions", """
            def full_cross_entropy(vectors, target, table):
                logs = (vectors @ table[1:].T).log_softmax(-1)
                own = logs.gather(-1, (target - 1).clamp(min=0)[..., None])[..., 0]
                return -(own * (target > 0)).mean()
            """, "full_cross_entropy_4"),
        wrong("the mean of the users' means", """
            def full_cross_entropy(vectors, target, table):
                logs = (vectors @ table[1:].T).log_softmax(-1)
                own = logs.gather(-1, (target - 1).clamp(min=0)[..., None])[..., 0]
                real = (target > 0).float()
                return -((own * real).sum(1) / real.sum(1)).mean()
            """, "full_cross_entropy_4"),
        wrong("padding is taken for item 1", """
            def full_cross_entropy(vectors, target, table):
                scores = vectors.flatten(0, 1) @ table[1:].T
                target = target.flatten().clamp(min=1) - 1
                return torch.nn.functional.cross_entropy(scores, target)
            """, "full_cross_entropy_3", "full_cross_entropy_4"),
        wrong("the logarithm of a sum of exps", """
            def full_cross_entropy(vectors, target, table):
                real = target > 0
                e = (vectors[real] @ table[1:].T).exp()
                own = e.gather(1, target[real][:, None] - 1)[:, 0]
                return -(own / e.sum(1)).log().mean()
            """, "full_cross_entropy_5"),
        wrong("the logarithm of the mean probability", """
            def full_cross_entropy(vectors, target, table):
                real = target > 0
                p = (vectors[real] @ table[1:].T).double().softmax(1)
                own = p.gather(1, target[real][:, None] - 1)
                return -own.mean().clamp(min=1e-300).log()
            """, "full_cross_entropy_2", "full_cross_entropy_4", "full_cross_entropy_5"),
        wrong("bits", """
            def full_cross_entropy(vectors, target, table):
                real = target > 0
                logs = (vectors[real] @ table[1:].T).log_softmax(1) / np.log(2)
                return -logs.gather(1, target[real][:, None] - 1).mean()
            """, "full_cross_entropy_1", "full_cross_entropy_2", "full_cross_entropy_5"),
    ],
    right=[
        right("PyTorch's cross-entropy on the real tokens", """
            def full_cross_entropy(vectors, target, table):
                real = target != 0
                scores = vectors[real] @ table[1:].T
                return torch.nn.functional.cross_entropy(scores, target[real] - 1)
            """),
        right("padding as the index to ignore", """
            def full_cross_entropy(vectors, target, table):
                scores = vectors.reshape(-1, vectors.shape[-1]) @ table[1:].T
                criterion = torch.nn.CrossEntropyLoss(ignore_index=-1)
                return criterion(scores, target.reshape(-1) - 1)
            """),
        right("the padding's score is −∞", """
            def full_cross_entropy(vectors, target, table):
                scores = vectors @ table.T
                scores[..., 0] = -torch.inf
                logs = scores.log_softmax(dim=-1)
                own = logs.gather(-1, target.unsqueeze(-1)).squeeze(-1)
                return -own[target > 0].mean()
            """),
        right("sum and count", """
            def full_cross_entropy(vectors, target, table):
                real = target > 0
                logs = torch.einsum("bld,nd->bln", vectors, table[1:]).log_softmax(-1)
                picked = torch.nn.functional.one_hot(target, len(table))[..., 1:]
                return -(logs * picked).sum() / real.sum()
            """),
        right("token by token", """
            def full_cross_entropy(vectors, target, table):
                costs = []
                for row, answers in zip(vectors, target.tolist()):
                    for r, answer in zip(row, answers):
                        if answer:
                            scores = table[1:] @ r
                            best = scores.max()
                            total = (scores - best).exp().sum().log() + best
                            costs.append(total - scores[answer - 1])
                return torch.stack(costs).mean()
            """),
        right("differences to the right score", """
            def full_cross_entropy(vectors, target, table):
                r, y = vectors[target > 0], target[target > 0]
                own = (r * table[y]).sum(-1, keepdim=True)
                return (r @ table[1:].T - own).logsumexp(-1).mean()
            """),
        right("float64", """
            def full_cross_entropy(vectors, target, table):
                keep = target.flatten().nonzero()[:, 0]
                r = vectors.double().flatten(0, 1)[keep]
                logs = (r @ table[1:].double().T).log_softmax(1)
                return torch.nn.functional.nll_loss(logs, target.flatten()[keep] - 1)
            """),
        right("the table cut in pieces", """
            def full_cross_entropy(vectors, target, table):
                r, y = vectors[target > 0], target[target > 0]
                total = torch.full((len(r),), -torch.inf)
                for piece in table[1:].split(3):
                    total = torch.logaddexp(total, (r @ piece.T).logsumexp(1))
                return (total - (r * table[y]).sum(1)).mean()
            """),
        right("users weighed by their tokens", """
            def full_cross_entropy(vectors, target, table):
                loss, tokens = 0.0, 0
                for r, y in zip(vectors, target):
                    n = int((y > 0).sum())
                    scores = r[y > 0] @ table[1:].T
                    loss = loss + n * torch.nn.functional.cross_entropy(scores, y[y > 0] - 1)
                    tokens += n
                return loss / tokens
            """),
    ])

BANK["places"] = Question(
    wrong=[
        wrong("ties for the model", """
            def places(scores, answers):
                own = scores.gather(1, answers[:, None] - 1)
                return (scores > own).sum(dim=1)
            """, "places_2"),
        wrong("the answer is its own rival: counted from 1", """
            def places(scores, answers):
                own = scores.gather(1, answers[:, None] - 1)
                return (scores >= own).sum(dim=1)
            """, "places_1", "places_2"),
        wrong("the neighbour's column", """
            def places(scores, answers):
                own = scores.gather(1, answers[:, None] % scores.shape[1])
                return (scores >= own).sum(dim=1) - 1
            """, "places_1", "places_2"),
        wrong("the list upside down", """
            def places(scores, answers):
                own = scores.gather(1, answers[:, None] - 1)
                return (scores <= own).sum(dim=1) - 1
            """, "places_1", "places_2"),
        wrong("the sort breaks the ties", """
            def places(scores, answers):
                order = scores.argsort(dim=1, descending=True, stable=True)
                return (order == answers[:, None] - 1).int().argmax(dim=1)
            """, "places_2"),
        wrong("the order, not the place in it", """
            def places(scores, answers):
                order = scores.argsort(dim=1, descending=True)
                return order.gather(1, answers[:, None] - 1)[:, 0]
            """, "places_1", "places_2"),
        wrong("half of the ties", """
            def places(scores, answers):
                own = scores.gather(1, answers[:, None] - 1)
                level = (scores == own).sum(dim=1) - 1
                return (scores > own).sum(dim=1) + level // 2
            """, "places_2"),
        wrong("the place of the example", """
            def places(scores, answers):
                return torch.full((len(scores),), 2)
            """, "places_1", "places_2"),
    ],
    right=[
        right("at least as high, without itself", """
            def places(scores, answers):
                own = scores[torch.arange(len(scores)), answers - 1]
                return (scores >= own[:, None]).sum(dim=1) - 1
            """),
        right("a loop in Python", """
            def places(scores, answers):
                result = []
                for row, answer in zip(scores.tolist(), answers.tolist()):
                    own = row[answer - 1]
                    ahead = [s for item, s in enumerate(row, 1) if item != answer and s >= own]
                    result.append(len(ahead))
                return torch.tensor(result)
            """),
        right("sorted, with the answer last among its equals", """
            def places(scores, answers):
                found = []
                for row, answer in zip(scores.tolist(), answers.tolist()):
                    items = sorted(range(1, len(row) + 1), key=lambda i: (-row[i - 1], i == answer))
                    found.append(items.index(answer))
                return torch.tensor(found)
            """),
        right("searchsorted", """
            def places(scores, answers):
                own = scores.gather(1, answers.unsqueeze(1) - 1).contiguous()
                rising = scores.sort(dim=1).values
                lower = torch.searchsorted(rising, own, right=False).squeeze(1)
                return scores.shape[1] - lower - 1
            """),
        right("the places of all items, and one of them picked", """
            def places(scores, answers):
                all_places = (scores[:, None, :] >= scores[:, :, None]).sum(dim=2) - 1
                return all_places[range(len(answers)), answers - 1]
            """),
        right("numpy", """
            def places(scores, answers):
                scores, answers = scores.numpy(), answers.numpy()
                own = np.take_along_axis(scores, answers[:, None] - 1, axis=1)
                return torch.from_numpy((scores >= own).sum(axis=1) - 1)
            """),
        right("what is not lower", """
            def places(scores, answers):
                item = torch.nn.functional.one_hot(answers - 1, scores.shape[1]).bool()
                own = scores[item].unsqueeze(1)
                return scores.shape[1] - 1 - (scores < own).sum(1)
            """),
        right("the answer's score is lowered by a hair", """
            def places(scores, answers):
                scores = scores.double()
                column = answers[:, None] - 1
                own = scores.gather(1, column)
                lowered = scores.scatter(1, column, own - 0.5 * torch.ones_like(own))
                return (lowered > own - 0.25).sum(dim=1).to(torch.int64)
            """),
    ])

BANK["hr_and_ndcg"] = Question(
    wrong=[
        wrong("place K still counts", """
            def hr_and_ndcg(places, k):
                hit = (places <= k).double()
                return hit.mean().item(), (hit / torch.log2(places + 2.0)).mean().item()
            """, "hr_and_ndcg_1", "hr_and_ndcg_3"),
        wrong("the natural logarithm", """
            def hr_and_ndcg(places, k):
                hit = (places < k).double()
                return hit.mean().item(), (hit / torch.log(places + 2.0)).mean().item()
            """, "hr_and_ndcg_2"),
        wrong("log₂(p + 1), as if places counted from 1", """
            def hr_and_ndcg(places, k):
                hit = (places < k).double()
                gain = hit / torch.log2(places.double() + 1)
                return hit.mean().item(), gain.mean().item()
            """, "hr_and_ndcg_2"),
        wrong("NDCG is not cut off", """
            def hr_and_ndcg(places, k):
                hit = (places < k).double()
                return hit.mean().item(), (1 / torch.log2(places + 2.0)).mean().item()
            """, "hr_and_ndcg_3"),
        wrong("NDCG is a mean over the hits", """
            def hr_and_ndcg(places, k):
                hit = places < k
                gain = 1 / torch.log2(places[hit].double() + 2)
                return hit.double().mean().item(), gain.mean().item()
            """, "hr_and_ndcg_3"),
        wrong("divided by K right answers", """
            def hr_and_ndcg(places, k):
                hit = (places < k).double()
                best = (1 / torch.log2(torch.arange(k) + 2.0)).sum()
                gain = hit / torch.log2(places + 2.0) / best
                return hit.mean().item(), gain.mean().item()
            """, "hr_and_ndcg_2"),
        wrong("the reciprocal rank", """
            def hr_and_ndcg(places, k):
                hit = (places < k).double()
                return hit.mean().item(), (hit / (places + 1)).mean().item()
            """, "hr_and_ndcg_2"),
        wrong("precision for the hit rate", """
            def hr_and_ndcg(places, k):
                hit = (places < k).double()
                return hit.mean().item() / k, (hit / torch.log2(places + 2.0)).mean().item()
            """, "hr_and_ndcg_1"),
        wrong("reads a global K", """
            K = 10

            def hr_and_ndcg(places, k):
                hit = (places < K).double()
                return hit.mean().item(), (hit / torch.log2(places + 2.0)).mean().item()
            """, "hr_and_ndcg_1", "hr_and_ndcg_3"),
    ],
    right=[
        right("a loop", """
            import math

            def hr_and_ndcg(places, k):
                hits = gain = 0
                for p in places.tolist():
                    if p < k:
                        hits += 1
                        gain += 1 / math.log2(p + 2)
                return hits / len(places), gain / len(places)
            """),
        right("numpy", """
            def hr_and_ndcg(places, k):
                p = np.asarray(places)
                gain = np.where(p < k, 1 / np.log2(p + 2.0), 0.0)
                return np.mean(p < k), gain.mean()
            """),
        right("tensors are returned", """
            def hr_and_ndcg(places, k):
                hit = places.lt(k).float()
                return hit.mean(), hit.div(places.float().add(2).log2()).mean()
            """),
        right("a table of gains", """
            def hr_and_ndcg(places, k):
                table = torch.zeros(max(int(places.max()) + 1, k), dtype=torch.float64)
                table[:k] = 1 / torch.log2(torch.arange(k, dtype=torch.float64) + 2)
                worth = table[places]
                return (worth > 0).double().mean().item(), worth.mean().item()
            """),
        right("counted place by place", """
            def hr_and_ndcg(places, k):
                counts = torch.bincount(places, minlength=k)[:k].double() / len(places)
                discount = torch.log2(torch.arange(2, k + 2).double())
                return counts.sum().item(), (counts / discount).sum().item()
            """),
        right("the general definition, a list for every user", """
            def hr_and_ndcg(places, k):
                relevant = (places[:, None] == torch.arange(k)).double()
                discount = 1 / torch.log2(torch.arange(k).double() + 2)
                return relevant.sum(1).mean().item(), (relevant @ discount).mean().item()
            """),
        right("natural logarithms, divided", """
            def hr_and_ndcg(places, k):
                hits = places[places < k].double()
                ndcg = (np.log(2) / torch.log(hits + 2)).sum() / len(places)
                return len(hits) / len(places), float(ndcg)
            """),
        right("clamped places, the last of which earns nothing", """
            def hr_and_ndcg(places, k):
                p = places.clamp(max=k)
                gains = torch.cat([1 / torch.log2(torch.arange(2, k + 2).double()), torch.zeros(1)])
                return 1 - (p == k).double().mean().item(), gains[p].mean().item()
            """),
        right("a dictionary, returned as a list", """
            def hr_and_ndcg(places, k):
                worth = {p: 1 / np.log2(p + 2) for p in range(k)}
                gains = [worth.get(int(p), 0.0) for p in places]
                return [sum(g > 0 for g in gains) / len(gains), sum(gains) / len(gains)]
            """),
    ])

_MARKS = """
    own = my_scores[np.arange(8), my_answers - 1][:, None]
    place = {place}
    gain = {gain}
    my_marks = {marks}
    """


def marks(place="(my_scores >= own).sum(axis=1) - 1", gain="(place < 4) / np.log2(place + 2)",
          marks="np.mean(place < 4), gain.mean()"):
    return _MARKS.format(place=place, gain=gain, marks=marks)


BANK["my_marks"] = Question(
    wrong=[
        wrong("ties for the model", marks(place="(my_scores > own).sum(axis=1)"),
              "my_marks_1", "my_marks_2"),
        wrong("places from 1", marks(place="(my_scores >= own).sum(axis=1)"),
              "my_marks_1", "my_marks_2"),
        wrong("the natural logarithm", marks(gain="(place < 4) / np.log(place + 2)"), "my_marks_2"),
        wrong("copied from Ada", "my_marks = (0.5, 0.258)", "my_marks_1", "my_marks_2"),
        wrong("a mean over the hits", marks(marks="np.mean(place < 4), gain[place < 4].mean()"),
              "my_marks_2"),
        wrong("NDCG is not cut off", marks(gain="1 / np.log2(place + 2)"), "my_marks_2"),
        wrong("the sort breaks the ties", """
            order = np.argsort(-my_scores, axis=1, kind="stable")
            place = (order == my_answers[:, None] - 1).argmax(axis=1)
            my_marks = np.mean(place < 4), np.mean((place < 4) / np.log2(place + 2))
            """, "my_marks_1", "my_marks_2"),
    ],
    right=[
        right("written down", "my_marks = (0.25, 0.133)"),
        right("a list of floats", marks(marks="[float(np.mean(place < 4)), float(gain.mean())]")),
        right("rounded to three digits",
              marks(marks="round(np.mean(place < 4), 3), round(gain.mean(), 3)")),
        right("better and level, counted apart",
              marks(place="(my_scores > own).sum(1) + (my_scores == own).sum(1) - 1")),
        right("torch", """
            scores, answers = torch.tensor(my_scores), torch.tensor(my_answers)
            place = (scores >= scores.gather(1, answers[:, None] - 1)).sum(1) - 1
            my_marks = (place < 4).double().mean(), ((place < 4) / torch.log2(place + 2.0)).mean()
            """),
        right("user by user", """
            hr = ndcg = 0
            for row, answer in zip(my_scores, my_answers):
                p = sum(s >= row[answer - 1] for s in row) - 1
                if p < 4:
                    hr, ndcg = hr + 1, ndcg + 1 / np.log2(p + 2)
            my_marks = hr / 8, ndcg / 8
            """),
        right("an array", """
            ahead = (my_scores >= np.choose(my_answers - 1, my_scores.T)[:, None]).sum(1)
            gains = np.array([0, 1, 1 / np.log2(3), 0.5, 1 / np.log2(5), 0, 0, 0, 0, 0, 0])[ahead]
            my_marks = np.array([(gains > 0).mean(), gains.mean()])
            """),
    ])
