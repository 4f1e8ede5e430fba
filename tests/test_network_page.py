"""The page of a network: what Python puts into it, and what it refuses in a line."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from combsearch.cli import main
from combsearch.errors import UsageError
from combsearch.mask import MaskBatch, NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.report.made_by import command_of, run_of, seed_of
from combsearch.report.network.page import network_item, network_page
from combsearch.rng import RunKeys
from combsearch.runfile import create_identity
from combsearch.saved_network import (
    NETWORK_FACTS,
    About,
    network_facts,
    read_network,
    save_network,
)
from combsearch.search.certify import certify
from combsearch.tasks import load_task

Capture = pytest.CaptureFixture[str]
MEGABYTE = 10**6


def make_nets(text: str, density: float = 1.0, inputs: int = 2, outputs: int = 1) -> NetBatch:
    shape = NetShape.parse(text, inputs=inputs, outputs=outputs)
    rng = np.random.default_rng(0)
    keys = RunKeys.make(0, np.arange(1), ["0.05:cosine"], np.zeros(1, int))
    masks = MaskBatch.from_dense(shape, [rng.random((1, *s)) < density for s in shape.layers])
    return NetBatch.create(MLP(shape), keys, masks)


def data_of(content: bytes) -> dict[str, Any]:
    """What a page's scripts read."""
    block = re.search(r'<script type="application/json" id="data">(.*?)</script>', content.decode())
    assert block is not None
    found: dict[str, Any] = json.loads(block[1])
    return found


def shown(path: Path, task: str = "xor") -> bytes:
    return network_page(path, read_network(path), load_task(task))


def again(path: Path, task: str, given: str | None) -> Any:
    """The command of a page that evaluates the network again."""
    return data_of(network_page(path, read_network(path), load_task(task), given))["certify"]


