"""Problem set 5: plausible wrong answers with the tests that each must lose, and other right ones."""
from textwrap import dedent

from grading import Question, Right, Wrong

def wrong(mistake, code, *loses):
    return Wrong(mistake, dedent(code).strip(), set(loses))


def right(way, code):
    return Right(way, dedent(code).strip())


BANK = {}

BANK["plan"] = Question(
    wrong=[
        wrong("the variant from scratch gets half the time as well", """
            def plan(full):
                return {"full": dict(full), "no warm-up": {**full, "warm_up": 0}, "frozen": {**full, "freeze_items": True},
                        "scratch": {**full, "pre_train": 0, "epochs": full["epochs"] // 2}}
            """, "plan_2"),
        wrong("one dictionary under many names", """
            def plan(full):
                quiet, frozen, loud = full, full, full
                quiet["warm_up"] = 0
                frozen["freeze_items"] = True
                loud["noise_scale"] = 1.0
                return {"full": full, "no warm-up": quiet, "frozen": frozen, "loud": loud}
            """, "plan_1", "plan_2", "plan_3"),
        wrong("what was taken away stays away", """
            def plan(full):
                variants, options = {"full": dict(full)}, dict(full)
                for name, key, value in (("no warm-up", "warm_up", 0), ("no noise", "noise_scale", 0), ("scratch", "pre_train", 0)):
                    options = {**options, key: value}
                    variants[name] = options
                return variants
            """, "plan_2"),
        wrong("only the changes, not all options", """
            def plan(full):
                return {"full": full, "no warm-up": {"warm_up": 0}, "scratch": {"pre_train": 0}, "silent": {"noise_scale": 0}}
            """, "plan_2"),
        wrong("reads the global FULL", """
            def plan(full):
                return {"full": {**FULL}, "no warm-up": {**FULL, "warm_up": 0}, "scratch": {**FULL, "pre_train": 0},
                        "silent": {**FULL, "noise_scale": 0}}
            """, "plan_1", "plan_2"),
        wrong("the full recipe is left out", """
            def plan(full):
                return {"no warm-up": {**full, "warm_up": 0}, "scratch": {**full, "pre_train": 0},
                        "frozen": {**full, "freeze_items": True}}
            """, "plan_1"),
        wrong("a variant is the recipe itself", """
            def plan(full):
                return {"full": full, "three stages": {**full}, "no warm-up": {**full, "warm_up": 0},
                        "scratch": {**full, "pre_train": 0}, "silent": {**full, "noise_scale": 0}}
            """, "plan_2"),
        wrong("a value that cannot be trained", """
            def plan(full):
                return {"full": full, "no warm-up": {**full, "warm_up": -1}, "scratch": {**full, "pre_train": 0},
                        "long": {**full, "epochs": 500}}
            """, "plan_3"),
    ],
    right=[
        right("dict(full, …)", """
            def plan(full):
                return dict(full=dict(full), scratch=dict(full, pre_train=0.0), frozen=dict(full, freeze_items=True),
                            silent=dict(full, noise_scale=0.0))
            """),
        right("a loop over changes, with |", """
            def plan(full):
                variants = {"full": full}
                for name, change in (("longer warm-up", {"warm_up": 9}), ("twice the time", {"epochs": 48}),
                                     ("mostly stage 1", {"pre_train": 0.75})):
                    variants[name] = full | change
                return variants
            """),
        right("deep copies that are changed", """
            def plan(full):
                from copy import deepcopy
                variants = {name: deepcopy(full) for name in ("no warm-up", "short", "full", "louder")}
                variants["no warm-up"]["warm_up"] = 0
                variants["short"]["epochs"] //= 2
                variants["louder"]["noise_scale"] *= 100
                return variants
            """),
        right("copies by .copy() and update, six variants", """
            def plan(full):
                variants = {}
                for name, key, value in [("full", None, None), ("a", "warm_up", 0), ("b", "warm_up", 6), ("c", "pre_train", 0),
                                         ("d", "freeze_items", not full["freeze_items"]), ("e", "noise_scale", 0.1)]:
                    variants[name] = full.copy()
                    if key:
                        variants[name].update({key: value})
                return variants
            """),
    ])

