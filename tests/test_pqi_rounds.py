"""Rounds of the PQ-index study, against the naive one; what survives an interruption."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import naive_pqi
import naive_sparsity
import numpy as np
import pytest

from combsearch.connectivity import effective_nonzeros
from combsearch.errors import CombsearchError, UsageError
from combsearch.nets import NetBatch
from combsearch.search.running import Failure, Outcome, run_course
from combsearch.studies.checkpoint import Halfway, keep_dense, kept_dense
from combsearch.studies.masks import pack, unpack
from combsearch.studies.networks import hidden_widths
from combsearch.studies.pqi import training
from combsearch.studies.pqi.chains import chains_of
from combsearch.studies.pqi.config import PqiConfig
from combsearch.studies.pqi.plan import PqiPlan
from combsearch.studies.pqi.rounds import dense_masks, networks, run_round
from combsearch.studies.pqi.training import train
from combsearch.studies.pqi.work import all_shards, place_of, pqi_course, shard_of

PIECES = Path(__file__).parent / "image_files"
SCOPES = ("global", "layer", "neuron")
EXACT = ("accuracy", "best_accuracy", "best_epoch", "pruned_accuracy", "kept", "left")


def write_blobs(path: Path) -> str:
    """Four clouds of two classes in four dimensions, 80 points and 60 held out."""
    rng = np.random.default_rng(5)
    cloud = np.arange(140) % 4
    x, y = rng.normal(size=(140, 4)) + 1.5 * rng.normal(size=(4, 4))[cloud], cloud % 2
    np.savez(path, x=x[:80], y=y[:80], x_test=x[80:], y_test=y[80:])
    return str(path)


@pytest.fixture
def blobs(tmp_path: Path) -> str:
    return write_blobs(tmp_path / "blobs.npz")


def config_of(task: str, **changes: Any) -> PqiConfig:
    given: dict[str, Any] = {
        "task": task, "network": "6,5", "scopes": SCOPES, "rounds": 2, "seeds": 2, "epochs": 3,
        "batch_size": 16, "lr": 0.2, "grid": ("0.5:1", "1:2", "0.5:2"),
    }  # fmt: skip
    return PqiConfig(**given | changes)


def all_rounds(plan: PqiPlan, seed: int) -> list[dict[str, Any]]:
    masks, dense, found = dense_masks(plan), None, []
    for number in range(plan.config.rounds + 1):
        columns, nets = run_round(plan, seed, number, masks, dense)
        dense = nets[np.array([0])] if dense is None else dense
        masks = unpack(np.stack(columns["mask"]), masks)
        found.append({**columns, "masks": masks})
    return found


@pytest.mark.parametrize("changes", [{}, {"checkpoint": "last", "gammas": (0.5, 1.2)}])
def test_rounds_are_those_of_one_chain_after_the_other(blobs: str, changes: dict[str, Any]) -> None:
    plan = PqiPlan.of(config_of(blobs, **changes))
    found = all_rounds(plan, 1)
    for place, chain in enumerate(plan.chains):
        for number, expected in enumerate(naive_pqi.chain_rows(plan, chain, 1)):
            columns = found[number]
            for name in (
                "accuracy",
                "best_accuracy",
                "best_epoch",
                "pruned_accuracy",
                "kept",
                "left",
            ):
                assert columns[name][place] == pytest.approx(expected[name]), (chain, name)
            for name in ("pqi", "retain", "gini", "layer_kept"):
                np.testing.assert_allclose(
                    columns[name][place], expected[name], rtol=2e-4, atol=1e-5
                )
            for name, mask in expected["masks"].items():
                np.testing.assert_array_equal(columns["masks"][name][place], mask)
    assert len({tuple(columns["left"]) for columns in found}) == 3


def test_networks_of_a_round_carry_who_they_are(blobs: str) -> None:
    plan = PqiPlan.of(config_of(blobs))
    columns, nets = run_round(plan, 1, 2, dense_masks(plan), None)
    chains = len(plan.chains)
    assert chains == 4 * 3 and columns["method"][::3] == ["sap", "sap", "lt", "one_shot"]
    np.testing.assert_array_equal(columns["rank"], (2 * 2 + 1) * chains + np.arange(chains))
    assert columns["p"][0] == 0.5 and columns["p"][3] == 1 and np.isnan(columns["p"][6])
    np.testing.assert_array_equal(columns["effective"], effective_nonzeros(nets)[:1].repeat(chains))
    np.testing.assert_array_equal(columns["weights"], 4 * 6 + 6 * 5 + 5)
    assert columns["nonzeros"][0] == 4 * 6 + 6 * 5 + 5 + 6 + 5 + 1


def test_layers_are_measured_by_themselves(blobs: str) -> None:
    plan = PqiPlan.of(config_of(blobs, methods=("lt",), scopes=("neuron",)))
    masks = dense_masks(plan)
    masks["weight0"][:, 1:3] = False
    columns, nets = run_round(plan, 0, 1, masks, None)
    np.testing.assert_array_equal(columns["layer_kept"][0], [4 * 4, 30, 5])
    layers = columns["layer_pqi"][0].reshape(3, 3)
    for layer, name in enumerate(plan.network.prunable):
        kept = nets.params[name][0][masks[name][0]].tolist()
        expected = [
            float(naive_sparsity.pq_index(kept, *pair)) for pair in plan.config.grid_pairs()
        ]
        np.testing.assert_allclose(layers[layer], expected, rtol=1e-9)
        assert columns["layer_gini"][0][layer] == pytest.approx(float(naive_sparsity.gini(kept)))


def test_images_are_trained_by_any_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    changes: dict[str, Any] = {"batch_size": 5, "epochs": 2, "rounds": 2, "network": "6"}
    one_by_one = PqiPlan.of(config_of("fashion-mnist", trainer="loop", **changes))
    plan = PqiPlan.of(config_of("fashion-mnist", **changes))
    for columns, expected in zip(all_rounds(plan, 0), all_rounds(one_by_one, 0), strict=True):
        for name in EXACT:
            np.testing.assert_array_equal(columns[name], expected[name])
        np.testing.assert_allclose(np.stack(columns["pqi"]), np.stack(expected["pqi"]), rtol=1e-3)
        assert (columns["nonzeros"] == -1).all()
    more = PqiPlan.of(config_of("fashion-mnist", **changes | {"network": "cnn"}))
    assert len(more.network.prunable) == 5


def test_images_are_augmented_where_that_is_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    changes: dict[str, Any] = {"network": "5", "batch_size": 3, "methods": ("lt",), "rounds": 1}
    usual = PqiPlan.of(config_of("cifar10", **changes))
    plain = PqiPlan.of(config_of("cifar10", **changes, augment=False))
    found = usual.task.augmentation
    assert found is not None and found.flip and found.pad == 4 and found.shared
    assert plain.task.augmentation is None and usual.test.augmentation is None
    assert usual.identity() != plain.identity()
    moved, still = (all_rounds(plan, 0)[0]["gini"][0] for plan in (usual, plain))
    assert moved != still
    grey = PqiPlan.of(config_of("fashion-mnist", **changes))
    assert grey.task.augmentation is None and "augment" not in grey.identity()["config"]


def test_masks_come_back_from_their_words() -> None:
    rng = np.random.default_rng(2)
    masks = {"a": rng.random((5, 7, 3)) < 0.5, "b": rng.random((5, 64)) < 0.5}
    words = pack(masks)
    assert words.shape == (5, 2) and words.dtype == np.uint64
    assert [int(w) & 1 for w in words[:, 0]] == [int(b) for b in masks["a"][:, 0, 0]]
    for name, mask in unpack(words, masks).items():
        np.testing.assert_array_equal(mask, masks[name])


# ---- what survives an interruption ------------------------------------------------------


class Cut(Exception):
    """Stands for the end of a process."""


def cut_after(plan: PqiPlan, segments: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training by ``plan`` ends after so many segments of an epoch."""
    monkeypatch.setattr("combsearch.studies.checkpoint._SEGMENT_SECONDS", 0.0)
    trainer, left = plan.get_trainer(), [segments]

    class Cutting:
        def fit(self, *given: Any, **more: Any) -> NetBatch:
            left[0] -= 1
            if left[0] < 0:
                raise Cut
            return trainer.fit(*given, **more)

        score = staticmethod(trainer.score)

    monkeypatch.setattr(PqiPlan, "get_trainer", lambda self: Cutting())


