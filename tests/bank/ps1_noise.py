"""Problem set 1: plausible wrong answers with the tests that each must lose, and other right ones.

The answers to `my_steps` are those of the student without a name in the term 2026.
"""
from textwrap import dedent

from grading import Question, Right, Wrong

def wrong(mistake, code, *loses):
    return Wrong(mistake, dedent(code).strip(), set(loses))


def right(way, code):
    return Right(way, dedent(code).strip())


BANK = {}

BANK["alphas_cumprod"] = Question(
    wrong=[
        wrong("the product of the β", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, dtype=float)
                if (betas <= 0).any() or (betas > 1).any():
                    raise ValueError("bad β")
                return np.cumprod(betas)
            """, "alphas_cumprod_1", "alphas_cumprod_3"),
        wrong("one step late", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, dtype=float)
                if (betas <= 0).any() or (betas > 1).any():
                    raise ValueError("bad β")
                return np.concatenate([[1.0], np.cumprod(1 - betas)[:-1]])
            """, "alphas_cumprod_1", "alphas_cumprod_3"),
        wrong("the shares are added up", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, dtype=float)
                if (betas <= 0).any() or (betas > 1).any():
                    raise ValueError("bad β")
                return np.maximum(1 - np.cumsum(betas), 0)
            """, "alphas_cumprod_1"),
        wrong("the row that was given is changed", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, dtype=float)
                if (betas <= 0).any() or (betas > 1).any():
                    raise ValueError("bad β")
                np.subtract(1, betas, out=betas)
                for t in range(1, len(betas)):
                    betas[t] *= betas[t - 1]
                return betas
            """, "alphas_cumprod_2"),
        wrong("refused only where all β are bad", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, dtype=float)
                if not ((betas > 0) & (betas <= 1)).any():
                    raise ValueError("bad β")
                return np.cumprod(1 - betas)
            """, "alphas_cumprod_3"),
        wrong("β = 1 is refused", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, dtype=float)
                if betas.min() <= 0 or betas.max() >= 1:
                    raise ValueError("bad β")
                return np.cumprod(1 - betas)
            """, "alphas_cumprod_3"),
        wrong("arrays only", """
            def alphas_cumprod(betas):
                if (betas <= 0).any() or (betas > 1).any():
                    raise ValueError("β outside (0, 1]")
                return np.cumprod(1 - betas)
            """, "alphas_cumprod_2"),
        wrong("taken from adrec", """
            from adrec.schedule import alphas_cumprod
            """, "alphas_cumprod_1", "alphas_cumprod_2", "alphas_cumprod_3"),
    ],
    right=[
        right("a loop over the steps", """
            def alphas_cumprod(betas):
                left, result = 1.0, []
                for b in betas:
                    if b <= 0 or b > 1:
                        raise ValueError(f"{b} is no β")
                    left = left * (1 - b)
                    result.append(left)
                return np.array(result)
            """),
        right("the noise is walked, and the rest is signal", """
            def alphas_cumprod(betas):
                noise = np.zeros(len(betas) + 1)
                for t, b in enumerate(betas):
                    if not 0 < b <= 1:
                        raise ValueError("β")
                    noise[t + 1] = (1 - b) * noise[t] + b
                return 1 - noise[1:]
            """),
        right("a sum of logarithms", """
            def alphas_cumprod(betas):
                betas = np.array(betas, dtype=np.float64)
                if np.any(betas <= 0) or np.any(betas > 1):
                    raise ValueError("β outside (0, 1]")
                with np.errstate(divide="ignore"):
                    return np.exp(np.cumsum(np.log1p(-betas)))
            """),
        right("accumulate", """
            import itertools
            import operator

            def alphas_cumprod(betas):
                if any(not 0 < b <= 1 for b in betas):
                    raise ValueError("β outside (0, 1]")
                return np.array(list(itertools.accumulate((1 - b for b in betas), operator.mul)))
            """),
        right("float32", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, dtype=np.float32)
                if betas.min() <= 0 or betas.max() > 1:
                    raise ValueError("β outside (0, 1]")
                return np.multiply.accumulate(np.float32(1) - betas)
            """),
        right("a product for every step", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas)
                if not np.all((0 < betas) & (betas <= 1)):
                    raise ValueError("β outside (0, 1]")
                return np.array([np.prod(1 - betas[:t + 1]) for t in range(len(betas))])
            """),
        right("the lower triangle of a matrix", """
            def alphas_cumprod(betas):
                betas = np.asarray(betas, float)
                for b in betas:
                    if b > 1 or b <= 0:
                        raise ValueError(b)
                T = len(betas)
                return np.where(np.tri(T, dtype=bool), 1 - betas, 1).prod(axis=1)
            """),
    ])

