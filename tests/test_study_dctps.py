"""Networks of the study of DCT plus sparse, against naive ones; what survives an interruption."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import naive_dctps
import numpy as np
import pytest

from combsearch.dctps_rows import dctps_table
from combsearch.errors import UsageError
from combsearch.nets import NetBatch
from combsearch.pruning import emptied
from combsearch.studies.checkpoint import Halfway, masks_arrays, with_masks
from combsearch.studies.dctps.config import DctpsConfig
from combsearch.studies.dctps.plan import DctpsPlan
from combsearch.studies.dctps.training import alphas_of, kept_by_layer, run_network, train
from combsearch.tasks.images import ImageSet, load_images

PIECES = Path(__file__).parent / "image_files"


@pytest.fixture(autouse=True)
def pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST is 20 images, and 10 to test."""
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fashion-MNIST is noise around an image a class: 80 images, and 40 to test."""
    rng = np.random.default_rng(4)
    y = (np.arange(120) % 10).astype(np.uint8)
    x = 100 + 40 * rng.normal(size=(10, 1, 28, 28))[y] + 25 * rng.normal(size=(120, 1, 28, 28))
    x8 = x.clip(0, 255).astype(np.uint8)
    images = ImageSet("clouds", x8[:80], y[:80], x8[80:], y[80:], 10, (), (0.4,), (0.17,))
    monkeypatch.setattr("combsearch.studies.dctps.plan.load_images", lambda name: images)


CLOUDS: dict[str, Any] = {
    "network": "12,10", "batch_size": 10,
    "rigl_interval": 6,  # moves at the ends of epochs
}  # fmt: skip


def plan_of(method: str, **changes: Any) -> DctpsPlan:
    given: dict[str, Any] = {
        "network": "6,4", "methods": (method,), "densities": (5.0,), "seeds": 2, "epochs": 6,
        "batch_size": 5, "validation": 0.25, "force_steps": 4, "synflow_steps": 5,
        "rigl_interval": 3, "trainer": "indexed", "lr": 0.02,
    }  # fmt: skip
    return DctpsPlan.of(DctpsConfig(**given | changes))


# ---- one network ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "trainer", "changes"),
    [
        ("dctps+epl", "indexed", {}),
        ("dctps_fixed+epl", "loop", {"optimizer": "sgd", "milestones": (2, 4)}),
        ("dctps+epl", "indexed", {"form": "fast", "densities": (60.0,)}),
        ("epl", "vmap", {}),
        ("erk", "indexed", {"init": "torch", "densities": (1.0,)}),
        ("force", "indexed", {}),
        ("rigl", "loop", {"rigl_fraction": 0.8}),
        ("rigl", "indexed", {"optimizer": "sgd", "rigl_interval": 4}),
        ("dctps+rigl", "indexed", {"rigl_fraction": 0.8, "rigl_end": 1.0}),
        ("dense", "indexed", {"densities": (7.0,)}),
    ],
)
def test_a_network_is_the_naive_one(
    clouds: None, method: str, trainer: str, changes: dict[str, Any]
) -> None:
    plan = plan_of(method, trainer=trainer, **CLOUDS | changes)
    for seed in (0, 1):
        naive = naive_dctps.Naive(plan, plan.settings[0], seed).run()
        expected = naive.row()
        found = train(plan, plan.settings[0], seed)
        for nets, (_, w, masks) in (
            (found.best, naive.history[expected["best_epoch"]]),
            (found.last, naive.history[-1]),
        ):
            for name in naive.names:
                np.testing.assert_array_equal(nets.masks[name][0], masks[name])
            for name, a in w.items():
                np.testing.assert_allclose(nets.params[name][0], a, rtol=2e-3, atol=2e-4)
        row = dctps_table(run_network(plan, 0, seed)).to_pylist()[0]
        for name in ("accuracy", "valid_accuracy", "best_epoch", "last_accuracy", "layer_kept"):
            assert row[name] == expected[name], name
        if plan.settings[0].method.trainable:
            np.testing.assert_allclose(row["alphas"], expected["alphas"], rtol=1e-3)
        elif plan.settings[0].method.offset:
            assert row["alphas"] == [1.0, 1.0, 1.0]
        else:
            assert row["alphas"] == []


def test_naive_networks_differ_where_they_should(clouds: None) -> None:
    """The oracle's networks learn, its masks move, and seeds and epochs are not alike."""
    plan = plan_of("rigl", rigl_fraction=0.8, **CLOUDS)
    one, other = (naive_dctps.Naive(plan, plan.settings[0], seed).run() for seed in (0, 1))
    first, last = one.history[0][2], one.history[-1][2]
    assert any((first[name] != last[name]).any() for name in one.names)
    assert any((last[name] != other.history[-1][2][name]).any() for name in one.names)
    assert 0 < one.row()["best_epoch"] < 5
    dense = plan_of("dense", **CLOUDS)
    assert naive_dctps.Naive(dense, dense.settings[0], 0).run().row()["accuracy"] > 0.8


