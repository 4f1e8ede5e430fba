"""Rounds of iterative magnitude pruning with rewinding, against the naive one."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import naive_imp
import numpy as np
import pytest

from combsearch.cli import main
from combsearch.errors import RunMismatchError, UsageError
from combsearch.nets import NetBatch
from combsearch.studies.checkpoint import Halfway, kept_dense
from combsearch.studies.dimensionality import training
from combsearch.studies.dimensionality.config import (
    ExtrinsicConfig,
    ImpConfig,
    IntrinsicConfig,
    LinearConfig,
    SpiralConfig,
)
from combsearch.studies.dimensionality.imp import (
    dense_at,
    dense_masks,
    pruned,
    rewound_to,
    run_round,
)
from combsearch.studies.dimensionality.plan import ImpPlan
from combsearch.studies.dimensionality.training import train
from combsearch.studies.dimensionality.work import all_shards, imp_course, place_of
from combsearch.studies.masks import unpack

PIECES = Path(__file__).parent / "image_files"


class Own:
    """A trainer of a user's."""

    name = "own"


def linear(**changes: Any) -> LinearConfig:
    given: dict[str, Any] = {
        "widths": ("5x4",), "dimensions": (2, 5), "inputs": 8, "latent": 6, "points": 40,
        "test_points": 300, "rounds": 3, "seeds": 2, "epochs": 3, "batch_size": 8, "lr": 0.2,
    }  # fmt: skip
    return LinearConfig(**given | changes)


def images(**changes: Any) -> ExtrinsicConfig:
    given: dict[str, Any] = {
        "task": "fashion-mnist", "network": "resnet8", "widths": ("2",), "dimensions": (8,),
        "rounds": 2, "seeds": 2, "epochs": 2, "batch_size": 5, "rewinds": (1,), "share": 0.3,
    }  # fmt: skip
    return ExtrinsicConfig(**given | changes)


def all_rounds(plan: ImpPlan, place: int, root: Path | None = None) -> list[dict[str, Any]]:
    masks, found = dense_masks(plan, plan.load(plan.settings[place])), []
    for number in range(plan.config.rounds + 1):
        columns = run_round(plan, place, number, masks, root)
        masks = unpack(np.stack(columns["mask"]), masks)
        found.append({**columns, "masks": masks})
    return found


def check_against_naive(plan: ImpPlan, place: int) -> None:
    config, loaded = plan.config, plan.load(plan.settings[place])
    found = all_rounds(plan, place)
    chains = itertools.product(config.rewinds, range(config.seeds))
    for chain, (rewind, seed) in enumerate(chains):
        expected = naive_imp.chain_rows(plan, loaded, seed, rewind)
        for columns, row in zip(found, expected, strict=True):
            for name in ("accuracy", "kept", "left"):
                assert columns[name][chain] == pytest.approx(row[name]), (rewind, seed, name)
            for name, mask in row["masks"].items():
                np.testing.assert_array_equal(columns["masks"][name][chain], mask)


@pytest.mark.parametrize(
    "changes",
    [
        {"rewinds": (0, 7)},
        {"optimizer": "adam", "lr": 0.01, "rewinds": (4,), "share": 0.35},
        {"keep": ("weight0",)},
    ],
)
def test_rounds_are_those_of_one_chain_after_the_other(changes: dict[str, Any]) -> None:
    check_against_naive(ImpPlan.of(linear(**changes)), 1)


def test_residual_networks_rewind_their_batch_norm_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    check_against_naive(ImpPlan.of(images()), 0)


def test_seeds_differ_and_chains_of_a_seed_share_their_dense_network() -> None:
    plan = ImpPlan.of(linear(rewinds=(0, 5)))
    first, second, *_ = all_rounds(plan, 0)
    assert list(first["rewind"]) == [0, 0, 5, 5] and list(first["restart"]) == [0, 1, 0, 1]
    np.testing.assert_array_equal(first["accuracy"][:2], first["accuracy"][2:])
    assert first["accuracy"][0] != first["accuracy"][1]
    assert (second["accuracy"][:2] != second["accuracy"][2:]).any()
    np.testing.assert_array_equal(first["left"], 64 - 12)
    np.testing.assert_array_equal(second["kept"], first["left"])
    np.testing.assert_array_equal(np.stack(first["layer_kept"])[0], [40, 20, 4])