BANK["signal_to_noise"] = Question(
    wrong=[
        wrong("the ratio of the sizes", """
            def signal_to_noise(alpha_bar, items):
                return np.sqrt(np.var(items, axis=0).mean() * alpha_bar / (1 - alpha_bar))
            """, "signal_to_noise_1", "signal_to_noise_3"),
        wrong("the noise over the signal", """
            def signal_to_noise(alpha_bar, items):
                return (1 - alpha_bar) / alpha_bar / np.var(items, axis=0).mean()
            """, "signal_to_noise_1", "signal_to_noise_3"),
        wrong("the mean of the squares", """
            def signal_to_noise(alpha_bar, items):
                return np.mean(items ** 2) * alpha_bar / (1 - alpha_bar)
            """, "signal_to_noise_2"),
        wrong("the variance over everything", """
            def signal_to_noise(alpha_bar, items):
                return np.var(items) * alpha_bar / (1 - alpha_bar)
            """, "signal_to_noise_2"),
        wrong("the standard deviation", """
            def signal_to_noise(alpha_bar, items):
                return np.std(items, axis=0).mean() * alpha_bar / (1 - alpha_bar)
            """, "signal_to_noise_1", "signal_to_noise_3"),
        wrong("the sum over the coordinates", """
            def signal_to_noise(alpha_bar, items):
                return np.var(items, axis=0).sum() * alpha_bar / (1 - alpha_bar)
            """, "signal_to_noise_1", "signal_to_noise_3"),
        wrong("the variance along the wrong axis", """
            def signal_to_noise(alpha_bar, items):
                return np.var(items, axis=1).mean() * alpha_bar / (1 - alpha_bar)
            """, "signal_to_noise_2"),
    ],
    right=[
        right("means of squares, centred before", """
            def signal_to_noise(alpha_bar, items):
                centred = items - items.mean(axis=0, keepdims=True)
                return np.mean(centred ** 2) * np.asarray(alpha_bar) / (1 - np.asarray(alpha_bar))
            """),
        right("over N − 1", """
            def signal_to_noise(alpha_bar, items):
                s2 = np.var(items, axis=0, ddof=1).mean()
                return s2 * alpha_bar / (1 - alpha_bar)
            """),
        right("the trace of the covariance", """
            def signal_to_noise(alpha_bar, items):
                covariance = np.cov(items.T)
                return np.trace(covariance) / len(covariance) / (1 / alpha_bar - 1)
            """),
        right("loops", """
            def signal_to_noise(alpha_bar, items):
                total = 0.0
                for column in items.T:
                    mean = sum(column) / len(column)
                    total += sum((x - mean) ** 2 for x in column) / len(column)
                spread = total / items.shape[1]
                return np.array([spread * a / (1 - a) for a in alpha_bar])
            """),
        right("float32", """
            def signal_to_noise(alpha_bar, items):
                items = np.asarray(items, dtype=np.float32)
                alpha_bar = np.asarray(alpha_bar, dtype=np.float32)
                return items.var(0).mean() * alpha_bar / (1 - alpha_bar)
            """),
        right("the mean of the squares less the square of the mean", """
            def signal_to_noise(alpha_bar, items):
                s2 = ((items ** 2).mean(0) - items.mean(0) ** 2).mean()
                return np.exp(np.log(s2) + np.log(alpha_bar) - np.log1p(-alpha_bar))
            """),
        right("half the squared differences of all pairs, from sums", """
            def signal_to_noise(alpha_bar, items):
                n, dim = items.shape
                pairs = n * (items ** 2).sum() - (items.sum(0) ** 2).sum()
                return pairs / (n * n * dim) * alpha_bar / (1 - alpha_bar)
            """),
    ])

