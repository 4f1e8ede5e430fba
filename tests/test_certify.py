"""search.certify and its command: against sums in exact fractions, and files that lie."""

from __future__ import annotations

import dataclasses
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from naive import accuracy_of_mlp

from combsearch.commands.certify import certify_command
from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.frontier import KEPT, PRUNABLE, Found
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch, score
from combsearch.rng import RunKeys
from combsearch.saved_network import network_bytes, run_facts, save_network
from combsearch.saved_network.about import about_text
from combsearch.saved_network.arrays import network_arrays
from combsearch.saved_network.npz_file import npz_bytes
from combsearch.search.certify import certify, evaluate, plain_model, rounding_error
from combsearch.tasks import Task, cubist_spiral, load_task

Capture = pytest.CaptureFixture[str]


def make_nets(text: str = "4,3", outputs: int = 1, seed: int = 0) -> NetBatch:
    shape = NetShape.parse(text, outputs=outputs)
    keys = RunKeys.make(seed, np.arange(1), ["0.05:cosine"], np.zeros(1, int))
    rng = np.random.default_rng(seed)
    masks = MaskBatch.from_dense(shape, [rng.random((1, *s)) < 0.8 for s in shape.layers])
    return NetBatch.create(MLP(shape), keys, masks)


def points(n: int = 400, classes: int = 2, seed: int = 1) -> Task:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 2)).astype(np.float32)
    return Task("cloud", x, rng.integers(0, classes, n).astype(np.uint8), classes=classes)


def exact_logits(nets: NetBatch, x: np.ndarray[Any, Any]) -> list[list[Fraction]]:
    """Logits of every point without any rounding."""
    assert isinstance(nets.network, MLP)
    last = len(nets.network.shape.layers) - 1
    result = []
    for point in x:
        h = [Fraction(float(value)) for value in point]
        for layer in range(last + 1):
            weight, bias = nets.params[f"weight{layer}"][0], nets.params[f"bias{layer}"][0]
            h = [
                sum(
                    (Fraction(float(w)) * v for w, v in zip(row, h, strict=True)),
                    Fraction(float(b)),
                )
                for row, b in zip(weight, bias, strict=True)
            ]
            h = h if layer == last else [max(v, Fraction(0)) for v in h]
        result.append(h)
    return result


@pytest.mark.parametrize("outputs", [1, 3])
def test_correct_points_are_those_of_exact_arithmetic(outputs: int) -> None:
    for seed in range(4):
        nets, task = make_nets(outputs=outputs, seed=seed), points(classes=max(2, outputs))
        right = 0
        for logits, label in zip(exact_logits(nets, task.x), task.y, strict=True):
            guess = int(logits[0] > 0) if outputs == 1 else logits.index(max(logits))
            right += guess == label
        found = evaluate(nets, task)
        assert abs(found.correct_float64 - right) == 0
        assert abs(found.correct_float32 - right) <= found.undecided
        assert found.correct_float32 == score(nets, task).correct[0]


def test_points_that_rounding_decides_are_counted() -> None:
    """A logit that is 0 in exact arithmetic, and is not when summed in float32."""
    params = {
        "weight0": np.array([[[1.0, 0.1], [0.1, 1.0]]], np.float32),
        "bias0": np.array([[0.3, 0.3]], np.float32),
        "weight1": np.array([[[1.0, -1.0]]], np.float32),
        "bias1": np.zeros((1, 1), np.float32),
    }
    ones = {name: np.ones_like(p) for name, p in params.items()}
    nets = NetBatch(MLP(NetShape((2, 2, 1))), params, ones, ones)
    diagonal = np.repeat(np.linspace(0.1, 3, 50, dtype=np.float32)[:, None], 2, axis=1)
    apart = diagonal + np.array([0.5, 0], np.float32)
    x = np.concatenate([diagonal, apart])
    found = evaluate(nets, Task("line", x, np.r_[np.zeros(50), np.ones(50)].astype(np.uint8)))
    assert found.undecided == 50
    assert found.correct_float64 >= 50