@pytest.mark.parametrize("checkpoint", ["best", "last"])
def test_a_round_goes_on_where_it_was_cut(
    blobs: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, checkpoint: str
) -> None:
    plan = PqiPlan.of(config_of(blobs, checkpoint=checkpoint, epochs=5))
    masks = dense_masks(plan)
    for place, mask in enumerate(masks.values()):
        mask[1:, 0, place] = False
    nets = networks(plan, 0, {name: mask[:3] for name, mask in masks.items()})
    whole = train(plan, nets, 0)
    halfway = Halfway(tmp_path / "halfway" / "0-1.npz", seconds=0.0)
    with monkeypatch.context() as patched:
        cut_after(plan, 3, patched)
        with pytest.raises(Cut):
            train(plan, nets, 0, halfway)
    arrays = halfway.read()
    assert arrays is not None and int(arrays["step"]) == 3 * 5
    for name in [name for name in arrays if name.startswith("last.params")]:
        assert (arrays[name] != whole.checkpoint.params[name[12:]]).any()
    with monkeypatch.context() as patched:
        cut_after(plan, 2, patched)  # two are left, so a third would be one too many
        found = train(plan, nets, 0, halfway)
    for name in ("accuracy", "best_accuracy", "best_epoch", "diverged"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))
    for kind in ("params", "masks"):
        for name, a in getattr(whole.checkpoint, kind).items():
            np.testing.assert_array_equal(getattr(found.checkpoint, kind)[name], a)
    halfway.clear()
    assert halfway.read() is None