BANK["tidy"] = Question(
    wrong=[
        wrong("the sum over people", """
            def tidy(variants, seeds, fit):
                rows = [{"variant": name, "seed": seed, "nll": fit(options, seed).sum()}
                        for name, options in variants.items() for seed in seeds]
                return pd.DataFrame(rows)
            """, "tidy_4"),
        wrong("the first person", """
            def tidy(variants, seeds, fit):
                rows = [{"variant": name, "seed": seed, "nll": float(fit(options, seed)[0])}
                        for name, options in variants.items() for seed in seeds]
                return pd.DataFrame(rows)
            """, "tidy_4"),
        wrong("trained with the place of the seed", """
            def tidy(variants, seeds, fit):
                rows = []
                for name, options in variants.items():
                    for place, seed in enumerate(seeds):
                        rows.append((name, seed, fit(options, place).mean()))
                return pd.DataFrame(rows, columns=["variant", "seed", "nll"])
            """, "tidy_2", "tidy_3"),
        wrong("each variant with a seed of its own", """
            def tidy(variants, seeds, fit):
                rows = [(name, seed, fit(options, seed).mean()) for (name, options), seed in zip(variants.items(), seeds)]
                return pd.DataFrame(rows, columns=["variant", "seed", "nll"])
            """, "tidy_1", "tidy_2", "tidy_3"),
        wrong("a column for each seed", """
            def tidy(variants, seeds, fit):
                rows = [{"variant": name} | {seed: fit(options, seed).mean() for seed in seeds} for name, options in variants.items()]
                return pd.DataFrame(rows)
            """, "tidy_1", "tidy_3", "tidy_4"),
        wrong("the mean over seeds, too", """
            def tidy(variants, seeds, fit):
                rows = []
                for name, options in variants.items():
                    level = np.mean([fit(options, seed).mean() for seed in seeds])
                    rows += [(name, seed, level) for seed in seeds]
                return pd.DataFrame(rows, columns=["variant", "seed", "nll"])
            """, "tidy_3"),
        wrong("rows and numbers in different orders", """
            def tidy(variants, seeds, fit):
                numbers = [fit(options, seed).mean() for seed in seeds for options in variants.values()]
                names = [(name, seed) for name in variants for seed in seeds]
                return pd.DataFrame([(*name, number) for name, number in zip(names, numbers)], columns=["variant", "seed", "nll"])
            """, "tidy_3"),
        wrong("reads the global SEEDS", """
            def tidy(variants, seeds, fit):
                rows = [(name, seed, fit(options, seed).mean()) for name, options in variants.items() for seed in SEEDS]
                return pd.DataFrame(rows, columns=["variant", "seed", "nll"])
            """, "tidy_1", "tidy_2", "tidy_3"),
    ],
    right=[
        right("seeds outside, variants inside", """
            def tidy(variants, seeds, fit):
                table = {"variant": [], "seed": [], "nll": []}
                for seed in seeds:
                    for name in variants:
                        table["nll"].append(float(fit(variants[name], seed).mean()))
                        table["seed"].append(seed)
                        table["variant"].append(name)
                return pd.DataFrame(table)
            """),
        right("itertools.product", """
            def tidy(variants, seeds, fit):
                from itertools import product
                table = pd.DataFrame(product(variants, seeds), columns=["variant", "seed"])
                return table.assign(nll=[np.average(fit(variants[v], s)) for v, s in zip(table["variant"], table["seed"])])
            """),
        right("wide first, then melted", """
            def tidy(variants, seeds, fit):
                wide = pd.DataFrame({name: [fit(options, seed).mean() for seed in seeds] for name, options in variants.items()})
                return wide.assign(seed=list(seeds)).melt(id_vars="seed", var_name="variant", value_name="nll")
            """),
        right("float32, a sum divided by a number, other order of columns", """
            def tidy(variants, seeds, fit):
                rows = []
                for name, options in variants.items():
                    for seed in seeds:
                        people = np.asarray(fit(options, seed), dtype=np.float32)
                        rows.append({"nll": people.sum() / len(people), "seed": int(seed), "variant": str(name)})
                return pd.DataFrame(rows)
            """),
    ])