def test_the_rounding_bound_holds_in_any_order_of_additions() -> None:
    """Float32 by numpy, inputs shuffled: the class changes on undecided points only."""
    rng = np.random.default_rng(4)
    nets = make_nets("9,8,7", seed=5)
    x = rng.normal(size=(4000, 2)).astype(np.float32) * 50
    labels = (score_float64(nets, x) > 0).astype(np.uint8)
    # Points moved onto the border, where rounding decides.
    low, high = (x[rng.choice(np.flatnonzero(labels == side), 200)] for side in (0, 1))
    for _ in range(60):
        middle = ((low + high) / 2).astype(np.float32)
        up = score_float64(nets, middle) > 0
        low, high = np.where(up[:, None], low, middle), np.where(up[:, None], middle, high)
    x = np.concatenate([low, high, x]).astype(np.float32)
    labels = (score_float64(nets, x) > 0).astype(np.uint8)
    found = evaluate(nets, Task("border", x, labels))
    bound = rounding_error(plain_model(nets, torch.float64), torch.tensor(x).double()).numpy()
    assert found.correct_float64 == len(x)
    flips = np.zeros(len(x), bool)
    for _ in range(20):
        logits = shuffled_float32(nets, x, rng)
        flips |= (logits > 0) != labels
        error = np.abs(logits - score_float64(nets, x))
        assert (error <= bound).all()
    assert (bound < 1e-4 * np.abs(x).max()).all()  # a bound that says something
    assert 0 < flips.sum() <= found.undecided < len(x) / 2
    assert len(x) - found.correct_float32 <= found.undecided