def test_a_file_of_other_networks_or_a_damaged_one_is_no_start(blobs: str, tmp_path: Path) -> None:
    plan = PqiPlan.of(config_of(blobs))
    nets = networks(plan, 0, {name: mask[:2] for name, mask in dense_masks(plan).items()})
    whole = train(plan, nets, 0)
    halfway = Halfway(tmp_path / "x.npz")
    other = dataclasses.replace(nets, masks={n: m * 0 for n, m in nets.masks.items()})
    halfway.write(training._arrays(5, other, other, None))
    np.testing.assert_array_equal(train(plan, nets, 0, halfway).accuracy, whole.accuracy)
    halfway.write(training._arrays(5, nets, nets, None))  # without what was best
    np.testing.assert_array_equal(train(plan, nets, 0, halfway).accuracy, whole.accuracy)
    content = halfway.path.read_bytes()
    for damaged in (content[:-30], b"", content[:200] + b"\xff\x00" + content[202:]):
        halfway.path.write_bytes(damaged)
        np.testing.assert_array_equal(train(plan, nets, 0, halfway).accuracy, whole.accuracy)


def test_the_dense_network_is_kept_or_counts_as_none(blobs: str, tmp_path: Path) -> None:
    plan = PqiPlan.of(config_of(blobs))
    nets = networks(plan, 1, {name: mask[:1] for name, mask in dense_masks(plan).items()})
    keep_dense(tmp_path, 1, nets)
    found = kept_dense(tmp_path, 1, nets)
    assert found is not None
    np.testing.assert_array_equal(found.params["weight1"], nets.params["weight1"])
    assert kept_dense(tmp_path, 0, nets) is None
    other = PqiPlan.of(config_of(blobs, network="6,6"))
    one = networks(other, 1, {name: mask[:1] for name, mask in dense_masks(other).items()})
    assert kept_dense(tmp_path, 1, one) is None
    path = tmp_path / "dense" / "1.npz"
    path.write_bytes(path.read_bytes()[:400])
    assert kept_dense(tmp_path, 1, nets) is None


# ---- what there is to train ---------------------------------------------------------------


def test_chains_in_order() -> None:
    config = PqiConfig(methods=("one-shot", "sap"), scopes=("neuron", "global"), etas=(0.0, 0.1))
    names = [(c.method, c.scope, c.settings()["p"], c.settings()["eta"]) for c in chains_of(config)]
    assert names[:4] == [
        ("sap", "global", 0.5, 0.0), ("sap", "neuron", 0.5, 0.0),
        ("sap", "global", 0.5, 0.1), ("sap", "neuron", 0.5, 0.1),
    ]  # fmt: skip
    assert [name[:2] for name in names[8:]] == [("one_shot", "global"), ("one_shot", "neuron")]
    assert config.digest() == dataclasses.replace(config, methods=("sap", "one_shot")).digest()