def test_epochs_of_a_stream_have_fresh_points(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ImpPlan.of(linear())
    loaded, seen = plan.load(plan.settings[0]), []
    keys = plan.keys(loaded.network)
    source = loaded.source

    class Noting:
        points, fresh, image_shape, test = 40, True, None, source.test

        def epoch(self, number: int) -> Any:
            seen.append(number)
            return source.epoch(number)

    nets = NetBatch.create(loaded.network, keys)
    train(plan.get_trainer(), nets, Noting(), plan.config.recipe(), keys, 7, 15)
    assert seen == [1, 2]
    assert (source.epoch(1).x != source.epoch(2).x).all()


def test_pruning_counts_the_named_tensors_only() -> None:
    plan = ImpPlan.of(linear())
    loaded = plan.load(plan.settings[0])
    nets = NetBatch.create(loaded.network, plan.keys(loaded.network))
    left = pruned(nets, ("weight1",), 0.5)
    assert set(left) == {"weight1"} and left["weight1"].sum(axis=(1, 2)).tolist() == [10, 10]
    sizes = np.abs(nets.params["weight1"])
    gone = np.where(left["weight1"], 0, sizes).max(axis=(1, 2))
    assert (gone < np.where(left["weight1"], sizes, np.inf).min(axis=(1, 2))).all()
    back = rewound_to(nets, left)
    assert back.masks["weight0"].all() and not any(v.any() for v in back.momenta.values())
    np.testing.assert_array_equal(back.params["weight1"] != 0, left["weight1"])


def test_a_round_goes_on_where_it_was_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ImpPlan.of(linear(rewinds=(3,)))
    whole = all_rounds(plan, 0, tmp_path)
    monkeypatch.setattr(Halfway, "due", lambda self: True)
    masks = whole[0]["masks"]
    calls: list[int] = []
    fit = type(plan.get_trainer()).fit

    def dying(self: Any, *given: Any, **named: Any) -> Any:
        calls.append(given[4].start)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return fit(self, *given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(type(plan.get_trainer()), "fit", dying)
        with pytest.raises(KeyboardInterrupt):
            run_round(plan, 0, 1, masks, tmp_path)
    assert calls == [3, 5, 10]  # rewound to 3, cut in the last epoch
    with monkeypatch.context() as patch:
        patch.setattr(type(plan.get_trainer()), "fit", dying)
        columns = run_round(plan, 0, 1, masks, tmp_path)
    assert calls[3:] == [10]  # and only that is done again
    np.testing.assert_array_equal(columns["accuracy"], whole[1]["accuracy"])
    np.testing.assert_array_equal(np.stack(columns["mask"]), np.stack(whole[1]["mask"]))


def test_points_that_stay_are_cut_between_epochs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    monkeypatch.setattr(training, "epochs_of_segment", lambda seconds: 1)
    monkeypatch.setattr(Halfway, "due", lambda self: True)
    plan = ImpPlan.of(images(epochs=3))
    kept, plain = all_rounds(plan, 0, tmp_path), all_rounds(plan, 0)
    for columns, expected in zip(kept, plain, strict=True):
        np.testing.assert_array_equal(columns["accuracy"], expected["accuracy"])
        np.testing.assert_array_equal(np.stack(columns["mask"]), np.stack(expected["mask"]))


def test_what_diverges_is_not_pruned(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = ImpPlan.of(linear())
    first = all_rounds(plan, 0)[0]
    loaded = plan.load(plan.settings[0])
    score = type(plan.get_trainer()).score

    def one_lost(self: Any, nets: NetBatch, task: Any) -> Any:
        found = score(self, nets, task)
        return dataclasses.replace(found, diverged=np.array([False, True]))

    monkeypatch.setattr(type(plan.get_trainer()), "score", one_lost)
    columns = run_round(plan, 0, 1, first["masks"])
    assert list(columns["status"]) == ["ok", "diverged"]
    assert columns["left"].tolist() == [52 - 10, 52]
    left = unpack(np.stack(columns["mask"]), dense_masks(plan, loaded))
    for name, mask in left.items():
        np.testing.assert_array_equal(mask[1], first["masks"][name][1])


def test_weights_to_rewind_to_are_kept_and_made_again(tmp_path: Path) -> None:
    plan = ImpPlan.of(linear(rewinds=(6,)))
    loaded = plan.load(plan.settings[1])
    made = dense_at(plan, loaded, 1, 6, tmp_path)
    path = tmp_path / "dense" / "1-6.npz"
    assert kept_dense(tmp_path, "1-6", made) is not None
    path.write_bytes(path.read_bytes()[:-40])
    again = dense_at(plan, loaded, 1, 6, tmp_path)
    for name, a in made.params.items():
        np.testing.assert_array_equal(again.params[name], a)
    assert dense_at(plan, loaded, 1, 0, tmp_path).params.keys() == made.params.keys()
    assert not (tmp_path / "dense" / "1-0.npz").exists()


def test_shards_are_rounds_of_a_setting_in_their_order() -> None:
    plan = ImpPlan.of(linear(widths=("5x4", "3"), rewinds=(0, 2)))
    shards = all_shards(plan)
    assert len(shards) == 4 * 4 and plan.chains == 4
    assert [place_of(plan, shard) for shard in shards[3:6]] == [(0, 3), (1, 0), (1, 1)]
    given = list(imp_course(plan, []).todo())
    assert [place_of(plan, shard) for shard in given] == [(place, 0) for place in range(4)]
    given = list(imp_course(plan, [shards[0], shards[1], shards[4]]).todo())
    assert [place_of(plan, s) for s in given] == [(0, 2), (1, 1), (2, 0), (3, 0)]
    assert place_of(plan, shards[-1]) == (3, 3)


def test_identity_leaves_out_what_no_row_depends_on() -> None:
    plain = ImpPlan.of(linear())
    other = ImpPlan.of(linear(tolerances=(0.01, 0.02)))
    assert plain.identity() == other.identity() and plain.name() == other.name()
    more = ImpPlan.of(linear(latent=7))
    assert plain.identity() != more.identity() and plain.name() != more.name()


def test_small_mlps_are_trained_by_the_sparse_kernel() -> None:
    assert ImpPlan.of(linear()).trainer == "sparse"
    assert ImpPlan.of(linear(inputs=20)).trainer == "vmap"
    assert ImpPlan.of(linear(nesterov=True)).trainer == "vmap"


@pytest.mark.parametrize(
    ("kind", "changes", "words"),
    [
        (LinearConfig, {"dimensions": (16, 200)}, ("200", "128", "--latent")),
        (LinearConfig, {"latent": 2000}, ("2000", "1024")),
        (LinearConfig, {"share": 1.0}, ("share", "1", "between 0 and 1")),
        (LinearConfig, {"rewinds": (-1,)}, ("rewinds", "-1")),
        (LinearConfig, {"tolerances": (-0.1,)}, ("tolerances", "-0.1")),
        (LinearConfig, {"tolerances": (1.0,)}, ("tolerances", "1.0", "below 1")),
        (LinearConfig, {"rounds": 10**11}, ("rounds", "100000000000", "at most 10000")),
        (LinearConfig, {"dimensions": ()}, ("no dimensions",)),
        (LinearConfig, {"dimensions": (2.0,)}, ("dimensions", "2.0", "a list of whole numbers")),
        (SpiralConfig, {"targets": ()}, ("no targets",)),
        (ExtrinsicConfig, {"dimensions": (32, 10**23)}, ("dimensions", str(10**23), "4096")),
        (SpiralConfig, {"embedding": "round"}, ("'round'", "linear, distractors, both")),
        (SpiralConfig, {"dimensions": (2, 17)}, ("17", "2 to 16")),
        (SpiralConfig, {"targets": (1.5,)}, ("targets", "1.5")),
        (ExtrinsicConfig, {"points": -1}, ("points", "-1")),
        (IntrinsicConfig, {"test_points": 0}, ("test_points", "0")),
    ],
)
def test_bad_settings_are_named(
    kind: type[ImpConfig], changes: dict[str, Any], words: tuple[str, ...]
) -> None:
    with pytest.raises(UsageError) as caught:
        kind(**changes)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (linear(widths=("5x",)), ("'5x'", "256x128")),
        (linear(widths=("9" * 5000,)), ("widths", "256x128")),
        (images(dimensions=(8, 1)), ("1 x 1", "from 4 up")),
        (linear(trainer=f"{__name__}:Own"), ("'own'", "vmap")),
        (images(widths=("4x4",)), ("'4x4'", "whole number")),
        (linear(rewinds=(15,)), ("15", "15 steps")),
        (linear(batch_size=64), ("64", "40 points")),
        (linear(keep=("conv1",)), ("'conv1'", "weight0")),
        (linear(keep=("weight0", "weight1", "weight2")), ("all layers",)),
        (linear(trainer="sparse", inputs=20), ("sparse", "inputs", "vmap")),
        (images(task="xor"), ("'xor'", "fashion-mnist")),
        (images(points=10**6), ("1000000",)),
        (images(network="resnet9"), ("resnet9",)),
        (images(network="cnn"), ("'cnn'", "mlp", "resnet20")),
        (IntrinsicConfig(), ("--generator",)),
        (IntrinsicConfig(generator="no.safetensors"), ("no.safetensors",)),
    ],
)
def test_what_does_not_fit_is_named(
    config: ImpConfig, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    with pytest.raises(UsageError) as caught:
        ImpPlan.of(config)
    assert all(word in str(caught.value) for word in words), caught.value


def test_lists_of_a_file_may_be_numbers_and_keep_may_be_empty() -> None:
    config = linear(widths=(8, "6x5"), keep=(), dimensions=(2, 5, 2))
    assert (config.widths, config.dimensions) == (("8", "6x5"), (2, 5))
    assert config.kept_layers == () and config.digest() == linear(widths=("8", "6x5")).digest()
    with pytest.raises(UsageError, match="widths is"):
        linear(widths=(True,))


@pytest.fixture
def small_gan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Weights of a generator with 8 latent coordinates."""
    monkeypatch.setenv("COMBSEARCH_DATA", str(PIECES))
    path = tmp_path / "g.safetensors"
    words = ["--steps", "1", "--batch", "4", "--latent", "8", "-o", str(path)]
    assert main(["study", "dimensionality", "generator", "train", *words]) == 0
    return path


def test_a_generator_must_have_all_dimensions_and_stay_what_it_was(small_gan: Path) -> None:
    config = IntrinsicConfig(
        generator=str(small_gan), network="mlp", widths=("3",), dimensions=(2, 8), rewinds=(1,),
        points=20, test_points=10, batch_size=5, epochs=1,
    )  # fmt: skip
    with pytest.raises(UsageError, match=r"dimensions holds 9, .* has 8 latent"):
        ImpPlan.of(dataclasses.replace(config, dimensions=(2, 9)))
    plan = ImpPlan.of(config)
    first, second = (plan.load(setting).source.epoch(0).x for setting in plan.settings)
    assert (first != second).any()
    content = bytearray(small_gan.read_bytes())
    content[-2] ^= 1  # of the last number
    small_gan.write_bytes(content)
    plan.load(plan.settings[1])  # is in memory
    with pytest.raises(RunMismatchError, match=r"g\.safetensors.* changed while the run"):
        plan.load(plan.settings[0])


def test_keys_put_all_seeds_into_one_block() -> None:
    plan = ImpPlan.of(linear(seeds=5))
    keys = plan.keys(plan.load(plan.settings[0]).network)
    assert len(keys) == 5 and len(set(keys.blocks().tolist())) == 1
    other = dataclasses.replace(plan.config, seed=1)
    assert (ImpPlan.of(other).keys(plan.load(plan.settings[0]).network).seed) == 1
