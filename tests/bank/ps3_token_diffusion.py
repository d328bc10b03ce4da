"Wrong and right answers to problem set 3."
from grading import Question, Right, Wrong

BANK = {
    "draw_steps": Question(
        wrong=[
            Wrong("step 0 is never drawn", """
def draw_steps(users, length, steps, level, generator):
    if level == "token":
        return torch.randint(1, steps, (users, length), generator=generator)
    return torch.randint(1, steps, (users, 1), generator=generator).repeat(1, length)
""", {"draw_steps_1"}),
            Wrong("one step for each sequence at both levels", """
def draw_steps(users, length, steps, level, generator):
    return torch.randint(steps, (users, 1), generator=generator).expand(users, length)
""", {"draw_steps_2"}),
            Wrong("one step for each position, the same for all users", """
def draw_steps(users, length, steps, level, generator):
    if level == "token":
        return torch.randint(steps, (1, length), generator=generator).repeat(users, 1)
    return torch.randint(steps, (1, 1), generator=generator).repeat(users, length)
""", {"draw_steps_1", "draw_steps_2", "draw_steps_3"}),
            Wrong("the generator is not used", """
def draw_steps(users, length, steps, level, generator):
    if level == "token":
        return torch.randint(steps, (users, length))
    return torch.randint(steps, (users, 1)).repeat(1, length)
""", {"draw_steps_4"}),
            Wrong("rounded where it should be cut", """
def draw_steps(users, length, steps, level, generator):
    width = length if level == "token" else 1
    drawn = torch.rand(users, width, generator=generator) * (steps - 1)
    return drawn.round().long().repeat(1, length // width)
""", {"draw_steps_1"}),
            Wrong("sorted, so that later tokens are noisier", """
def draw_steps(users, length, steps, level, generator):
    if level == "token":
        return torch.randint(steps, (users, length), generator=generator).sort(dim=1).values
    return torch.randint(steps, (users, 1), generator=generator).repeat(1, length)
""", {"draw_steps_2"}),
        ],
        right=[
            Right("expanded in place of repeated", """
def draw_steps(users, length, steps, level, generator):
    width = length if level == "token" else 1
    return torch.randint(0, steps, (users, width), generator=generator).expand(users, length)
"""),
            Right("uniform numbers, cut", """
def draw_steps(users, length, steps, level, generator):
    drawn = torch.rand((users, length), generator=generator, dtype=torch.float64)
    if level == "sequence": drawn = drawn[:, :1].expand(-1, length)
    return (drawn * steps).floor().to(torch.int64)
"""),
            Right("drawn for all tokens, first one copied", """
def draw_steps(users, length, steps, level, generator):
    drawn = torch.randint(steps, (users, length), generator=generator)
    if level == "sequence": drawn[:] = drawn[:, [0]].clone()
    return drawn
"""),
            Right("in a loop over users", """
def draw_steps(users, length, steps, level, generator):
    rows = []
    for _ in range(users):
        width = length if level == "token" else 1
        rows.append(torch.randint(steps, (width,), generator=generator).expand(length))
    return torch.stack(rows)
"""),
            Right("weights for a lottery", """
def draw_steps(users, length, steps, level, generator):
    many = users * length if level == "token" else users
    drawn = torch.multinomial(torch.ones(steps), many, replacement=True, generator=generator)
    return drawn.view(users, -1).repeat(1, length if level == "sequence" else 1)
"""),
            Right("filled in place", """
def draw_steps(users, length, steps, level, generator):
    if level == "token":
        return torch.empty(users, length, dtype=torch.long).random_(steps, generator=generator)
    one = torch.empty(users, dtype=torch.long).random_(0, steps, generator=generator)
    return torch.stack([one] * length, dim=1)
"""),
        ]),
    "noise_targets": Question(
        wrong=[
            Wrong("ᾱ without its roots", """
def noise_targets(x0, t, eps, alpha_bar):
    kept = alpha_bar[t][..., None]
    return kept * x0 + (1 - kept) * eps
""", {"noise_targets_1"}),
            Wrong("the step of the first token for all", """
def noise_targets(x0, t, eps, alpha_bar):
    kept = alpha_bar[t[:, 0]][:, None, None]
    return kept.sqrt() * x0 + (1 - kept).sqrt() * eps
""", {"noise_targets_1", "noise_targets_2", "noise_targets_3"}),
            Wrong("spread over tokens in place of coordinates", """
def noise_targets(x0, t, eps, alpha_bar):
    kept = alpha_bar[t]
    kept = kept[:, None, :] if x0.shape[1] == x0.shape[2] else kept[:, :, None]
    return kept.sqrt() * x0 + (1 - kept).sqrt() * eps
""", {"noise_targets_2"}),
            Wrong("new noise is drawn", """
def noise_targets(x0, t, eps, alpha_bar):
    kept = alpha_bar[t].unsqueeze(-1)
    return kept.sqrt() * x0 + (1 - kept).sqrt() * torch.randn_like(x0)
""", {"noise_targets_3"}),
            Wrong("1−√ᾱ for the size of the noise", """
def noise_targets(x0, t, eps, alpha_bar):
    kept = alpha_bar[t].unsqueeze(-1)
    return kept.sqrt() * x0 + (1 - kept.sqrt()) * eps
""", {"noise_targets_1"}),
            Wrong("noise is added and nothing shrinks", """
def noise_targets(x0, t, eps, alpha_bar):
    return x0 + (1 - alpha_bar[t].unsqueeze(-1)).sqrt() * eps
""", {"noise_targets_1", "noise_targets_3"}),
        ],
        right=[
            Right("two tables first", """
def noise_targets(x0, t, eps, alpha_bar):
    signal, noise = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    return signal[t][..., None] * x0 + noise[t][..., None] * eps
"""),
            Right("token by token", """
def noise_targets(x0, t, eps, alpha_bar):
    out = torch.empty_like(x0)
    for u in range(t.shape[0]):
        for i in range(t.shape[1]):
            kept = alpha_bar[t[u, i]]
            out[u, i] = kept ** 0.5 * x0[u, i] + (1 - kept) ** 0.5 * eps[u, i]
    return out
"""),
            Right("einsum", """
def noise_targets(x0, t, eps, alpha_bar):
    kept, rule = alpha_bar[t], "bl,bld->bld"
    return torch.einsum(rule, kept.sqrt(), x0) + torch.einsum(rule, (1 - kept).sqrt(), eps)
"""),
            Right("in float64", """
def noise_targets(x0, t, eps, alpha_bar):
    kept = torch.take(alpha_bar.double(), t).reshape(*t.shape, 1)
    return (kept.sqrt() * x0.double() + torch.sqrt(1 - kept) * eps.double()).to(x0.dtype)
"""),
            Right("as an embedding", """
def noise_targets(x0, t, eps, alpha_bar):
    both = F.embedding(t, torch.stack([alpha_bar, 1 - alpha_bar], dim=1)).sqrt()
    return both[..., :1] * x0 + both[..., 1:] * eps
"""),
            Right("flat, and shaped again", """
def noise_targets(x0, t, eps, alpha_bar):
    kept = alpha_bar.gather(0, t.flatten()).view(-1, 1)
    flat = kept.pow(0.5) * x0.flatten(0, 1) + (1 - kept).pow(0.5) * eps.flatten(0, 1)
    return flat.view_as(x0)
"""),
        ]),
    "adrec_losses": Question(
        wrong=[
            Wrong("padding competes as an item", """
def adrec_losses(x0_hat, target, table):
    real = target > 0
    cross_entropy = F.cross_entropy(x0_hat[real] @ table.T, target[real])
    per_place = ((x0_hat - table[target]) ** 2).mean(dim=-1) * real
    return cross_entropy, (per_place.sum(dim=1) / real.sum(dim=1)).mean()
""", {"adrec_losses_1", "adrec_losses_4"}),
            Wrong("squared error averaged over tokens", """
def adrec_losses(x0_hat, target, table):
    real = target > 0
    cross_entropy = F.cross_entropy(x0_hat[real] @ table[1:].T, target[real] - 1)
    return cross_entropy, ((x0_hat - table[target])[real] ** 2).mean()
""", {"adrec_losses_3"}),
            Wrong("squared error summed over the coordinates", """
def adrec_losses(x0_hat, target, table):
    real = target > 0
    cross_entropy = F.cross_entropy(x0_hat[real] @ table[1:].T, target[real] - 1)
    per_place = ((x0_hat - table[target]) ** 2).sum(dim=-1) * real
    return cross_entropy, (per_place.sum(dim=1) / real.sum(dim=1)).mean()
""", {"adrec_losses_3"}),
            Wrong("padded places count", """
def adrec_losses(x0_hat, target, table):
    scores = x0_hat @ table[1:].T
    cross_entropy = F.cross_entropy(scores.flatten(0, 1), (target.flatten() - 1).clamp(min=0))
    return cross_entropy, ((x0_hat - table[target]) ** 2).mean()
""", {"adrec_losses_2", "adrec_losses_4"}),
            Wrong("cross-entropy averaged within users first", """
def adrec_losses(x0_hat, target, table):
    real = target > 0
    log_p = (x0_hat @ table[1:].T).log_softmax(dim=-1)
    surprise = -log_p.gather(-1, (target - 1).clamp(min=0)[..., None])[..., 0] * real
    per_place = ((x0_hat - table[target]) ** 2).mean(dim=-1) * real
    return (surprise.sum(1) / real.sum(1)).mean(), (per_place.sum(1) / real.sum(1)).mean()
""", {"adrec_losses_4"}),
            Wrong("the targets are detached", """
def adrec_losses(x0_hat, target, table):
    real = target > 0
    cross_entropy = F.cross_entropy(x0_hat[real] @ table[1:].T, target[real] - 1)
    per_place = ((x0_hat - table[target].detach()) ** 2).mean(dim=-1) * real
    return cross_entropy, (per_place.sum(dim=1) / real.sum(dim=1)).mean()
""", {"adrec_losses_5"}),
        ],
        right=[
            Right("user by user", """
def adrec_losses(x0_hat, target, table):
    surprise, errors = [], []
    for guess, items in zip(x0_hat, target):
        n = int((items > 0).sum())
        surprise.append(F.cross_entropy(guess[:n] @ table[1:].T, items[:n] - 1, reduction="none"))
        errors.append(F.mse_loss(guess[:n], table[items[:n]]))
    return torch.cat(surprise).mean(), torch.stack(errors).mean()
"""),
            Right("ignore_index", """
def adrec_losses(x0_hat, target, table):
    scores = x0_hat @ table[1:].T
    cross_entropy = F.cross_entropy(scores.transpose(1, 2), target - 1, ignore_index=-1)
    real = (target != 0).float()
    error = F.mse_loss(x0_hat, table[target], reduction="none").mean(-1)
    return cross_entropy, ((error * real).sum(1) / real.sum(1)).mean()
"""),
            Right("row 0 scored with −∞", """
def adrec_losses(x0_hat, target, table):
    scores, real = x0_hat @ table.T, target.ne(0)
    scores = torch.cat([torch.full_like(scores[..., :1], float("-inf")), scores[..., 1:]], dim=-1)
    surprise = -scores[real].log_softmax(-1)[torch.arange(int(real.sum())), target[real]]
    weights = real / real.sum(1, keepdim=True) / len(target) / table.shape[1]
    return surprise.mean(), (weights[..., None] * (x0_hat - table[target]).square()).sum()
"""),
            Right("logsumexp, in float64", """
def adrec_losses(x0_hat, target, table):
    x, items, real = x0_hat.double(), table.double(), target > 0
    all_scores = torch.einsum("bld,nd->bln", x, items[1:])
    own = (x * items[target]).sum(-1)
    cross_entropy = (all_scores.logsumexp(-1) - own)[real].mean()
    error = torch.where(real, (x - items[target]).pow(2).mean(-1), torch.zeros(()).double())
    return cross_entropy.float(), (error.sum(1) / real.sum(1)).mean().float()
"""),
            Right("nll_loss and a masked difference", """
def adrec_losses(x0_hat, target, table):
    real = target > 0
    log_p = F.log_softmax(x0_hat[real] @ table[1:].T, dim=1)
    gap = (x0_hat - F.embedding(target, table)) * real[..., None]
    per_user = gap.norm(dim=-1).square().sum(1) / real.count_nonzero(dim=1) / gap.shape[-1]
    return F.nll_loss(log_p, target[real] - 1), per_user.sum() / len(per_user)
"""),
            Right("sum over count", """
def adrec_losses(x0_hat, target, table):
    lengths = (target > 0).sum(1)
    real = torch.arange(target.shape[1]) < lengths[:, None]
    total = F.cross_entropy(x0_hat[real] @ table[1:].mT, target[real] - 1, reduction="sum")
    users = torch.arange(len(target))[:, None].expand_as(target)[real]
    error = ((x0_hat[real] - table[target[real]]) ** 2).mean(1)
    per_user = torch.zeros(len(target)).index_add(0, users, error) / lengths
    return total / lengths.sum(), per_user.mean()
"""),
        ]),
    "denoise_last": Question(
        wrong=[
            Wrong("the step of the open token is given to all", """
def denoise_last(known, denoise, a, b, s, noise):
    x = noise[0]
    for i, t in enumerate(reversed(range(len(a)))):
        steps = torch.full((len(known), known.shape[1] + 1), t)
        guess = denoise(torch.cat([known, x[:, None]], 1), steps)[:, -1]
        x = a[t] * guess + b[t] * x + s[t] * noise[i + 1]
    return x
""", {"denoise_last_1"}),
            Wrong("no fresh noise on the way", """
def denoise_last(known, denoise, a, b, s, noise):
    x, steps = noise[0], torch.zeros(len(known), known.shape[1] + 1, dtype=torch.int64)
    for t in reversed(range(len(a))):
        steps[:, -1] = t
        x = a[t] * denoise(torch.cat([known, x[:, None]], 1), steps)[:, -1] + b[t] * x
    return x
""", {"denoise_last_3", "denoise_last_4"}),
            Wrong("the walk stops at step 1", """
def denoise_last(known, denoise, a, b, s, noise):
    x, steps = noise[0], torch.zeros(len(known), known.shape[1] + 1, dtype=torch.int64)
    for i, t in enumerate(range(len(a) - 1, 0, -1)):
        steps[:, -1] = t
        guess = denoise(torch.cat([known, x[:, None]], 1), steps)[:, -1]
        x = a[t] * guess + b[t] * x + s[t] * noise[i + 1]
    return x
""", {"denoise_last_1", "denoise_last_2", "denoise_last_4"}),
            Wrong("the weights are exchanged", """
def denoise_last(known, denoise, a, b, s, noise):
    x, steps = noise[0], torch.zeros(len(known), known.shape[1] + 1, dtype=torch.int64)
    for i, t in enumerate(reversed(range(len(a)))):
        steps[:, -1] = t
        guess = denoise(torch.cat([known, x[:, None]], 1), steps)[:, -1]
        x = b[t] * guess + a[t] * x + s[t] * noise[i + 1]
    return x
""", {"denoise_last_2", "denoise_last_3", "denoise_last_4"}),
            Wrong("the history is noised, too", """
def denoise_last(known, denoise, a, b, s, noise):
    x, steps = noise[0], torch.zeros(len(known), known.shape[1] + 1, dtype=torch.int64)
    for i, t in enumerate(reversed(range(len(a)))):
        steps[:, -1] = t
        past = known + s[t] * noise[i + 1][:, None]
        guess = denoise(torch.cat([past, x[:, None]], 1), steps)[:, -1]
        x = a[t] * guess + b[t] * x + s[t] * noise[i + 1]
    return x
""", {"denoise_last_1", "denoise_last_3"}),
            Wrong("the noise counted by t", """
def denoise_last(known, denoise, a, b, s, noise):
    x, steps = noise[0], torch.zeros(len(known), known.shape[1] + 1, dtype=torch.int64)
    for t in reversed(range(len(a))):
        steps[:, -1] = t
        guess = denoise(torch.cat([known, x[:, None]], 1), steps)[:, -1]
        x = a[t] * guess + b[t] * x + s[t] * noise[t]
    return x
""", {"denoise_last_4"}),
        ],
        right=[
            Right("padded steps, F.pad", """
def denoise_last(known, denoise, a, b, s, noise):
    x, T = noise[0], len(a)
    for t in range(T - 1, -1, -1):
        steps = F.pad(torch.full((len(known), 1), t), (known.shape[1], 0))
        guess = denoise(torch.cat((known, x.unsqueeze(1)), dim=1), steps)[:, -1, :]
        x = a[t] * guess + b[t] * x + s[t] * noise[T - t]
    return x
"""),
            Right("written into one sequence", """
def denoise_last(known, denoise, a, b, s, noise):
    sequence = F.pad(known, (0, 0, 0, 1))
    sequence[:, -1] = noise[0]
    for i in range(len(a)):
        t = len(a) - 1 - i
        steps = torch.zeros(sequence.shape[:2], dtype=torch.long)
        steps[:, -1] = t
        guess = denoise(sequence, steps)[:, -1]
        sequence = sequence.clone()
        sequence[:, -1] = a[t] * guess + b[t] * sequence[:, -1] + s[t] * noise[1 + i]
    return sequence[:, -1]
"""),
            Right("tables turned round, and zipped", """
def denoise_last(known, denoise, a, b, s, noise):
    x, T = noise[0], len(a)
    for t, at, bt, st, fresh in zip(range(T)[::-1], a.flip(0), b.flip(0), s.flip(0), noise[1:]):
        steps = torch.hstack([torch.zeros(known.shape[:2]).long(), torch.full((len(known), 1), t)])
        x = bt * x + at * denoise(torch.cat([known, x[:, None]], 1), steps)[:, -1] + st * fresh
    return x
"""),
            Right("recursion", """
def denoise_last(known, denoise, a, b, s, noise):
    def down(x, t, rest):
        if t < 0: return x
        last = torch.arange(known.shape[1] + 1) == known.shape[1]
        steps = last.long().expand(len(known), -1) * t
        guess = denoise(torch.cat([known, x[:, None]], dim=1), steps)[:, -1]
        return down(a[t] * guess + b[t] * x + s[t] * rest[0], t - 1, rest[1:])
    return down(noise[0], len(a) - 1, noise[1:])
"""),
            Right("in float64, returned as it came", """
def denoise_last(known, denoise, a, b, s, noise):
    x = noise[0].double()
    for t in reversed(range(len(a))):
        steps = torch.zeros(known.shape[0], known.shape[1] + 1, dtype=torch.int64)
        steps[:, -1] = t
        guess = denoise(torch.cat([known, x[:, None].to(known.dtype)], dim=1), steps)[:, -1]
        x = a[t].double() * guess + b[t].double() * x + s[t].double() * noise[len(a) - t]
    return x.to(noise.dtype)
"""),
            Right("no noise is touched at step 0", """
def denoise_last(known, denoise, a, b, s, noise):
    users, length, width = known.shape
    x, fresh = noise[0], iter(noise[1:])
    for t in torch.arange(len(a)).flip(0).tolist():
        steps = torch.tensor([[0] * length + [t]] * users)
        guess = denoise(torch.hstack([known, x.view(users, 1, width)]), steps)[:, length]
        x = a[t] * guess + b[t] * x
        if t > 0: x = x + s[t] * next(fresh)
    return x
"""),
        ]),
    "read_one": Question(
        wrong=[
            Wrong("divided by D in place of √D", """
def read_one(token, cache, weights):
    q, k, v = ((token @ w)[:, None] for w in weights)
    keys, values = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
    fit = q @ keys.mT / token.shape[-1]
    return (fit.softmax(-1) @ values)[:, 0], (keys, values)
""", {"read_one_1"}),
            Wrong("the token does not see itself", """
def read_one(token, cache, weights):
    q, k, v = ((token @ w)[:, None] for w in weights)
    keys, values = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
    seen = keys.shape[1] - 1 or 1
    fit = q @ keys[:, :seen].mT / token.shape[-1] ** 0.5
    return (fit.softmax(-1) @ values[:, :seen])[:, 0], (keys, values)
""", {"read_one_1"}),
            Wrong("the token itself is cached, not its key and value", """
def read_one(token, cache, weights):
    q, k, v = ((token @ w)[:, None] for w in weights)
    keys, values = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
    output = ((q @ keys.mT / token.shape[-1] ** 0.5).softmax(-1) @ values)[:, 0]
    raw = token[:, None]
    return output, (torch.cat([cache[0], raw], 1), torch.cat([cache[1], raw], 1))
""", {"read_one_1", "read_one_2"}),
            Wrong("keys and values exchanged", """
def read_one(token, cache, weights):
    q, v, k = ((token @ w)[:, None] for w in weights)
    keys, values = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
    return ((q @ keys.mT / token.shape[-1] ** 0.5).softmax(-1) @ values)[:, 0], (keys, values)
""", {"read_one_1", "read_one_2"}),
            Wrong("written over the last place of the cache", """
def read_one(token, cache, weights):
    q, k, v = ((token @ w)[:, None] for w in weights)
    keys, values = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
    output = ((q @ keys.mT / token.shape[-1] ** 0.5).softmax(-1) @ values)[:, 0]
    if cache[0].shape[1]:
        cache[0][:, -1:], cache[1][:, -1:] = k, v
    return output, (keys, values)
""", {"read_one_2", "read_one_3"}),
            Wrong("the matrices are transposed", """
def read_one(token, cache, weights):
    q, k, v = ((token @ w.T)[:, None] for w in weights)
    keys, values = torch.cat([cache[0], k], 1), torch.cat([cache[1], v], 1)
    return ((q @ keys.mT / token.shape[-1] ** 0.5).softmax(-1) @ values)[:, 0], (keys, values)
""", {"read_one_1", "read_one_2"}),
        ],
        right=[
            Right("the library's attention", """
def read_one(token, cache, weights):
    q, k, v = ((token @ w)[:, None] for w in weights)
    keys, values = torch.cat([cache[0], k], dim=1), torch.cat([cache[1], v], dim=1)
    return F.scaled_dot_product_attention(q, keys, values)[:, 0], (keys, values)
"""),
            Right("einsum", """
def read_one(token, cache, weights):
    q, k, v = [torch.einsum("bd,de->be", token, w) for w in weights]
    new = tuple(torch.cat([old, one.unsqueeze(1)], 1) for old, one in zip(cache, (k, v)))
    fit = torch.einsum("bd,bnd->bn", q, new[0]) * token.size(-1) ** -0.5
    return torch.einsum("bn,bnd->bd", torch.softmax(fit, 1), new[1]), new
"""),
            Right("old and new apart", """
def read_one(token, cache, weights):
    q, k, v = (token @ w for w in weights)
    old = (cache[0] @ q[:, :, None])[..., 0]
    fits = torch.cat([old, (q * k).sum(1, keepdim=True)], 1) / q.shape[1] ** 0.5
    shares = fits.exp() / fits.exp().sum(1, keepdim=True)
    output = (shares[:, :-1, None] * cache[1]).sum(1) + shares[:, -1:] * v
    return output, (F.pad(cache[0], (0, 0, 0, 1)) + F.pad(k[:, None], (0, 0, cache[0].shape[1], 0)),
                    torch.cat([cache[1], v[:, None]], 1))
"""),
            Right("user by user", """
def read_one(token, cache, weights):
    outputs, keys, values = [], [], []
    for x, k, v in zip(token, *cache):
        k, v = torch.vstack([k, x @ weights[1]]), torch.vstack([v, x @ weights[2]])
        shares = torch.softmax(k @ (x @ weights[0]) / len(x) ** 0.5, dim=0)
        outputs.append(shares @ v); keys.append(k); values.append(v)
    return torch.stack(outputs), (torch.stack(keys), torch.stack(values))
"""),
            Right("the query scaled first", """
import math
def read_one(token, cache, weights):
    q = (token / math.sqrt(token.shape[1])) @ weights[0]
    keys = torch.cat((cache[0], (token @ weights[1]).unsqueeze(1)), 1)
    values = torch.cat((cache[1], (token @ weights[2]).unsqueeze(1)), 1)
    shares = torch.bmm(keys, q.unsqueeze(2)).softmax(1)
    return torch.bmm(shares.transpose(1, 2), values).squeeze(1), (keys, values)
"""),
            Right("one matrix for all three, cache as a list", """
def read_one(token, cache, weights):
    q, k, v = (token @ torch.cat(list(weights), dim=1)).chunk(3, dim=1)
    new = [torch.cat([cache[0], k[:, None]], 1), torch.cat([cache[1], v[:, None]], 1)]
    fit = (q[:, None] * new[0]).sum(-1) / q.shape[1] ** 0.5
    return ((fit - fit.logsumexp(1, keepdim=True)).exp()[:, :, None] * new[1]).sum(1), new
"""),
        ]),
    "cached_stack": Question(
        wrong=[
            Wrong("every layer remembers the history itself", """
def read_history(x, layers):
    return [(x @ w[1], x @ w[2]) for w in layers]

def read_last(token, caches, layers):
    for (keys, values), w in zip(caches, layers):
        token = token + attend_one(token, keys, values, w)
    return token
""", {"cached_stack_2"}),
            Wrong("no residual in the history", """
def read_history(x, layers):
    caches = []
    for w in layers:
        caches.append((x @ w[1], x @ w[2]))
        x = attend_all(x, w)
    return caches

def read_last(token, caches, layers):
    for (keys, values), w in zip(caches, layers):
        token = token + attend_one(token, keys, values, w)
    return token
""", {"cached_stack_2"}),
            Wrong("no residual for the token", """
def read_history(x, layers):
    caches = []
    for w in layers:
        caches.append((x @ w[1], x @ w[2]))
        x = x + attend_all(x, w)
    return caches

def read_last(token, caches, layers):
    for (keys, values), w in zip(caches, layers):
        token = attend_one(token, keys, values, w)
    return token
""", {"cached_stack_2"}),
            Wrong("remembered after the layer, not before", """
def read_history(x, layers):
    caches = []
    for w in layers:
        x = x + attend_all(x, w)
        caches.append((x @ w[1], x @ w[2]))
    return caches

def read_last(token, caches, layers):
    for (keys, values), w in zip(caches, layers):
        token = token + attend_one(token, keys, values, w)
    return token
""", {"cached_stack_1", "cached_stack_2"}),
            Wrong("the token is left behind in the caches", """
def read_history(x, layers):
    caches = []
    for w in layers:
        caches.append((x @ w[1], x @ w[2]))
        x = x + attend_all(x, w)
    return caches

def read_last(token, caches, layers):
    for i, w in enumerate(layers):
        keys, values = caches[i]
        caches[i] = tuple(torch.cat([old, (token @ m)[:, None]], 1) for old, m in zip(caches[i], w[1:]))
        token = token + attend_one(token, keys, values, w)
    return token
""", {"cached_stack_3"}),
            Wrong("the history attends in both directions", """
def read_history(x, layers):
    caches = []
    for w in layers:
        caches.append((x @ w[1], x @ w[2]))
        x = x + F.scaled_dot_product_attention(x @ w[0], x @ w[1], x @ w[2])
    return caches

def read_last(token, caches, layers):
    for (keys, values), w in zip(caches, layers):
        token = token + attend_one(token, keys, values, w)
    return token
""", {"cached_stack_2"}),
        ],
        right=[
            Right("tuples, index by index", """
def read_history(x, layers):
    held = ()
    for to_query, to_key, to_value in layers:
        held += ((torch.matmul(x, to_key), torch.matmul(x, to_value)),)
        x = attend_all(x, (to_query, to_key, to_value)) + x
    return list(held)

def read_last(token, caches, layers):
    for i in range(len(layers)):
        token = attend_one(token, *caches[i], layers[i]) + token
    return token
"""),
            Right("attention of its own", """
def read_history(x, layers):
    caches, hide = [], torch.ones(x.shape[1], x.shape[1]).triu(1).bool()
    for w in layers:
        q, k, v = (x @ m for m in w)
        caches.append((k, v))
        x = x + (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(hide, float("-inf")).softmax(-1) @ v
    return caches

def read_last(token, caches, layers):
    x = token[:, None]
    for (keys, values), w in zip(caches, layers):
        q, k, v = (x @ m for m in w)
        k, v = torch.cat([keys, k], 1), torch.cat([values, v], 1)
        x = x + (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v
    return x[:, 0]
"""),
            Right("recursion over layers", """
def read_history(x, layers):
    if not layers: return []
    first, *rest = layers
    return [(x @ first[1], x @ first[2])] + read_history(x + attend_all(x, first), rest)

def read_last(token, caches, layers):
    if not layers: return token
    return read_last(token + attend_one(token, *caches[0], layers[0]), caches[1:], layers[1:])
"""),
            Right("nothing read above the last layer", """
def read_history(x, layers):
    caches = []
    for depth, w in enumerate(layers):
        if depth: x = x + attend_all(x, layers[depth - 1])
        caches.append((x @ w[1], x @ w[2]))
    return caches

def read_last(token, caches, layers):
    for cache, w in zip(caches, layers):
        token = torch.add(token, attend_one(token, cache[0], cache[1], w))
    return token
"""),
            Right("one product for keys and values", """
def read_history(x, layers):
    caches = []
    for q, k, v in layers:
        caches.append(tuple((x @ torch.cat([k, v], dim=1)).chunk(2, dim=-1)))
        x = x + attend_all(x, (q, k, v))
    return caches

def read_last(token, caches, layers):
    x = token.clone()
    for (keys, values), w in zip(caches, layers): x += attend_one(x, keys, values, w)
    return x
"""),
            Right("the token as a history of one", """
def read_history(x, layers):
    inputs = [x]
    for w in layers: inputs.append(inputs[-1] + attend_all(inputs[-1], w))
    return [(h @ w[1], h @ w[2]) for h, w in zip(inputs, layers)]

def read_last(token, caches, layers):
    x = token.unsqueeze(1)
    for (keys, values), (q, k, v) in zip(caches, layers):
        keys, values = torch.cat([keys, x @ k], 1), torch.cat([values, x @ v], 1)
        x = x + F.scaled_dot_product_attention(x @ q, keys, values)
    return x.squeeze(1)
"""),
        ]),
}