def test_seeds_have_other_weights_and_other_minibatches(blobs: str) -> None:
    plan = PqiPlan.of(config_of(blobs))
    a, b = (networks(plan, s, {n: m[:1] for n, m in dense_masks(plan).items()}) for s in (0, 1))
    assert (a.params["weight0"] != b.params["weight0"]).any()
    assert plan.keys(0, 1).blocks() != plan.keys(1, 1).blocks()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"powers": ("1:1",)}, r"powers holds '1:1', each must be P:Q with 0 < p < q"),
        ({"powers": ("-1:1",)}, r"powers holds '-1:1'"),
        ({"grid": ("x",)}, r"grid holds 'x', each must be P:Q"),
        ({"grid": ()}, r"no grid; name pairs"),
        ({"methods": ("sab",)}, r"methods holds 'sab', did you mean 'sap'\?"),
        ({"scopes": ("net",)}, r"scopes holds 'net' .*known: global, layer, neuron"),
        ({"etas": (-0.1,)}, r"etas holds -0.1, each must be a number from 0 up"),
        ({"gammas": ()}, r"no gammas; the default is 1"),
        ({"share": 0.0}, r"share is 0, it must be above 0"),
        ({"beta": 1.5}, r"beta is 1.5, it must be from 0 to 1"),
        ({"rounds": 0}, r"rounds is 0, it must be a whole number from 1 up"),
        ({"checkpoint": "first"}, r"checkpoint is 'first', it must be best or last"),
        ({"schedule": "cosin"}, r"unknown schedule 'cosin', did you mean 'cosine'\?"),
        ({"points": -1}, r"points is -1, it must be from 0 up"),
    ],
)  # fmt: skip
def test_bad_settings_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        PqiConfig(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "mlp"}, r"'mlp' is not a list of hidden widths .*takes images"),
        ({"network": "6,x"}, r"'6,x' is not a list of hidden widths such as 16,16,16"),
        ({"network": "6,0"}, r"each hidden width must be from 1 up"),
        ({"batch_size": 81}, r"batch_size 81 is more than the 80 points"),
        ({"points": 81}, r"points is 81, task 'blobs' has 80"),
        ({"trainer": "sparse"}, r"trainer 'sparse' cannot do this: .*best epoch"),
        ({"trainer": "sparse", "checkpoint": "last"}, r"'sparse' cannot do this: .*nesterov"),
        ({"task": "cubist_spiral"}, r"has no test points, .*--checkpoint last"),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_task_is_named(
    blobs: str, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        PqiPlan.of(config_of(**{"task": blobs} | changes))


def test_compiled_trainers_serve_the_spirals() -> None:
    plain = {"checkpoint": "last", "nesterov": False, "clip": 0.0, "network": "4,3"}
    assert PqiPlan.of(config_of("cubist_spiral", **plain)).trainer == "sparse"
    assert PqiPlan.of(config_of("cubist_spiral", checkpoint="last")).trainer == "vmap"
    assert hidden_widths("16, 8") == (16, 8) and hidden_widths("mlp") is None


# ---- the order of the rounds ----------------------------------------------------------------


def test_a_round_is_given_out_once_the_one_before_is_saved(blobs: str) -> None:
    plan = PqiPlan.of(config_of(blobs))
    course = pqi_course(plan, [])
    shards = course.todo()
    assert [place_of(plan, s) for s in (next(shards), next(shards))] == [(0, 0), (0, 1)]
    assert next(shards, None) is None  # both seeds wait, and it has more once one is saved
    course.note(shard_of(plan, 0, 1), 0)
    assert place_of(plan, next(shards)) == (1, 1) and next(shards, None) is None
    course.note(shard_of(plan, 1, 1), 0)
    course.note(shard_of(plan, 0, 0), 0)
    assert [place_of(plan, shard) for shard in shards] == [(1, 0), (2, 1)]
    course.note(shard_of(plan, 1, 0), 0)
    course.note(shard_of(plan, 2, 1), 0)
    assert not course.complete() and [place_of(plan, shard) for shard in shards] == [(2, 0)]
    course.note(shard_of(plan, 2, 0), 0)
    assert course.complete() and next(shards, None) is None


def test_a_run_goes_on_with_the_rounds_that_are_missing(blobs: str) -> None:
    plan = PqiPlan.of(config_of(blobs))
    saved = [shard for shard in all_shards(plan) if place_of(plan, shard) != (1, 0)]
    course = pqi_course(plan, saved)
    assert [place_of(plan, shard) for shard in course.todo()] == [(1, 0)]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_comes_after_a_failed_round_is_not_tried(blobs: str, jobs: int) -> None:
    plan = PqiPlan.of(config_of(blobs))
    tried: list[tuple[int, int]] = []

    class Engine:
        """Gives out up to ``jobs`` at once; round 1 of seed 0 fails."""

        def run(self, work: Any, shards: Any) -> Any:
            while flight := list(itertools.islice(shards, jobs)):
                for shard in flight:
                    tried.append(place_of(plan, shard))
                    failed = tried[-1] == (1, 0)
                    yield shard, Failure("no memory") if failed else Outcome(1, 0, 0.5)

    with pytest.raises(CombsearchError, match="1 of the shards could not be trained"):
        run_course(
            lambda shard: Outcome(1, 0, 0.5), pqi_course(plan, []), Engine(), lambda *_: None
        )
    assert sorted(tried) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 1)]