@pytest.mark.parametrize("method", ["epf", "uniform", "snip", "iter_snip", "synflow", "dctps+erk"])
def test_every_method_keeps_its_budget(method: str) -> None:
    plan = plan_of(method, epochs=1, densities=(100.0, 11.0, 0.5), iter_snip_steps=3)
    weights = 784 * 6 + 6 * 4 + 4 * 10
    for place, setting in enumerate(plan.settings):
        row = dctps_table(run_network(plan, place, 1)).to_pylist()[0]
        assert row["weights"] == weights and row["rank"] == 2 * place + 1
        assert row["budget"] == row["kept"] == round(setting.density / 100 * weights)
        assert sum(row["layer_kept"]) == row["kept"] and row["method"] == method
        assert row["other"] == 20 + 3 * setting.method.trainable
        assert row["cell"] == "0.02:constant" and row["restart"] == 1
        if setting.method.support not in ("snip", "iter_snip"):
            assert min(row["layer_kept"]) > 0
            # One weight of the second layer and one of the third, which do not meet.
            severed = method == "uniform" and setting.density == 0.5
            assert row["status"] == ("collapsed" if severed else "ok")


def test_methods_of_a_seed_share_what_they_draw() -> None:
    plans = [plan_of(name, epochs=1, **changes) for name, changes in (
        ("epl", {}), ("dctps", {}), ("dctps_fixed", {"optimizer": "sgd"}), ("rigl", {}),
    )]  # fmt: skip
    keys = {plan.keys(1).philox_keys().tobytes() for plan in plans}
    assert len(keys) == 1 and keys != {plans[0].keys(0).philox_keys().tobytes()}
    masks = [train(plan, plan.settings[0], 1).last.masks for plan in plans[:3]]
    for other in masks[1:]:
        for name in ("hidden1.weight", "hidden2.weight", "linear.weight"):
            np.testing.assert_array_equal(masks[0][name], other[name])
    assert plans[0].keys(1).blocks()[0] == 1 and plans[0].keys(0).blocks()[0] == 0


def test_initial_weights_are_he_s_or_torch_s() -> None:
    kaiming, torch_s = plan_of("epl"), plan_of("epl", init="torch")
    one, other = (NetBatch.create(plan.network(plan.settings[0].method), plan.keys(0)).params
                  for plan in (kaiming, torch_s))  # fmt: skip
    np.testing.assert_allclose(one["hidden1.weight"], 6**0.5 * other["hidden1.weight"], rtol=1e-6)
    assert one["hidden1.weight"].std() == pytest.approx((2 / 784) ** 0.5, rel=0.05)
    np.testing.assert_array_equal(one["hidden1.bias"], other["hidden1.bias"])


# ---- points held out ------------------------------------------------------------------------


def test_validation_points_are_held_out() -> None:
    plan = plan_of("epl")
    whole = load_images("fashion-mnist").task(augment=True, shared=True)
    train_part, valid = plan.training.x, plan.training.x_test
    assert valid is not None and plan.training.y_test is not None
    assert (len(train_part), len(valid)) == (15, 5) and whole.points == 20
    rows = {row.tobytes(): place for place, row in enumerate(whole.x)}
    places = [rows[row.tobytes()] for row in (*train_part, *valid)]
    assert sorted(places) == list(range(20))  # each once
    labels = np.concatenate([plan.training.y, plan.training.y_test])
    np.testing.assert_array_equal(labels, whole.y[places])
    np.testing.assert_array_equal(plan.test.x, whole.x_test)
    for same in (plan_of("rigl", seeds=3), plan_of("epl", optimizer="sgd")):
        np.testing.assert_array_equal(same.training.x, train_part)
    assert (plan_of("epl", seed=1).training.x != train_part).any()
    fewer = plan_of("epl", points=12)
    assert fewer.training.points == 9 and fewer.test.points == 10
    assert {row.tobytes() for row in fewer.training.x} < set(list(rows)[:12])