def score_float64(nets: NetBatch, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    h = x.astype(np.float64)
    for layer in range(4):
        h = h @ nets.params[f"weight{layer}"][0].T.astype(np.float64)
        h = h + nets.params[f"bias{layer}"][0]
        h = h if layer == 3 else np.maximum(h, 0)
    return np.asarray(h[:, 0])


def shuffled_float32(
    nets: NetBatch, x: np.ndarray[Any, Any], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    h = x
    for layer in range(4):
        weight, bias = nets.params[f"weight{layer}"][0], nets.params[f"bias{layer}"][0]
        out = []
        for row, b in zip(weight, bias, strict=True):
            terms = [row[i] * h[:, i] for i in range(len(row))] + [np.full(len(h), b)]
            total = np.zeros(len(h), np.float32)
            for i in rng.permutation(len(terms)):
                total = (total + terms[i]).astype(np.float32)
            out.append(total if layer == 3 else np.maximum(total, np.float32(0)))
        h = np.stack(out, axis=1)
    return np.asarray(h[:, 0])


def test_a_certificate_says_what_the_network_is(tmp_path: Path) -> None:
    nets, task = make_nets("5,4,3", seed=2), points()
    save_network(tmp_path / "net.npz", nets)
    found = certify(tmp_path / "net.npz", task)
    assert isinstance(nets.network, MLP)
    masks = MaskBatch.from_dense(
        nets.network.shape, [nets.masks[f"weight{layer}"] for layer in range(4)]
    )
    flat = np.concatenate(
        [nets.params[f"{k}{i}"].ravel() for i in range(4) for k in ("weight", "bias")]
    )
    assert found.accuracy_float32 == accuracy_of_mlp(flat, [2, 5, 4, 3, 1], task.x, task.y)
    assert found.accuracy == min(found.accuracy_float32, found.accuracy_float64)
    assert (found.nonzeros, found.weight_nonzeros) == (
        masks.nonzeros()[0],
        masks.weight_nonzeros()[0],
    )
    assert (found.counting, found.eligible) == (KEPT, bool(masks.eligible()[0]))
    assert found.eligible_unused_inputs == bool(masks.eligible(unused_inputs=True)[0])
    assert (found.shape, found.points, found.task) == ((2, 5, 4, 3, 1), 400, "cloud")
    assert (found.stated, found.disagreements) == ({}, ())
    assert found.found() == Found(
        found.nonzeros, found.accuracy, found.shape, found.effective_nonzeros, found.path
    )


def test_what_is_certified_is_the_lower_accuracy(tmp_path: Path) -> None:
    save_network(tmp_path / "net.npz", make_nets())
    found = certify(tmp_path / "net.npz", points())
    for single, double in ((100, 99), (99, 100)):
        changed = dataclasses.replace(found, correct_float32=single, correct_float64=double)
        assert (changed.accuracy_float32, changed.accuracy_float64) == (single / 400, double / 400)
        assert (
            changed.accuracy
            == changed.to_json()["accuracy"]
            == changed.found().accuracy
            == 99 / 400
        )


def test_evaluation_leaves_the_global_random_numbers_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    evaluate(make_nets(), points())
    assert torch.equal(torch.rand(3), expected)


def test_a_pruned_bias_is_counted_the_other_way(tmp_path: Path) -> None:
    nets = make_nets("3,3")
    nets.masks["bias1"][0, 0] = nets.params["bias1"][0, 0] = 0
    save_network(tmp_path / "net.npz", nets, about={})
    found = certify(tmp_path / "net.npz", points())
    assert found.counting == found.stated["counting"] == PRUNABLE
    assert found.nonzeros == sum(int(mask.sum()) for mask in nets.masks.values())


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_true_statements_agree(tmp_path: Path, suffix: str) -> None:
    nets, task, path = make_nets(), points(), tmp_path / f"net{suffix}"
    accuracy = float(score(nets, task).accuracy[0])
    for stated in (accuracy, round(accuracy, 4)):
        save_network(path, nets, about=run_facts(task="cloud", accuracy=stated, seed=3))
        assert certify(path, task).disagreements == ()
    save_network(path, nets, about=run_facts(task="other", accuracy=0.123))
    assert certify(path, task).disagreements == ()  # nothing is said about this task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"accuracy": 0.9999}, "accuracy is stated as 0.9999 and is"),
        ({"accuracy": 1e300}, "accuracy is stated as 1e+300"),
        ({"accuracy": "0.5"}, "accuracy is stated as '0.5'"),
        ({"accuracy": -1}, "accuracy is stated as -1"),
        ({"nonzeros": 7}, "nonzeros is stated as 7 and is 2"),
        ({"effective_nonzeros": 7}, "effective_nonzeros is stated as 7"),
        ({"shape": "2,1,1"}, "shape is stated as '2,1,1' and is '2,4,3,1'"),
        ({"mask": "ff"}, "mask is stated as 'ff'"),
        ({"counting": PRUNABLE}, "counting is stated as 'biases prunable' and is 'biases kept'"),
    ],
)
def test_false_statements_are_found(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "net.npz"
    path.write_bytes(
        npz_bytes(network_arrays(make_nets(), 0), about_text({"task": "cloud", **change}))
    )
    [found] = certify(path, points()).disagreements
    assert message in found


def test_one_point_more_than_rounding_allows_is_found(tmp_path: Path) -> None:
    nets, task = make_nets(), points()
    found = evaluate(nets, task)
    assert found.undecided == 0
    for off, disagreements in ((0, 0), (1, 1), (-1, 1)):
        about = run_facts(task="cloud", accuracy=(found.correct_float64 + off) / task.points)
        save_network(tmp_path / "net.npz", nets, about=about)
        assert len(certify(tmp_path / "net.npz", task).disagreements) == disagreements


def test_a_network_for_other_points_is_refused(tmp_path: Path) -> None:
    save_network(tmp_path / "net.npz", make_nets(outputs=3))
    with pytest.raises(
        UsageError, match="2 inputs and 3 outputs, but task 'cloud' needs 2 and 1 or 2"
    ):
        certify(tmp_path / "net.npz", points())


def test_an_overflow_decides_nothing(tmp_path: Path) -> None:
    nets = make_nets("3,3,3")
    for name in ("weight0", "weight1", "weight2", "weight3"):
        nets.params[name][:] = 3e38 * nets.masks[name]
    task = points()
    assert evaluate(nets, task).undecided > 0
    save_network(tmp_path / "net.npz", nets)
    assert 0 <= certify(tmp_path / "net.npz", task).accuracy <= 1


# ---- the command -----------------------------------------------------------------------------


def printed(capsys: Capture) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_reports_as_json_and_as_text(tmp_path: Path, capsys: Capture) -> None:
    nets, task = make_nets("3,3,3"), cubist_spiral()
    path, accuracy = tmp_path / "net.safetensors", float(score(nets, task).accuracy[0])
    save_network(path, nets, about=run_facts(task="cubist_spiral", accuracy=accuracy))
    report = certify_command(str(path), None, 0.01, True)
    assert printed(capsys) == report
    assert (report["task"], report["points"], report["target"]) == ("cubist_spiral", 49_982, 0.01)
    assert report["reached"] is report["agrees"] is True and report["accuracy"] == accuracy
    certify_command(str(path), "cubist_spiral", 0.01, False)
    text = capsys.readouterr().out
    assert f"nonzeros             {report['nonzeros']} (" in text
    assert "what it states       holds" in text and "reaches 0.01         yes" in text


@pytest.mark.parametrize(
    ("layer", "place", "text", "eligible"),
    [
        (0, (slice(None), 1), "biases kept; some inputs are not used", True),
        (1, (slice(None), 1), "; the mask is not eligible: a neuron has no weight in or", False),
        (0, 0, "; the mask is not eligible: a neuron has no weight in or none out", False),
    ],
)
def test_an_unused_input_is_told_from_a_mask_that_is_not_eligible(
    tmp_path: Path, capsys: Capture, layer: int, place: Any, text: str, eligible: bool
) -> None:
    nets, path = make_nets("3,3"), tmp_path / "net.npz"
    for arrays in (nets.masks, nets.params):
        for values in arrays.values():
            values[values == 0] = 1
        arrays[f"weight{layer}"][0][place] = 0
    save_network(path, nets)
    report = certify_command(str(path), "xor", None, False)
    assert (report["eligible"], report["eligible_unused_inputs"]) == (False, eligible)
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("counting")]
    assert text in line