BANK["paired_interval"] = Question(
    wrong=[
        wrong("1.96 in place of t", """
            def paired_interval(table, first, second):
                wide = table.pivot(index="seed", columns="variant", values="nll")
                d = wide[first] - wide[second]
                reach = 1.96 * d.std() / np.sqrt(len(d))
                return d.mean(), d.mean() - reach, d.mean() + reach
            """, "paired_interval_3"),
        wrong("the standard deviation divides by S", """
            def paired_interval(table, first, second):
                wide = table.pivot(index="seed", columns="variant", values="nll")
                d = (wide[first] - wide[second]).to_numpy()
                reach = stats.t.ppf(0.975, len(d) - 1) * np.std(d) / np.sqrt(len(d))
                return d.mean(), d.mean() - reach, d.mean() + reach
            """, "paired_interval_3"),
        wrong("the spread of seeds, not of their mean", """
            def paired_interval(table, first, second):
                wide = table.pivot(index="seed", columns="variant", values="nll")
                d = wide[first] - wide[second]
                reach = stats.t.ppf(0.975, len(d) - 1) * d.std()
                return d.mean(), d.mean() - reach, d.mean() + reach
            """, "paired_interval_3"),
        wrong("S degrees of freedom", """
            def paired_interval(table, first, second):
                wide = table.pivot(index="seed", columns="variant", values="nll")
                d = wide[first] - wide[second]
                reach = stats.t.ppf(0.975, len(d)) * d.std() / np.sqrt(len(d))
                return d.mean(), d.mean() - reach, d.mean() + reach
            """, "paired_interval_3"),
        wrong("4.30 for every number of seeds", """
            def paired_interval(table, first, second):
                wide = table.pivot(index="seed", columns="variant", values="nll")
                d = wide[first] - wide[second]
                reach = 4.302653 * d.std() / np.sqrt(len(d))
                return d.mean(), d.mean() - reach, d.mean() + reach
            """, "paired_interval_3"),
        wrong("second minus first", """
            def paired_interval(table, first, second):
                wide = table.pivot(index="seed", columns="variant", values="nll")
                d = wide[second] - wide[first]
                reach = stats.t.ppf(0.975, len(d) - 1) * d.std() / np.sqrt(len(d))
                return d.mean(), d.mean() - reach, d.mean() + reach
            """, "paired_interval_1"),
        wrong("two independent samples", """
            def paired_interval(table, first, second):
                x, y = (table.loc[table["variant"] == name, "nll"].to_numpy() for name in (first, second))
                mean, S = x.mean() - y.mean(), len(x)
                reach = stats.t.ppf(0.975, S - 1) * np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / S)
                return mean, mean - reach, mean + reach
            """, "paired_interval_2", "paired_interval_3"),
        wrong("matched by place, not by seed", """
            def paired_interval(table, first, second):
                x, y = (table.loc[table["variant"] == name, "nll"].to_numpy() for name in (first, second))
                d = x - y
                reach = stats.t.ppf(0.975, len(d) - 1) * d.std(ddof=1) / np.sqrt(len(d))
                return d.mean(), d.mean() - reach, d.mean() + reach
            """, "paired_interval_2"),
    ],
    right=[
        right("scipy's paired test", """
            def paired_interval(table, first, second):
                x, y = (table[table["variant"] == name].sort_values("seed")["nll"].to_numpy() for name in (first, second))
                low, high = stats.ttest_rel(x, y).confidence_interval(0.95)
                return np.mean(x - y), low, high
            """),
        right("a merge on the seed, and t.interval", """
            def paired_interval(table, first, second):
                one, other = (table[table["variant"] == name] for name in (first, second))
                both = one.merge(other, on="seed")
                d = both["nll_x"] - both["nll_y"]
                return (d.mean(), *stats.t.interval(0.95, len(d) - 1, loc=d.mean(), scale=stats.sem(d)))
            """),
        right("plain Python", """
            def paired_interval(table, first, second):
                found = {(row.variant, row.seed): row.nll for row in table.itertuples()}
                d = [found[first, seed] - found[second, seed] for seed in sorted({seed for _, seed in found})]
                S, mean = len(d), sum(d) / len(d)
                variance = sum((x - mean) ** 2 for x in d) / (S - 1)
                reach = stats.t(S - 1).isf(0.025) * (variance / S) ** 0.5
                return [mean, mean - reach, mean + reach]
            """),
        right("indexes that align, an array as the answer", """
            def paired_interval(table, first, second):
                by_seed = table.set_index(["variant", "seed"])["nll"]
                d = by_seed.loc[first].sub(by_seed.loc[second])
                return d.mean() + np.array([0, -1, 1]) * d.sem() * stats.t.ppf(0.975, d.size - 1)
            """),
    ])