# ---- what survives an interruption ----------------------------------------------------------


class Cut(Exception):
    """Stands for the end of a process."""


def cut_after(plan: DctpsPlan, calls: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Training by ``plan`` ends after so many segments; the steps at which they began."""
    monkeypatch.setattr("combsearch.studies.checkpoint._SEGMENT_SECONDS", 0.0)
    trainer, began = plan.get_trainer(), list[int]()

    class Cutting:
        name = trainer.name

        def fit(self, *given: Any) -> NetBatch:
            if given[4].start < given[4].stop:
                if len(began) == calls:
                    raise Cut
                began.append(given[4].start)
            return trainer.fit(*given)

        score = staticmethod(trainer.score)

    monkeypatch.setattr(DctpsPlan, "get_trainer", lambda self: Cutting())
    return began


def assert_same(found: Any, whole: Any) -> None:
    for name in ("valid_accuracy", "best_epoch", "collapsed"):
        assert getattr(found, name) == getattr(whole, name)
    for which in ("last", "best"):
        one, other = getattr(found, which), getattr(whole, which)
        for kind in ("params", "masks", "state"):
            for name, a in getattr(other, kind).items():
                np.testing.assert_array_equal(getattr(one, kind)[name], a)


@pytest.mark.parametrize(
    ("method", "trainer", "changes"),
    [
        ("dctps", "indexed", {}),
        ("force", "loop", {"optimizer": "sgd"}),
        ("dense", "vmap", {}),
        ("rigl", "loop", {"rigl_interval": 2, "rigl_fraction": 0.8}),
        # Moves at the ends of epochs.
        ("rigl", "indexed", {"rigl_interval": 3, "rigl_fraction": 0.8}),
        ("dctps+rigl", "indexed", {"optimizer": "sgd", "rigl_interval": 4, "rigl_fraction": 0.8}),
    ],
)
def test_a_network_goes_on_where_it_was_cut(
    method: str, trainer: str, changes: dict[str, Any],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    plan = plan_of(method, trainer=trainer, **changes)
    setting = plan.settings[0]
    whole = train(plan, setting, 1)
    for calls in (1, 4):
        halfway = Halfway(tmp_path / "halfway" / f"{calls}.npz", seconds=0.0)
        with monkeypatch.context() as patched:
            began = cut_after(plan, calls, patched)
            with pytest.raises(Cut):
                train(plan, setting, 1, halfway)
        with monkeypatch.context() as patched:
            more = cut_after(plan, 99, patched)
            assert_same(train(plan, setting, 1, halfway), whole)
        assert more[0] > began[-1] and len(more) < 18  # nothing is trained twice


@pytest.mark.parametrize("method", ["rigl", "dctps"])
def test_a_damaged_file_or_one_of_others_is_no_start(method: str, tmp_path: Path) -> None:
    plan = plan_of(method)
    setting, whole = plan.settings[0], train(plan, plan.settings[0], 0)
    halfway = Halfway(tmp_path / "x.npz", seconds=0.0)

    def assert_no_start() -> None:
        assert_same(train(plan, setting, 0, Halfway(halfway.path)), whole)

    train(plan, setting, 0, halfway)
    arrays = halfway.read()
    assert arrays is not None and 0 < arrays["step"] < 18
    arrays["last.params.linear.bias"] += 1  # who goes on from here comes to another end
    halfway.write(arrays)
    with pytest.raises(AssertionError):
        assert_no_start()
    content = halfway.path.read_bytes()
    at = content.index(arrays["last.params.linear.bias"].tobytes())
    for damaged in (content[:-30], b"", content[:at] + b"?" + content[at + 1 :]):
        halfway.path.write_bytes(damaged)
        assert_no_start()
    for without in ("accuracy", "last.masks.hidden1.weight", "best.params.linear.bias", "step"):
        halfway.write({name: a for name, a in arrays.items() if name != without})
        assert_no_start()
    other = plan_of(method, network="5,4")
    train(other, other.settings[0], 0, halfway)
    found = halfway.read()
    assert found is not None and found["last.params.hidden1.weight"].shape == (1, 5, 784)
    assert_no_start()


def test_masks_come_back_from_their_bits() -> None:
    rng = np.random.default_rng(3)
    plan = plan_of("epl")
    nets = NetBatch.create(plan.network(plan.settings[0].method), plan.keys(0))
    masks = {name: (rng.random(a.shape) < 0.5).astype(np.float32) for name, a in nets.masks.items()}
    given = dataclasses.replace(nets, masks=masks)
    arrays = masks_arrays("m.", given)
    found = with_masks("m.", nets, arrays)
    assert found is not None
    for name, mask in masks.items():
        np.testing.assert_array_equal(found.masks[name], mask)
        assert found.masks[name].dtype == np.float32
    for wrong in (np.zeros(3, np.uint8), arrays["m.linear.weight"].astype(np.int64)):
        assert with_masks("m.", nets, {**arrays, "m.linear.weight": wrong}) is None
    assert with_masks("x.", nets, arrays) is None


# ---- what is reported and not hidden -------------------------------------------------------


def test_collapse_and_divergence_are_reported() -> None:
    few = plan_of("force", densities=(0.03,))  # one weight for three layers
    row = dctps_table(run_network(few, 0, 0)).to_pylist()[0]
    assert row["status"] == "collapsed" and row["kept"] == row["budget"] == 1
    wild = plan_of("epl", optimizer="sgd", lr=1e30)
    row = dctps_table(run_network(wild, 0, 0)).to_pylist()[0]
    assert row["status"] == "diverged" and 0 <= row["accuracy"] <= 1
    offset = plan_of("dctps_fixed+epl", densities=(0.1,))
    row = dctps_table(run_network(offset, 0, 0)).to_pylist()[0]
    assert row["status"] == "ok" and row["kept"] == 5


@pytest.mark.parametrize("method", ["force", "synflow", "snip"])
def test_methods_with_nothing_to_choose_by_are_reported(method: str) -> None:
    """The last layer of a Fixup network starts at 0, so that no score is another."""
    plan = plan_of(
        method, network="fixup_resnet8", epochs=1, force_steps=1, synflow_steps=1, batch_size=15
    )
    found = train(plan, plan.settings[0], 0)
    assert found.collapsed and kept_by_layer(found.last).sum() == plan.settings[0].budget(
        sum(a[0].size for name, a in found.last.params.items() if name.endswith("weight"))
    )


def test_layers_without_weights_are_seen() -> None:
    plan = plan_of("epl")
    nets = NetBatch.create(plan.network(plan.settings[0].method), plan.keys(0))
    assert not emptied(nets).any() and kept_by_layer(nets).tolist() == [4704, 24, 40]
    assert alphas_of(nets).tolist() == []
    nets.masks["hidden2.weight"][:] = 0
    assert emptied(nets).tolist() == [[False, True, False]]
    assert kept_by_layer(nets).tolist() == [4704, 0, 40]


# ---- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        ("epl", {"densities": (0.04,)}, "epl at 0.04% of 4,768 weights is a budget of 2, fewer"
         " than one for each of the 3 layers of '6,4'; the least density is 0.06292%"),
        ("dctps+rigl", {"densities": (0.03,)}, "dctps+rigl at 0.03% of 4,768 weights is a budget"),
        ("rigl", {"densities": (5.0, 0.03)}, "rigl at 0.03% of 4,768 weights"),
        ("epl", {"task": "cubist-spiral"}, "task is 'cubist-spiral', it must be an image data set"),
        ("epl", {"task": "fashion-mnst"}, "did you mean 'fashion-mnist'?"),
        ("epl", {"network": "mpl"}, "unknown network 'mpl', did you mean 'mlp'?"),
        ("epl", {"network": "6,0"}, "each hidden width must be from 1 up"),
        ("epl", {"batch_size": 16}, "batch_size 16 is more than the 15 points of"),
        ("epl", {"points": 21}, "points is 21, task 'fashion-mnist' has 20"),
        ("epl", {"validation": 0.01}, "validation 0.01 of 20 points leaves 20 to train and 0"),
        ("epl", {"validation": 0.99}, "validation 0.99 of 20 points leaves 0 to train and 20"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_named(method: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        plan_of(method, **changes)


def test_the_least_density_that_is_named_is_possible() -> None:
    for network in ("6,4", "5", "3,3,3,3"):
        with pytest.raises(UsageError) as caught:
            plan_of("epl", network=network, densities=(0.001,))
        found = re.search(r"least density is ([0-9.]+)%", str(caught.value))
        assert found is not None
        plan = plan_of("epl", network=network, densities=(float(found[1]),), epochs=1)
        assert min(kept_by_layer(train(plan, plan.settings[0], 0).last)) == 1