BANK["betas_from_snr"] = Question(
    wrong=[
        wrong("not divided by what was there before", """
            def betas_from_snr(snr):
                return 1 - snr / (1 + snr)
            """, "betas_from_snr_2"),
        wrong("what each step keeps", """
            def betas_from_snr(snr):
                left = snr / (1 + snr)
                return left / np.concatenate([[1.0], left[:-1]])
            """, "betas_from_snr_1", "betas_from_snr_2"),
        wrong("the SNR is taken for ᾱ", """
            def betas_from_snr(snr):
                return 1 - snr / np.concatenate([[snr[0] + 1], snr[:-1]])
            """, "betas_from_snr_2"),
        wrong("nothing is lost in the first step", """
            def betas_from_snr(snr):
                left = snr / (1 + snr)
                return 1 - left / np.concatenate([left[:1], left[:-1]])
            """, "betas_from_snr_1"),
        wrong("one step early", """
            def betas_from_snr(snr):
                left = snr / (1 + snr)
                return 1 - np.append(left[1:], left[-1] / 2) / left
            """, "betas_from_snr_1", "betas_from_snr_2"),
        wrong("ᾱ = SNR/(1−SNR), cut to (0, 1)", """
            def betas_from_snr(snr):
                left = np.clip(snr / np.abs(1 - snr), 1e-3, 0.999)
                return np.clip(1 - left / np.concatenate([[1.0], left[:-1]]), 1e-4, 0.999)
            """, "betas_from_snr_1", "betas_from_snr_2"),
        wrong("the roots of ᾱ are divided", """
            def betas_from_snr(snr):
                left = np.sqrt(snr / (1 + snr))
                return 1 - left / np.concatenate([[1.0], left[:-1]])
            """, "betas_from_snr_1", "betas_from_snr_2"),
        wrong("the numbers of the example", """
            def betas_from_snr(snr):
                return np.resize([1 / 4, 1 / 3], len(snr))
            """, "betas_from_snr_1", "betas_from_snr_2"),
    ],
    right=[
        right("a loop that remembers what is left", """
            def betas_from_snr(snr):
                left, betas = 1.0, []
                for ratio in snr:
                    wanted = ratio / (1 + ratio)
                    betas.append(1 - wanted / left)
                    left = wanted
                return np.array(betas)
            """),
        right("through logarithms", """
            def betas_from_snr(snr):
                log_left = -np.log1p(1 / np.asarray(snr, dtype=float))
                return -np.expm1(np.diff(log_left, prepend=0.0))
            """),
        right("the noise that is missing", """
            def betas_from_snr(snr):
                noise = 1 / (1 + np.asarray(snr, dtype=float))
                before = np.insert(noise, 0, 0)[:-1]
                return (noise - before) / (1 - before)
            """),
        right("straight from the ratios", """
            def betas_from_snr(snr):
                inverse = 1 / np.asarray(snr, dtype=float)
                before = np.r_[0.0, inverse[:-1]]
                return (inverse - before) / (1 + inverse)
            """),
        right("float32", """
            def betas_from_snr(snr):
                snr = np.asarray(snr).astype(np.float32)
                left = np.concatenate([np.ones(1, np.float32), 1 / (1 + 1 / snr)])
                return 1 - left[1:] / left[:-1]
            """),
        right("step by step, by bisection", """
            def betas_from_snr(snr):
                signal, noise, betas = 1.0, 0.0, []
                for wanted in snr:
                    low, high = 0.0, 1.0
                    for _ in range(60):
                        b = (low + high) / 2
                        if (1 - b) * signal > wanted * ((1 - b) * noise + b):
                            low = b
                        else:
                            high = b
                    signal, noise = (1 - b) * signal, (1 - b) * noise + b
                    betas.append(b)
                return np.array(betas)
            """),
        right("a recursive function", """
            def betas_from_snr(snr, left=1.0):
                if len(snr) == 0:
                    return np.array([])
                wanted = snr[0] / (1 + snr[0])
                return np.append(1 - wanted / left, betas_from_snr(snr[1:], wanted))
            """),
        right("filled into an empty array", """
            def betas_from_snr(snr):
                left = np.divide(snr, np.add(snr, 1))
                betas = np.empty_like(left)
                betas[0] = 1 - left[0]
                betas[1:] = 1 - left[1:] / left[:-1]
                return betas
            """),
    ])

