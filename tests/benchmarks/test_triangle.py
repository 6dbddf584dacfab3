"""Triangles: many mixtures of three networks in batches, against a loop over them."""

import time

import torch

from lmc import Pair, Store, Triple
from lmc.experiments.bench import Bench
from lmc.experiments.group import Mixtures
from lmc.experiments.work import Work
from lmc.simplex import simplex_grid


def test_triangle_of_24_steps(benchmark, tmp_path):
    """325 points on 1,437 + 360 digits at width 64: under 1 s, and faster than one after another."""
    config = Triple(width=64, method=("none",))
    work = Work(Store(tmp_path), torch.device("cpu"))
    networks = config.networks()
    found = work.final_states(networks)
    states = [found[network.id] for network in networks]
    bench = Bench(config, work)
    weights = simplex_grid(3, 24)

    def plain():
        """What a script does: mix, load, run in batches of 128."""
        model, answers = bench.model, []
        for w in weights.tolist():
            model.load_state_dict(
                {name: sum(k * s[name] for k, s in zip(w, states, strict=True)) for name in states[0]}
            )
            with torch.no_grad():
                for split in ("train", "test"):
                    x, y = bench.data.split(split)
                    loss = wrong = 0.0
                    for images, labels in zip(x.split(128), y.split(128), strict=True):
                        logits = model(images)
                        loss += float(torch.nn.functional.cross_entropy(logits, labels, reduction="sum"))
                        wrong += int((logits.argmax(-1) != labels).sum())
                    answers.append((loss / len(y), wrong / len(y)))
        return answers

    start = time.perf_counter()
    expected = plain()
    slow = time.perf_counter() - start
    curve = benchmark.pedantic(lambda: Mixtures(bench).mixed(states, weights), rounds=3, warmup_rounds=1)
    ours = benchmark.stats["median"]
    assert max(abs(a - b[0]) for a, b in zip(curve.losses["test"], expected[1::2], strict=True)) < 1e-4
    print(f"\ntriangle of 24 steps, width 64: {ours:.2f} s (goal 1 s), a loop {slow:.2f} s: {slow / ours:.1f}x")
    assert slow / ours > 1


def test_width_chart_from_the_store(benchmark, tmp_path):
    """A width experiment that is in the store: under 1 s."""
    import lmc

    store = Store(tmp_path)
    config = lmc.Width(widths=(4, 8), recipe=lmc.make_recipe(epochs=1))
    lmc.run(config, store=store, device="cpu")
    benchmark.pedantic(lambda: lmc.run(config, store=store, device="cpu"), rounds=3)
    print(f"\nwidth chart from the store: {benchmark.stats['median']:.3f} s (goal 1 s)")
    assert benchmark.stats["median"] < 1 and isinstance(config, lmc.Width) and not isinstance(config, Pair)