def test_an_embedded_spiral_is_built_in(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    save_network(path, make_nets(), about={"task": "spiral_linear_2"})
    report = certify_command(str(path), None, None, True)
    assert (report["task"], report["points"]) == ("spiral_linear_2", 49_982)
    save_network(path, make_nets(), about={"task": "spiral_linear_99"})
    with pytest.raises(UsageError, match="embedded in 2 to 16 dimensions, not 99"):
        certify_command(str(path), None, None, True)


def test_a_lie_ends_with_4_and_a_missed_target_with_1(tmp_path: Path, capsys: Capture) -> None:
    path = tmp_path / "net.npz"
    arrays = network_arrays(make_nets("3,3,3"), 0)
    path.write_bytes(npz_bytes(arrays, about_text({"task": "xor", "accuracy": 0.9999})))
    with pytest.raises(CorruptDataError, match=r"net\.npz: accuracy is stated as 0\.9999") as lie:
        certify_command(str(path), None, None, True)
    assert lie.value.exit_code == 4
    report = printed(capsys)  # said before it fails
    assert report["task"] == "xor" and report["agrees"] is False and report["disagreements"]
    path.write_bytes(npz_bytes(arrays, None))
    with pytest.raises(CombsearchError, match=r"is below 0\.995") as missed:
        certify_command(str(path), "xor", 0.995, True)
    assert missed.value.exit_code == 1
    assert printed(capsys)["reached"] is False


def test_bad_requests_are_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    save_network(path, make_nets(), about={"task": "mine.csv"})
    for target in (1.5, 0.0, float("nan")):
        with pytest.raises(UsageError, match="is no accuracy"):
            certify_command(str(path), "xor", target, True)
    with pytest.raises(UsageError, match=r"task 'mine\.csv', which is not built in: give --task"):
        certify_command(str(path), None, None, True)
    with pytest.raises(UsageError, match="unknown task 'xr', did you mean 'xor'"):
        certify_command(str(path), "xr", None, True)
    with pytest.raises(UsageError, match="there is no file"):
        certify_command(str(tmp_path / "absent.npz"), None, None, True)
    with pytest.raises(UsageError, match="neither a saved network"):
        certify_command(str(tmp_path / "net.pt"), None, None, True, runs=str(tmp_path))
    with pytest.raises(UsageError, match=r"holds no best\.npz"):
        certify_command(str(tmp_path), None, None, True)


def test_a_file_cannot_make_code_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    save_network("net.npz", make_nets(), about={"task": "evil:task"})
    with pytest.raises(UsageError, match="not built in"):
        certify_command("net.npz", None, None, True)


@pytest.mark.parametrize("name", ["phase1-0.95", "phase1-0.995", "scatter"])
def test_the_published_networks_reach_what_was_published(
    root: Path, name: str, capsys: Capture
) -> None:
    folder = root / "results" / name
    if not (folder / "best.npz").is_file():
        pytest.skip(f"no results/{name}/best.npz in this checkout")
    summary = json.loads((folder / "summary.json").read_bytes())
    report = certify_command(str(folder), None, None, True)
    assert report["accuracy_float32"] == summary["accuracy"] and report["counting"] == KEPT
    assert report["nonzeros"] == NetShape.from_json(summary["best_shape"]).dense_nonzeros
    assert capsys.readouterr().out


def test_the_published_initialisations_are_read(shared: Path, capsys: Capture) -> None:
    report = certify_command(str(shared / "data" / "bench-95-init.npz"), None, None, True)
    assert report["shape"] == [2, 16, 16, 16, 1] and report["nonzeros"] == 609
    assert load_task(report["task"]).points == report["points"] and capsys.readouterr().out
    assert network_bytes(make_nets())