BANK["verdict"] = Question(
    wrong=[
        wrong("higher is taken for better", """
            def verdict(low, high, margin):
                if -margin < low and high < margin:
                    return "equivalent"
                if low > 0:
                    return "ahead"
                return "behind" if high < 0 else "undecided"
            """, "verdict_1"),
        wrong("not clear, so equal", """
            def verdict(low, high, margin):
                if high < 0:
                    return "ahead"
                if low > 0:
                    return "behind"
                return "equivalent"
            """, "verdict_2", "verdict_3"),
        wrong("the margin is never used", """
            def verdict(low, high, margin):
                if high < 0:
                    return "ahead"
                return "behind" if low > 0 else "undecided"
            """, "verdict_3"),
        wrong("clear comes before equivalent", """
            def verdict(low, high, margin):
                if high < 0:
                    return "ahead"
                if low > 0:
                    return "behind"
                return "equivalent" if -margin < low and high < margin else "undecided"
            """, "verdict_3"),
        wrong("the middle decides", """
            def verdict(low, high, margin):
                middle = (low + high) / 2
                if abs(middle) < margin:
                    return "equivalent"
                if high < 0:
                    return "ahead"
                return "behind" if low > 0 else "undecided"
            """, "verdict_2"),
        wrong("one end decides", """
            def verdict(low, high, margin):
                if high < margin:
                    return "equivalent"
                if high < 0:
                    return "ahead"
                return "behind" if low > 0 else "undecided"
            """, "verdict_1", "verdict_2"),
        wrong("a margin of 0.03 whatever is asked", """
            def verdict(low, high, margin):
                if -0.03 < low and high < 0.03:
                    return "equivalent"
                if high < 0:
                    return "ahead"
                return "behind" if low > 0 else "undecided"
            """, "verdict_3"),
        wrong("an end on the margin counts as inside", """
            def verdict(low, high, margin):
                if max(abs(low), abs(high)) <= margin:
                    return "equivalent"
                if high < 0:
                    return "ahead"
                return "behind" if low > 0 else "undecided"
            """, "verdict_2"),
    ],
    right=[
        right("the farther end first", """
            def verdict(low, high, margin):
                if max(abs(low), abs(high)) < margin:
                    return "equivalent"
                return "ahead" if high < 0 else "behind" if 0 < low else "undecided"
            """),
        right("by signs", """
            def verdict(low, high, margin):
                if margin > high and low > -margin:
                    return "equivalent"
                return {-2: "ahead", 2: "behind"}.get(int(np.sign(low) + np.sign(high)), "undecided")
            """),
        right("undecided unless shown otherwise", """
            def verdict(low, high, margin):
                word = "undecided"
                if low * high > 0:
                    word = "behind" if low > 0 else "ahead"
                if abs(low) < margin and abs(high) < margin:
                    word = "equivalent"
                return word
            """),
        right("np.select", """
            def verdict(low, high, margin):
                inside = (-margin < low) & (high < margin)
                return str(np.select([inside, high < 0, low > 0], ["equivalent", "ahead", "behind"], "undecided"))
            """),
    ])