BANK["q_sample"] = Question(
    wrong=[
        wrong("no roots", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = np.reshape(alpha_bar[t], (-1, 1))
                return kept * x0 + (1 - kept) * eps
            """, "q_sample_1"),
        wrong("the noise has 1 − √ᾱ", """
            def q_sample(x0, t, eps, alpha_bar):
                size = np.sqrt(np.reshape(alpha_bar[t], (-1, 1)))
                return size * x0 + (1 - size) * eps
            """, "q_sample_1"),
        wrong("α_t, the share of one step, for ᾱ_t", """
            def q_sample(x0, t, eps, alpha_bar):
                alpha = np.concatenate([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
                kept = np.reshape(alpha[t], (-1, 1))
                return np.sqrt(kept) * x0 + np.sqrt(1 - kept) * eps
            """, "q_sample_1"),
        wrong("one step early", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = np.reshape(np.concatenate([[1.0], alpha_bar[:-1]])[t], (-1, 1))
                return np.sqrt(kept) * x0 + np.sqrt(1 - kept) * eps
            """, "q_sample_1"),
        wrong("the steps go with the columns", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = alpha_bar[t]
                return np.sqrt(kept) * x0 + np.sqrt(1 - kept) * eps
            """, "q_sample_2"),
        wrong("its own noise", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = np.reshape(alpha_bar[t], (-1, 1))
                eps = np.random.normal(size=x0.shape)
                return np.sqrt(kept) * x0 + np.sqrt(1 - kept) * eps
            """, "q_sample_1", "q_sample_2", "q_sample_3"),
        wrong("what is given is changed", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = np.reshape(alpha_bar[t], (-1, 1))
                x0 *= np.sqrt(kept)
                x0 += np.sqrt(1 - kept) * eps
                return x0
            """, "q_sample_3"),
        wrong("reads a global schedule", """
            my_alpha_bar = np.cumprod(1 - np.linspace(0.013125, 0.635, 32))

            def q_sample(x0, t, eps, alpha_bar):
                kept = np.reshape(my_alpha_bar[t], (-1, 1))
                return np.sqrt(kept) * x0 + np.sqrt(1 - kept) * eps
            """, "q_sample_1"),
    ],
    right=[
        right("tables of the two scales", """
            def q_sample(x0, t, eps, alpha_bar):
                signal, noise = np.sqrt(alpha_bar), np.sqrt(1 - alpha_bar)
                t = np.asarray(t)
                if t.ndim == 0:
                    return signal[t] * x0 + noise[t] * eps
                return signal[t][:, None] * x0 + noise[t][:, None] * eps
            """),
        right("row by row", """
            def q_sample(x0, t, eps, alpha_bar):
                steps = np.broadcast_to(t, len(x0))
                rows = []
                for row, step, noise in zip(x0, steps, eps):
                    a = alpha_bar[step]
                    rows.append(a ** 0.5 * row + (1 - a) ** 0.5 * noise)
                return np.array(rows)
            """),
        right("diagonal matrices", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = np.broadcast_to(alpha_bar[t], len(x0))
                return np.diag(np.sqrt(kept)) @ x0 + np.diag(np.sqrt(1 - kept)) @ eps
            """),
        right("transposed and back", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = alpha_bar[t]
                return (np.sqrt(kept) * x0.T + np.sqrt(1 - kept) * eps.T).T
            """),
        right("an angle", """
            def q_sample(x0, t, eps, alpha_bar):
                angle = np.arccos(np.sqrt(alpha_bar))[t]
                angle = np.reshape(angle, (-1, 1))
                return np.cos(angle) * x0 + np.sin(angle) * eps
            """),
        right("float32", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = np.atleast_1d(alpha_bar.astype(np.float32)[t])[:, np.newaxis]
                x0, eps = np.float32(x0), np.float32(eps)
                return np.sqrt(kept) * x0 + np.sqrt(1 - kept) * eps
            """),
        right("einsum", """
            def q_sample(x0, t, eps, alpha_bar):
                kept = alpha_bar[np.full(len(x0), t) if np.isscalar(t) else t]
                signal = np.einsum("n,nd->nd", kept ** 0.5, x0)
                return signal + np.einsum("n,nd->nd", (1 - kept) ** 0.5, eps)
            """),
        right("number by number", """
            import math

            def q_sample(x0, t, eps, alpha_bar):
                result = np.empty(x0.shape)
                for i in range(x0.shape[0]):
                    a = alpha_bar[t[i] if np.ndim(t) else t]
                    for j in range(x0.shape[1]):
                        result[i, j] = math.sqrt(a) * x0[i, j] + math.sqrt(1 - a) * eps[i, j]
                return result
            """),
    ])

_POSTERIOR = """
    def posterior(x0, x_t, t, betas):
        left, b = np.cumprod(1 - betas), betas[t]
        now, before = left[t], (left[t - 1] if t else 1.0)
        on_x0 = {on_x0}
        on_xt = {on_xt}
        variance = {variance}
        return {mean}, variance
    """
_ON_X0 = "np.sqrt(before) * b / (1 - now)"
_ON_XT = "np.sqrt(1 - b) * (1 - before) / (1 - now)"
_VARIANCE = "b * (1 - before) / (1 - now)"


def other(on_x0=_ON_X0, on_xt=_ON_XT, variance=_VARIANCE, mean="on_x0 * x0 + on_xt * x_t"):
    return _POSTERIOR.format(on_x0=on_x0, on_xt=on_xt, variance=variance, mean=mean)


BANK["posterior"] = Question(
    wrong=[
        wrong("√β where √(1−β) belongs", """
            def posterior(x0, x_t, t, betas):
                left = np.cumprod(1 - np.asarray(betas))
                before, now, b = (left[t - 1] if t else 1.0), left[t], betas[t]
                start, end = np.sqrt(before) * b, np.sqrt(b) * (1 - before)
                return (start * x0 + end * x_t) / (1 - now), b * (1 - before) / (1 - now)
            """, "posterior_1"),
        wrong("ᾱ_t for ᾱ_{t−1} in the weight of x_0",
              other(on_x0="np.sqrt(now if t else 1.0) * b / (1 - now)"), "posterior_1"),
        wrong("ᾱ for α in the weight of x_t",
              other(on_xt="np.sqrt(now) * (1 - before) / (1 - now)"), "posterior_1"),
        wrong("a root forgotten in the weight of x_t",
              other(on_xt="(1 - b) * (1 - before) / (1 - now)"), "posterior_1"),
        wrong("the weights are swapped", other(mean="on_x0 * x_t + on_xt * x0"),
              "posterior_1", "posterior_3"),
        wrong("the variance of the step, β_t", other(variance="b if t else 0.0"), "posterior_2"),
        wrong("a standard deviation", other(variance=f"np.sqrt({_VARIANCE})"), "posterior_2"),
        wrong("ᾱ[−1] before the first step", """
            def posterior(x0, x_t, t, betas):
                left = np.cumprod(1 - betas)
                now, before = left[t], left[t - 1]
                mean = np.sqrt(before) * betas[t] * x0 + np.sqrt(1 - betas[t]) * (1 - before) * x_t
                return mean / (1 - now), betas[t] * (1 - before) / (1 - now)
            """, "posterior_3"),
        wrong("the simple mean of the two voices", 
              other(mean="x0 if t == 0 else (np.sqrt(before) * x0 + x_t / np.sqrt(1 - b)) / 2"),
              "posterior_1"),
    ],
    right=[
        right("precisions that add up", """
            def posterior(x0, x_t, t, betas):
                if t == 0:
                    return x0, 0.0
                before = np.prod(1 - betas[:t])
                from_start, from_end = 1 / (1 - before), (1 - betas[t]) / betas[t]
                precision = from_start + from_end
                voices = from_start * np.sqrt(before) * x0 + from_end * x_t / np.sqrt(1 - betas[t])
                return voices / precision, 1 / precision
            """),
        right("regression of x_{t−1} on x_t", """
            def posterior(x0, x_t, t, betas):
                before = np.prod(1 - betas[:t])
                now = before * (1 - betas[t])
                slope = np.sqrt(1 - betas[t]) * (1 - before) / (1 - now)
                mean = np.sqrt(before) * x0 + slope * (x_t - np.sqrt(now) * x0)
                return mean, (1 - before) * (1 - slope * np.sqrt(1 - betas[t]))
            """),
        right("tables of all steps", """
            def posterior(x0, x_t, t, betas):
                now = np.cumprod(1 - betas)
                before = np.append(1.0, now[:-1])
                on_x0 = betas * np.sqrt(before) / (1 - now)
                on_xt = np.sqrt(1 - betas) * (1 - before) / (1 - now)
                return on_x0[t] * x0 + on_xt[t] * x_t, (betas * (1 - before) / (1 - now))[t]
            """),
        right("through the noise that was added", """
            def posterior(x0, x_t, t, betas):
                now = np.prod(1 - betas[:t + 1])
                before = now / (1 - betas[t]) if t else 1.0
                eps = (x_t - np.sqrt(now) * x0) / np.sqrt(1 - now)
                mean = (x_t - betas[t] / np.sqrt(1 - now) * eps) / np.sqrt(1 - betas[t])
                return mean, (1 - before) / (1 - now) * betas[t]
            """),
        right("float32", """
            def posterior(x0, x_t, t, betas):
                betas = np.asarray(betas, dtype=np.float32)
                left = np.concatenate([np.ones(1, np.float32), np.cumprod(1 - betas)])
                before, now = left[t], left[t + 1]
                noise = 1 - now
                mean = np.sqrt(before) * betas[t] / noise * x0
                mean = mean + np.sqrt(1 - betas[t]) * (1 - before) / noise * x_t
                return mean.astype(np.float32), np.float32(betas[t] * (1 - before) / noise)
            """),
        right("a loop for the products", """
            def posterior(x0, x_t, t, betas):
                before = 1.0
                for s in range(t):
                    before *= 1 - betas[s]
                now = before * (1 - betas[t])
                mean = before ** 0.5 * betas[t] * x0 + (1 - betas[t]) ** 0.5 * (1 - before) * x_t
                return mean / (1 - now), float(betas[t] * (1 - before) / (1 - now))
            """),
        right("a Kalman update", """
            def posterior(x0, x_t, t, betas):
                prior_mean, prior = np.array(x0, dtype=float), 0.0
                for b in betas[:t]:
                    prior_mean, prior = np.sqrt(1 - b) * prior_mean, (1 - b) * prior + b
                h = np.sqrt(1 - betas[t])
                gain = prior * h / (h * prior * h + betas[t])
                return prior_mean + gain * (x_t - h * prior_mean), (1 - gain * h) * prior
            """),
        right("completing the square", """
            def posterior(x0, x_t, t, betas):
                before, b = np.prod(1 - betas[:t]), betas[t]
                quadratic = (1 - b) * (1 - before) + b
                linear = np.sqrt(1 - b) * (1 - before) * x_t + b * np.sqrt(before) * x0
                return linear / quadratic, b * (1 - before) / quadratic
            """),
    ])

_STEPS = """
    my_steps = {{}}
    for name, betas in my_schedules.items():
        left = np.cumprod(1 - betas)
        snr = {snr}
        my_steps[name] = {step}
    """
_SNR = "my_catalogue['sigma'] ** 2 * left / (1 - left)"
_NATS = "my_catalogue['dim'] / 2 * np.log(1 + snr)"
_LAST = "int(np.flatnonzero({nats} >= np.log(my_catalogue['n_items'])).max())"


def steps(snr=_SNR, nats=_NATS, step=_LAST):
    return _STEPS.format(snr=snr, step=step.format(nats=nats))


BANK["my_steps"] = Question(
    wrong=[
        wrong("counted from 1", steps(step=_LAST + " + 1"), "my_steps_1"),
        wrong("σ for σ²", steps(snr="my_catalogue['sigma'] * left / (1 - left)"), "my_steps_1"),
        wrong("without the size of the table", steps(snr="left / (1 - left)"), "my_steps_1"),
        wrong("D for D/2", steps(nats="my_catalogue['dim'] * np.log(1 + snr)"), "my_steps_1"),
        wrong("one coordinate at a time: SNR above 1",
              steps(step="int(np.flatnonzero(snr >= 1).max())"), "my_steps_2"),
        wrong("one of the logarithms is to base 2",
              steps(nats="my_catalogue['dim'] / 2 * np.log2(1 + snr)"), "my_steps_1"),
        wrong("copied from Ada", """
            my_steps = {"linear": 16, "cosine": 31, "sqrt": 13}
            """, "my_steps_2"),
        wrong("the first step that is lost",
              steps(step="int(np.argmax({nats} < np.log(my_catalogue['n_items'])))"), "my_steps_1"),
    ],
    right=[
        right("base 2 on both sides", """
            my_steps = {}
            for name, betas in my_schedules.items():
                left = np.cumprod(1 - betas)
                snr = my_catalogue["sigma"] ** 2 * left / (1 - left)
                bits = my_catalogue["dim"] / 2 * np.log2(1 + snr)
                my_steps[name] = np.flatnonzero(bits >= np.log2(my_catalogue["n_items"]))[-1]
            """),
        right("walked until it is lost", """
            my_steps = {}
            for name, betas in my_schedules.items():
                signal, noise, t = my_catalogue["sigma"] ** 2, 0.0, -1
                while True:
                    b = betas[t + 1]
                    signal, noise = (1 - b) * signal, (1 - b) * noise + b
                    nats = my_catalogue["dim"] / 2 * np.log1p(signal / noise)
                    if nats < np.log(my_catalogue["n_items"]):
                        break
                    t += 1
                my_steps[name] = t
            """),
        right("from the ᾱ that is needed", """
            needed = my_catalogue["n_items"] ** (2 / my_catalogue["dim"]) - 1
            smallest = needed / (needed + my_catalogue["sigma"] ** 2)
            my_steps = {name: int((np.cumprod(1 - betas) >= smallest).sum()) - 1
                        for name, betas in my_schedules.items()}
            """),
        right("the number before the first that is lost", steps(
            step="int(np.argmax({nats} < np.log(my_catalogue['n_items']))) - 1")),
        right("by search in the falling curve", """
            my_steps = dict.fromkeys(my_schedules)
            for name in my_steps:
                left = np.cumprod(1 - my_schedules[name])
                snr = my_catalogue["sigma"] ** 2 * left / (1 - left)
                nats = my_catalogue["dim"] / 2 * np.log1p(snr)
                needed = np.log(my_catalogue["n_items"])
                my_steps[name] = int(np.searchsorted(-nats, -needed, side="right")) - 1
            """),
        right("from the top of the list", """
            import math

            def last(betas):
                for t in reversed(range(len(betas))):
                    left = math.prod(1 - betas[:t + 1])
                    snr = my_catalogue["sigma"] ** 2 * left / (1 - left)
                    if (1 + snr) ** (my_catalogue["dim"] / 2) >= my_catalogue["n_items"]:
                        return t

            my_steps = {name: last(betas) for name, betas in my_schedules.items()}
            """),
        right("float32", """
            my_steps = {}
            for name, betas in my_schedules.items():
                left = np.cumprod(1 - betas.astype(np.float32))
                snr = my_catalogue["sigma"] ** 2 * left / (1 - left)
                nats = my_catalogue["dim"] / 2 * np.log1p(snr)
                my_steps[name] = int(sum(nats >= np.log(my_catalogue["n_items"]))) - 1
            """),
        right("written down", """
            my_steps = {"linear": 29, "cosine": 54, "sqrt": 28}
            """),
    ])