def test_the_page_says_what_the_certificate_says(root: Path) -> None:
    path, task = root / "results/descend-0.95/best.npz", load_task("cubist_spiral")
    content = network_page(path, read_network(path), task)
    data, found = data_of(content), certify(path, task)
    about = dict(data["item"]["about"])
    assert about["shape"] == "(3,1,3), 2 inputs, 1 output"
    assert about["nonzeros"] == f"{found.nonzeros} ({found.weight_nonzeros} weights, 8 biases)"
    assert about["effective nonzeros"] == str(found.effective_nonzeros)
    assert about["counting"] == found.counting
    assert about["accuracy, certified"] == f"96.36% ({found.correct_float64:,} right)"
    assert about["decided by rounding"] == f"{found.undecided} points at most"
    assert about["seed"] == "0"
    assert data["item"]["command"].startswith("combsearch descend --target 0.95 --shapes 8x2x3,")
    assert data["certify"] == "combsearch certify best.npz"
    assert data["title"] == f"{found.nonzeros} nonzeros, 96.36% of cubist_spiral"
    assert data["disagreements"] == []
    x = np.frombuffer(base64.b64decode(data["task"]["x"]), "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(x, task.x)
    y = np.frombuffer(base64.b64decode(data["task"]["y"]), np.uint8)
    np.testing.assert_array_equal(y, task.y)
    [rows, columns, values] = data["item"]["network"]["weights"][1]
    weight = read_network(path).nets.params["weight1"][0]
    np.testing.assert_array_equal(np.float32(values), weight[rows, columns])
    assert len(values) == np.count_nonzero(weight)


def test_a_network_takes_less_than_a_megabyte(tmp_path: Path, root: Path) -> None:
    save_network(tmp_path / "dense.npz", make_nets("16,16,16"))
    content = shown(tmp_path / "dense.npz", "cubist_spiral")
    assert len(content) < MEGABYTE
    assert content == shown(tmp_path / "dense.npz", "cubist_spiral")
    wide = make_nets("64,64,64")
    save_network(tmp_path / "wide.npz", wide)
    assert len(shown(tmp_path / "wide.npz", "cubist_spiral")) < MEGABYTE


def test_an_item_says_only_what_stays_true() -> None:
    nets = make_nets("5,4", 0.7)
    seed = 2**63 + 1
    facts: About = {"task": "xor", "accuracy": 0.99996, "cell": "0.05:cosine", "seed": seed}
    item = network_item("a", nets, 0, {**facts, "nonzeros": 3, "mask": "ff", "epochs": 50}, "made")
    assert item["command"] == "made" and item["name"] == "a"
    # A whole number that JavaScript cannot hold goes through as a text.
    assert item["file"] == {**facts, "seed": str(seed), "epochs": 50}
    about = [
        ["task", "xor"],
        ["accuracy", "99.99%"],
        ["recipe (learning rate, schedule)", "0.05:cosine"],
    ]
    assert item["about"] == [*about, ["seed", str(seed)], ["epochs", "50"]]  # fmt: skip
    assert "command" not in network_item("a", nets, 0, {})
    assert tuple(network_facts(nets)) == NETWORK_FACTS


@pytest.mark.parametrize("value", [1e308, -5, 10**400, "<b>"], ids=["far", "below", "huge", "text"])
def test_an_accuracy_that_is_none_stands_as_it_is(value: str | float) -> None:
    item = network_item("a", make_nets("2"), 0, {"accuracy": value})
    assert item["about"] == [["accuracy", str(value)]]


def test_what_does_not_hold_is_told(tmp_path: Path) -> None:
    facts: About = {"task": "xor", "accuracy": 1.0}
    save_network(tmp_path / "a.npz", make_nets("3,2"), about=facts)
    [sentence] = data_of(shown(tmp_path / "a.npz"))["disagreements"]
    assert sentence.startswith("accuracy is stated as 1.0 and is 0.")


def test_the_command_of_another_task_is_told_how_to_be_given_it(tmp_path: Path) -> None:
    save_network(tmp_path / "a b.npz", make_nets("3,2"))
    command = "combsearch certify 'a b.npz'"
    for given, words in [
        (None, ""),
        ("xor", " --task xor"),
        ("data/clouds.csv", " --task data/clouds.csv"),
        ("/data/my clouds.csv", " --task 'my clouds.csv'"),
        ("tasks:Clouds", " --task tasks:Clouds"),
    ]:
        assert again(tmp_path / "a b.npz", "xor", given) == command + words


def test_the_command_is_found_where_the_file_lies(tmp_path: Path) -> None:
    run = tmp_path / "run"
    identity = {"command": "phase1", "config": {"target": 0.9, "full": True}, "numerics": 1}
    create_identity(run, identity)
    (run / "frontier").mkdir()
    for path in (run / "best.npz", run / "frontier" / "22.npz"):
        assert run_of(path) == run
    assert run_of(tmp_path / "best.npz") is None
    assert command_of(run) == "combsearch phase1 --full --target 0.9"
    (run / "sessions").mkdir()
    made = {"made_with": {"command": "combsearch phase1 --from-a-part"}}
    (run / "sessions" / "a.json").write_text(json.dumps(made))
    assert command_of(run) == "combsearch phase1 --from-a-part"
    (run / "summary.json").write_text("[[[")  # damaged: as if it were not there
    assert command_of(run) == "combsearch phase1 --from-a-part"
    made = {"made_with": {"command": "combsearch phase1 --from-all"}}
    (run / "summary.json").write_text(json.dumps(made))
    assert command_of(run) == "combsearch phase1 --from-all"


def test_a_run_tells_the_seed_of_a_file_that_does_not(root: Path, tmp_path: Path) -> None:
    path = tmp_path / "run" / "best.npz"
    path.parent.mkdir()
    for name in ("run.json", "summary.json"):
        shutil.copy(root / "results/phase1-0.95" / name, path.parent)
    save_network(path, read_network(root / "results/phase1-0.95/best.npz").nets)
    assert read_network(path).about == {}  # as older ones are: the file itself tells nothing
    assert data_of(shown(path, "cubist_spiral"))["item"]["file"] == {"seed": 0}
    for text in ("[]", "[[[", '{"seed": "3"}', '{"seed": true}'):
        (tmp_path / "summary.json").write_text(text)
        assert seed_of(tmp_path) is None


def test_no_command_is_made_up(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert command_of(tmp_path) is None
    nested = {"command": "study x", "config": {"a": {"b": 1}}, "numerics": 1}
    create_identity(tmp_path / "study", nested)
    assert command_of(tmp_path / "study") is None
    started = {"command": "prune", "config": {"widths": [4]}, "init_digest": "ab", "numerics": 1}
    create_identity(tmp_path / "started", started)  # from a network that it does not name
    assert command_of(tmp_path / "started") is None


def test_networks_of_a_comparison_tell_its_command(root: Path) -> None:
    path = root / "results/compare-sap/networks/sap-0.95.npz"
    command = data_of(shown(path, "cubist_spiral"))["item"]["command"]
    assert command.startswith("combsearch compare ")


def one_line(capsys: Capture) -> str:
    text = capsys.readouterr().err
    assert text.count("\n") == 1 and text.startswith("combsearch: "), text
    return text


def test_bad_networks_are_refused_in_a_line(tmp_path: Path, capsys: Capture) -> None:
    page = tmp_path / "page.html"
    damaged = tmp_path / "damaged.npz"
    save_network(damaged, make_nets("3,2"), about={"task": "xor"})
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert main(["show", str(damaged), "-o", str(page)]) == 4
    assert "damaged.npz is not a readable .npz file" in one_line(capsys)
    wide = tmp_path / "wide.npz"
    save_network(wide, make_nets("65,2"), about={"task": "xor"})
    assert main(["show", str(wide), "-o", str(page)]) == 2
    assert "keeps 65 neurons of a layer, and a page draws at most 64" in one_line(capsys)
    other = tmp_path / "other.npz"
    save_network(other, make_nets("3,2", inputs=3), about={"task": "xor"})
    assert main(["show", str(other), "-o", str(page)]) == 2
    assert "has 3 inputs and 1 outputs, but task 'xor' needs 2" in one_line(capsys)
    assert main(["show", str(tmp_path / "none.npz"), "-o", str(page)]) == 2
    assert "there is no file" in one_line(capsys)
    assert not page.exists()


def test_wide_networks_show_what_they_keep(tmp_path: Path) -> None:
    """Of 65 neurons of which one keeps nothing a page draws 64; more that keep anything: none."""
    nets = make_nets("65,2")
    for name in ("weight0", "bias0"):
        for arrays in (nets.params, nets.masks):
            arrays[name][0, 7] = 0
    nets.params["weight1"][0, :, 7] = nets.masks["weight1"][0, :, 7] = 0
    assert network_item("a", nets, 0, {})["network"]["widths"] == [2, 64, 2, 1]
    with pytest.raises(UsageError, match="at most 64"):
        network_item("a", make_nets("65,2"), 0, {})
