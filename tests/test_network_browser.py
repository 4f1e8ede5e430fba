"""The page of a network in a real browser: it computes as PyTorch does, and edits as it says."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from browser import browser_of, opened, screenshot
from playwright.sync_api import Browser, Download, Page, expect

from combsearch.connectivity import (
    biases_kept,
    connected,
    effective_nonzeros,
    neurons,
    nonzeros,
)
from combsearch.mask import NetShape
from combsearch.nets import MLP, NetBatch
from combsearch.report.network.data import network_json
from combsearch.report.network.page import network_page
from combsearch.report.points import task_json
from combsearch.saved_network import (
    About,
    load_network,
    network_facts,
    read_network,
    save_network,
)
from combsearch.search.certify import certify, evaluate, plain_model
from combsearch.tasks import Task, load_task

PHONE = (390, 844)


@pytest.fixture(scope="module")
def browser(kernel_cache: Path) -> Iterator[Browser]:
    with browser_of(kernel_cache) as found:
        yield found


@pytest.fixture(scope="module")
def spiral() -> Task:
    return load_task("cubist_spiral")


@pytest.fixture(scope="module")
def source(root: Path) -> Path:
    return root / "results/descend-0.995/best.npz"


@pytest.fixture(scope="module")
def html(source: Path, spiral: Task, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return page_of(source, spiral, tmp_path_factory.mktemp("page"))


def page_of(source: Path, task: Task, folder: Path) -> Path:
    path = folder / f"{source.stem}.html"
    path.write_bytes(network_page(source, read_network(source), task))
    return path


def random_nets(widths: tuple[int, ...], density: float, seed: int, size: float = 1.0) -> NetBatch:
    """An MLP with random masks, of biases too."""
    rng, network = np.random.default_rng(seed), MLP(NetShape(widths))
    params, masks = {}, {}
    for layer, (rows, columns) in enumerate(network.shape.layers):
        for name, shape in ((f"weight{layer}", (1, rows, columns)), (f"bias{layer}", (1, rows))):
            masks[name] = (rng.random(shape) < density).astype(np.float32)
            values = rng.normal(size=shape).astype(np.float32) * np.float32(size)
            params[name] = values * masks[name]
    momenta = {name: np.zeros_like(array) for name, array in params.items()}
    return NetBatch(network, params, masks, momenta)


def changed(nets: NetBatch, **wanted: float | None) -> NetBatch:
    """The same with parameters such as ``weight1_0_2`` moved, or masked by None."""
    params = {name: array.copy() for name, array in nets.params.items()}
    masks = {name: array.copy() for name, array in nets.masks.items()}
    for name, value in wanted.items():
        key, *place = name.split("_")
        at = (0, *map(int, place))
        params[key][at] = 0 if value is None else np.float32(value)
        masks[key][at] = value is not None
    return NetBatch(nets.network, params, masks, nets.momenta)


def without_neuron(nets: NetBatch, layer: int, neuron: int) -> NetBatch:
    """All that leads on from neuron ``neuron`` of column ``layer`` masked."""
    rows = nets.masks[f"weight{layer}"].shape[1]
    return changed(nets, **{f"weight{layer}_{row}_{neuron}": None for row in range(rows)})


def counts(nets: NetBatch, task: Task) -> tuple[int, int, int]:
    """Points classified right, nonzeros, effective nonzeros, as Python finds them."""
    correct = evaluate(nets, task).correct_float64
    return correct, int(nonzeros(nets)[0]), int(effective_nonzeros(nets)[0])


def score(page: Page) -> tuple[int, int, int]:
    """The same as the page says."""
    number = [text.replace(",", "") for text in page.locator(".score .figure").all_inner_texts()]
    points = page.locator(".score .note").first.inner_text().replace(",", "")
    found = re.match(r"\d+", points)
    assert found is not None
    return int(found[0]), int(number[1]), int(number[2])


def key(page: Page) -> list[str]:
    """What the signs and colours of the drawing mean."""
    return page.locator(".key li").all_inner_texts()


def edge(page: Page, layer: int, row: int, column: int, last: int = 3) -> Any:
    """The edge of one weight; people count from 1."""
    start = f"input x{column + 1}" if layer == 0 else f"neuron {column + 1} of layer {layer}"
    end = "the output" if layer == last else f"neuron {row + 1} of layer {layer + 1}"
    return page.locator(f'.edge[aria-label^="weight from {start} to {end}, "]')


def middle(page: Page, found: Any) -> tuple[float, float]:
    """Where the middle of an edge's curve lies in the window."""
    x, y = found.evaluate(
        "path => { const at = path.getPointAtLength(path.getTotalLength() / 2)"
        "  .matrixTransform(path.getScreenCTM()); return [at.x, at.y]; }"
    )
    return x, y


def click_edge(page: Page, found: Any) -> None:
    page.mouse.click(*middle(page, found))


def settled(page: Page) -> None:
    """Wait until what was asked for is drawn."""
    page.evaluate(
        "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    )


VALUES = """([text, every]) => {
  const x = Page.floats(Page.data().task.x);
  const places = d3.range(0, x.length / 2, every);
  const evaluators = new Map();
  return JSON.stringify(JSON.parse(text).map((network) => {
    const key = String(network.widths);
    const columns = Forward.columnsOf(x, 2, places);
    if (!evaluators.has(key)) evaluators.set(key, Forward.evaluator(columns, network.widths));
    const evaluator = evaluators.get(key);
    evaluator.refresh(Forward.unpacked(network));
    return evaluator.values.map((layer) => layer.map((values) => [...values]));
  }));
}"""


def test_the_forward_pass_is_pytorchs(browser: Browser, html: Path, spiral: Task) -> None:
    """Of every neuron at real points; networks of one shape follow another, as edits do."""
    shapes = [(2, 7, 3, 3, 1), (2, 16, 16, 16, 1), (2, 5, 4, 3), (2, 1, 1)]
    drawn = [
        random_nets(shape, density, seed, 0.7)
        for seed, density in enumerate((1.0, 0.6, 0.3))
        for shape in shapes
    ]
    first = random_nets(shapes[0], 0.8, 9)
    nets = [*drawn, first, changed(first, weight1_0_2=1.5), without_neuron(first, 1, 3), first]
    every = 293
    with opened(browser, html) as page:
        text = json.dumps([network_json(one) for one in nets])
        found = json.loads(page.evaluate(VALUES, [text, every]))
    x = torch.tensor(spiral.x[::every])
    for one, layers in zip(nets, found, strict=True):
        expected = activations(one, x)
        assert len(layers) == len(expected)
        for mine, theirs in zip(layers, expected, strict=True):
            np.testing.assert_allclose(np.array(mine).T, theirs.numpy(), rtol=0, atol=1e-4)


def activations(nets: NetBatch, x: torch.Tensor) -> list[torch.Tensor]:
    """Of PyTorch: the inputs, every hidden layer after ReLU, the logits."""
    model = list(plain_model(nets, torch.float32))
    found, value = [x], x
    for at, step in enumerate(model):
        value = step(value)
        if isinstance(step, torch.nn.ReLU) or at == len(model) - 1:
            found.append(value)
    return found


CONNECTED = """(text) => JSON.stringify(JSON.parse(text).map((network) => {
  const net = Forward.unpacked(network);
  const { biases, neurons, weights } = Connectivity.connected(net);
  return { biases: biases.map((one) => [...one]), weights: weights.map((one) => [...one]), neurons,
    nonzeros: Connectivity.nonzeros(net), effective: Connectivity.effectiveNonzeros(net),
    kept: Connectivity.biasesKept(net), words: Npz.words(net) };
}))"""


def test_what_is_connected_is_pythons(browser: Browser, html: Path) -> None:
    rng = np.random.default_rng(1)
    shapes = [(2, 4, 3, 3, 1), (3, 2, 5, 2), (2, 6, 1), (2, 9, 8, 7, 1)]
    nets = [
        random_nets(shapes[seed % len(shapes)], float(rng.uniform(0.1, 0.9)), seed)
        for seed in range(240)
    ]
    assert len({bool(biases_kept(one)[0]) for one in nets}) == 2  # both kinds are there
    with opened(browser, html) as page:
        text = json.dumps([network_json(one) for one in nets])
        found = json.loads(page.evaluate(CONNECTED, text))
    for one, mine in zip(nets, found, strict=True):
        assert mine["nonzeros"] == nonzeros(one)[0]
        assert mine["effective"] == effective_nonzeros(one)[0]
        assert mine["kept"] == biases_kept(one)[0]
        assert mine["words"] == network_facts(one)["mask"]
        counting = connected(one.masks)
        for layer in range(len(mine["weights"])):
            np.testing.assert_array_equal(
                mine["weights"][layer], counting[f"weight{layer}"].ravel()
            )
            np.testing.assert_array_equal(mine["biases"][layer], counting[f"bias{layer}"].ravel())
        for name in ("fed", "constant", "reaching"):
            theirs = getattr(neurons(one.masks), name)
            assert mine["neurons"][name] == [layer[0].tolist() for layer in theirs]


def test_edits_are_seen_at_once_and_can_be_undone(
    browser: Browser, html: Path, source: Path, spiral: Task, tmp_path: Path
) -> None:
    nets = load_network(source)
    start = counts(nets, spiral)
    with opened(browser, html) as page:
        assert score(page) == start
        certificate = certify(source, spiral)
        title = (
            f"{start[1]} nonzeros, {int(certificate.accuracy * 1e4) / 100:.2f}% of {spiral.name}"
        )
        assert page.locator("h1").inner_text() == title
        assert page.locator(".kind").inner_text() == "Network descend-0.995/best.npz"
        weights = certificate.weight_nonzeros
        split = f"{weights} weights, {start[1] - weights} biases"
        assert split == page.locator(".score .note").nth(1).inner_text()
        assert "output: class 0\nclass 1; fainter is less sure" in key(page)
        assert page.get_by_role("button", name="Undo").is_disabled()
        screenshot(page, "network-light")

        # An edge off and on, under the pointer.
        row, column = kept(nets, 1)
        found = edge(page, 1, row, column)
        page.mouse.move(*middle(page, found))
        value = float(nets.params["weight1"][0, row, column])
        assert f"{value:.4g}".replace("-", "−")[:5] in page.locator(".tip").inner_text()
        click_edge(page, found)
        no_edge = counts(changed(nets, **{f"weight1_{row}_{column}": None}), spiral)
        assert score(page) == no_edge != start
        split = f"{weights - 1} weights, {start[1] - weights} biases; was {start[1]}"
        assert split == page.locator(".score .note").nth(1).inner_text()
        assert found.get_attribute("aria-pressed") == "false"
        settled(page)
        assert "off" in str(found.get_attribute("class"))
        screenshot(page, "network-edge-off")

        # A neuron off too: all that leads on from it.
        page.locator('.neuron[aria-label^="neuron 2 of layer 3"]').click()
        both = without_neuron(changed(nets, **{f"weight1_{row}_{column}": None}), 3, 1)
        assert score(page) == counts(both, spiral)
        assert "neuron 2 of layer 3 switched off. Accuracy" in page.locator("#said").inner_text()
        page.keyboard.press("Control+z")
        assert score(page) == no_edge
        page.keyboard.press("Control+z")
        assert score(page) == start
        page.keyboard.press("Control+Shift+Z")
        assert score(page) == no_edge
        page.get_by_role("button", name="Reset").click()
        assert score(page) == start
        page.get_by_role("button", name="Undo").click()
        assert score(page) == no_edge
        page.get_by_role("button", name="Reset").click()


def test_weights_and_biases_move_and_the_file_is_what_is_shown(
    browser: Browser, html: Path, source: Path, spiral: Task, tmp_path: Path
) -> None:
    nets = load_network(source)
    start = counts(nets, spiral)
    row, column = kept(nets, 1)
    with opened(browser, html) as page:
        # A bias by its slider, a weight by its number; a bias off.
        found = edge(page, 1, row, column)
        page.get_by_text("only select").click()
        page.locator('.neuron[aria-label^="neuron 1 of layer 1"]').click()
        assert score(page) == start
        slider = page.get_by_role("slider")
        assert "active at" in page.locator(".panel").inner_text()
        active = float((activations(nets, torch.tensor(spiral.x))[1][:, 0] > 0).float().mean())
        assert f"active at {int(active * 1e4) / 100:.2f}%" in page.locator(".panel").inner_text()
        drag(page, slider)
        moved = float(np.float32(page.locator(".panel input[type=number]").input_value()))
        exact = page.evaluate(
            "() => Number(document.querySelector('.panel input[type=range]').value)"
        )
        assert moved == pytest.approx(exact, rel=1e-5) and exact > 1
        assert score(page) == counts(changed(nets, bias0_0=exact), spiral)
        assert page.get_by_role("button", name="Undo").is_enabled()
        page.keyboard.press("Control+z")  # the whole way of the slider is one step
        assert score(page) == start
        page.get_by_role("button", name="Switch off the bias").click()
        assert score(page) == counts(changed(nets, bias0_0=None), spiral)
        page.get_by_role("button", name="Restore").click()
        click_edge(page, found)
        number = page.get_by_label("weight, value")
        number.fill("0.125")
        number.press("Enter")
        final = changed(nets, **{f"weight1_{row}_{column}": 0.125})
        assert score(page) == counts(final, spiral)
        page.get_by_text("switch off or on").click()
        other = kept(nets, 0, 1)
        click_edge(page, edge(page, 0, *other))
        final = changed(final, **{f"weight0_{other[0]}_{other[1]}": None})
        assert score(page) == counts(final, spiral)

        # Downloaded it is the same network, and says what is true.
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download network").click()
        again = saved(waiting.value, tmp_path)
        shown = score(page)
    assert again.name == "descend-0.995-best-edited.npz"
    check_download(again, final, spiral, shown)
    assert read_network(again).about["edited"] == "1 parameter switched off, 1 parameter moved"
    with opened(browser, page_of(again, spiral, tmp_path)) as page:
        assert score(page) == shown


def test_while_a_slider_moves_a_large_network_counts_some_points(
    browser: Browser, spiral: Task, tmp_path: Path
) -> None:
    nets = random_nets((2, 16, 16, 16, 1), 1.0, 6, 0.3)
    save_network(tmp_path / "wide.npz", nets, about={"task": "cubist_spiral"})
    with opened(browser, page_of(tmp_path / "wide.npz", spiral, tmp_path)) as page:
        page.get_by_text("only select").click()
        page.locator('.neuron[aria-label^="neuron 3 of layer 2"]').click()
        slider = page.get_by_role("slider")
        drag(page, slider, up=False)
        settled(page)
        about = page.locator(".score .figure").first.inner_text()
        points = int(page.locator(".score .note").first.inner_text().split()[2].replace(",", ""))
        assert about.startswith("about ") and spiral.points / 9 < points < spiral.points / 2
        page.mouse.up()
        found = slider.evaluate("slider => Number(slider.value)")
        exact = counts(changed(nets, bias1_2=found), spiral)
        assert score(page) == exact
        share = 100 * exact[0] / spiral.points
        assert abs(float(about[6:-1]) - share) < 2  # what was shown was about that
        settled(page)
        screenshot(page, "network-16-wide")


def kept(nets: NetBatch, layer: int, which: int = 0) -> tuple[int, int]:
    rows, columns = np.nonzero(nets.masks[f"weight{layer}"][0])
    return int(rows[which]), int(columns[which])


def drag(page: Page, slider: Any, up: bool = True) -> None:
    """From where its handle is to near its end, over places between."""
    box = slider.bounding_box()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], y)
    page.mouse.move(box["x"] + 0.8 * box["width"], y)
    if up:
        page.mouse.up()


def saved(download: Download, folder: Path) -> Path:
    path = folder / download.suggested_filename
    download.save_as(path)
    return path


def check_download(path: Path, nets: NetBatch, task: Task, shown: tuple[int, int, int]) -> None:
    """The file holds ``nets`` bit by bit, and a certificate finds nothing to say against it."""
    found = read_network(path)
    for name in nets.params:
        np.testing.assert_array_equal(found.nets.masks[name], nets.masks[name])
        np.testing.assert_array_equal(found.nets.params[name], nets.params[name])
    certificate = certify(path, task)
    assert certificate.disagreements == ()
    assert found.about.items() >= network_facts(nets).items()
    assert found.about["accuracy"] == shown[0] / task.points
    assert (certificate.nonzeros, certificate.effective_nonzeros) == shown[1:]


def test_a_network_goes_through_the_page_unchanged(
    browser: Browser, spiral: Task, tmp_path: Path
) -> None:
    """Masked biases, odd texts and all: what was stated is stated again."""
    nets = random_nets((2, 5, 4, 1), 0.6, 3)
    path = tmp_path / "a.npz"
    facts: About = {
        "task": "cubist_spiral",
        "seed": 12,
        "note": "<b>ä\U0001f600\\\"'</b>",
        "cell": "x",
    }
    save_network(path, nets, about=facts)
    html = page_of(path, spiral, tmp_path)
    with opened(browser, html) as page:
        assert page.get_by_text(str(facts["note"])).count() == 1
        shown = score(page)
        with page.expect_download() as waiting:
            page.get_by_role("button", name="Download network").click()
        (tmp_path / "down").mkdir()
        again = saved(waiting.value, tmp_path / "down")
        assert shapes_shown(page) == expected_shapes(nets, spiral)
        screenshot(page, "network-dead")
    check_download(again, nets, spiral, shown)
    about = read_network(again).about
    assert about.items() >= facts.items() and "edited" not in about


def shapes_shown(page: Page) -> dict[str, set[str]]:
    """The neurons that are drawn as dead and as disconnected."""
    script = "all => all.map(one => one.getAttribute('aria-label').split(':')[0])"
    return {
        name: set(page.locator(f".neuron.{name}").evaluate_all(script)) for name in ("dead", "lost")
    }


def expected_shapes(nets: NetBatch, task: Task) -> dict[str, set[str]]:
    values, where = activations(nets, torch.tensor(task.x)), neurons(nets.masks)
    masks = nets.masks
    dead, lost = set(), set()
    for layer in range(len(values) - 1):
        for neuron in range(values[layer].shape[1]):
            name = f"neuron {neuron + 1} of layer {layer}" if layer else f"input x{neuron + 1}"
            into = layer and masks[f"weight{layer - 1}"][0, neuron].any()
            if layer and not into and not masks[f"weight{layer}"][0, :, neuron].any():
                continue  # not drawn
            if layer and not bool((values[layer][:, neuron] > 0).any()):
                dead.add(name)
            if not (where.fed[layer][0, neuron] and where.reaching[layer][0, neuron]):
                lost.add(name)
    assert dead and lost  # or this would show nothing
    return {"dead": dead, "lost": lost}


def test_keys_walk_over_the_drawing(
    browser: Browser, html: Path, source: Path, spiral: Task
) -> None:
    nets = load_network(source)
    with opened(browser, html, scheme="dark") as page:
        screenshot(page, "network-dark")
        page.get_by_role("button", name="Light").focus()
        page.keyboard.press("Tab")  # one stop for the whole drawing
        assert focused(page).startswith("input x1")
        page.keyboard.press("ArrowDown")
        assert focused(page).startswith("input x2")
        page.keyboard.press("ArrowRight")
        first = focused(page)
        assert first.startswith("weight from input x2 to ")
        page.keyboard.press("ArrowDown")
        assert focused(page) != first and focused(page).startswith("weight from input x2 to ")
        page.keyboard.press("ArrowUp")
        assert focused(page) == first
        row = int(re.findall(r"neuron (\d+)", first)[0]) - 1
        page.keyboard.press("Enter")
        off = counts(changed(nets, **{f"weight0_{row}_1": None}), spiral)
        assert score(page) == off
        page.keyboard.press("Space")
        assert score(page) == counts(nets, spiral)
        page.keyboard.press("ArrowRight")
        assert focused(page).startswith(f"neuron {row + 1} of layer 1")
        page.keyboard.press("Enter")
        assert score(page) == counts(without_neuron(nets, 1, row), spiral)
        settled(page)
        screenshot(page, "network-dark-neuron-off", full=False)
        page.keyboard.press("Enter")
        page.keyboard.press("+")
        assert score(page) != (0, 0, 0)
        assert "Accuracy" in page.locator("#said").inner_text()
        page.keyboard.press("Tab")  # on, out of the drawing
        assert not focused(page).startswith(("neuron", "weight", "input"))
        paper(page, dark=True)
        page.get_by_role("button", name="Light").click()
        paper(page, dark=False)


def focused(page: Page) -> str:
    return str(page.evaluate("() => document.activeElement.getAttribute('aria-label') ?? ''"))


def paper(page: Page, dark: bool) -> None:
    """What a neuron does not answer to has the colour of the paper, in either scheme."""
    settled(page)
    corners = page.locator(".neuron.hidden canvas").evaluate_all(
        """all => {
        const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
        return all.flatMap(one => [[0, 0], [1, 0], [0, 1], [1, 1]].map(([x, y]) => {
          const [left, top] = [x * (one.width - 1), y * (one.height - 1)];
          copy.drawImage(one, left, top, 1, 1, 0, 0, 1, 1);
          return [...copy.getImageData(0, 0, 1, 1).data].join();
        })); }"""
    )
    assert len(corners) == 4 * 9
    assert ("20,23,28,255" in corners) == dark
    assert ("255,255,255,255" in corners) == (not dark)


def test_a_phone_shows_all_of_it(browser: Browser, html: Path, source: Path, spiral: Task) -> None:
    nets = load_network(source)
    with opened(browser, html, size=PHONE) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        tops = [
            page.locator(name).bounding_box() for name in (".score", ".stage", ".tools", ".key")
        ]
        heights = [box["y"] for box in tops if box is not None]
        assert len(heights) == 4 and heights == sorted(heights)
        row, column = kept(nets, 1)
        found = edge(page, 1, row, column)
        found.scroll_into_view_if_needed()
        x, y = middle(page, found)
        page.touchscreen.tap(x, y)
        assert score(page) == counts(changed(nets, **{f"weight1_{row}_{column}": None}), spiral)
        settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]
        screenshot(page, "network-phone")
        screenshot(page, "network-phone-window", full=False)
        close = page.get_by_role("button", name="Close")
        close.tap()
        expect(close).to_be_hidden()
        # At the window's lower end, where the panel that a tap opens comes to lie.
        last = page.locator(".neuron.hidden").last
        last.evaluate("one => scrollBy(0, one.getBoundingClientRect().bottom - innerHeight + 9)")
        last.tap()
        expect(last).to_have_attribute("aria-pressed", "false")
        box, panel = last.bounding_box(), page.locator(".panel").bounding_box()
        assert box is not None and panel is not None
        assert box["y"] >= 0
        assert box["y"] + box["height"] <= panel["y"]


def test_paper_has_no_buttons_and_light_colours(browser: Browser, html: Path) -> None:
    with opened(browser, html, scheme="dark") as page:
        page.emulate_media(media="print")
        settled(page)
        assert page.locator("button:visible, input:visible, .panel:visible").count() == 0
        stage = page.locator(".stage").bounding_box()
        drawn = page.locator(".regions").bounding_box()
        assert stage is not None and drawn is not None
        assert drawn["x"] + drawn["width"] <= 720  # of an A4 page
        paper(page, dark=False)
        page.set_viewport_size({"width": 720, "height": 1000})
        screenshot(page, "network-print")


def test_tasks_without_a_plane(browser: Browser, tmp_path: Path) -> None:
    """Several inputs show shares; several classes their regions; no task the weights alone."""
    many = load_task("spiral_linear_3")
    nets = random_nets((3, 4, 3, 1), 0.9, 5)
    save_network(tmp_path / "many.npz", nets, about={"task": many.name})
    with opened(browser, page_of(tmp_path / "many.npz", many, tmp_path)) as page:
        data = task_json(many)
        x, y = (
            np.frombuffer(b64decode(data[name]), kind) for name, kind in (("x", "<f4"), ("y", "u1"))
        )
        part = Task("part", x.reshape(-1, 3), y)
        assert 10_000 < part.points < many.points
        assert score(page) == counts(nets, part)
        page.locator('.neuron[aria-label^="neuron 1 of layer 1"]').click()
        values = activations(nets, torch.tensor(part.x))[1][:, 0] > 0
        share = float(values[torch.tensor(part.y == 1)].double().mean())
        assert (
            f"class 1: {int(share * 1e4 + 1e-6) / 100:.2f}%" in page.locator(".panel").inner_text()
        )
        assert "class 0\nclass 1" in key(page)
        screenshot(page, "network-many-inputs")
        page.evaluate(
            """() => { const root = document.getElementById("page"); root.replaceChildren();
            root.style.display = "none"; // a place that is hidden at first
            const { item } = Page.data(); window.again = Network.open(root, item, null);
            root.style.display = ""; }"""
        )
        settled(page)
        assert page.locator(".edge").first.get_attribute("d")
        assert page.locator(".score .figure").all_inner_texts() == [
            str(int(nonzeros(nets)[0])), str(int(effective_nonzeros(nets)[0]))
        ]  # fmt: skip
        screenshot(page, "network-no-task")
        page.evaluate("() => window.again.close()")
        assert page.locator(".network").count() == 0


def test_several_classes_have_regions(browser: Browser, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)).astype(np.float32)
    y = np.digitize(np.arctan2(x[:, 1], x[:, 0]), [-1, 1]).astype(np.uint8)
    task = Task("three", x, y, classes=3)
    nets = random_nets((2, 5, 4, 3), 1.0, 2)
    save_network(tmp_path / "three.npz", nets, about={"task": "three"})
    with opened(browser, page_of(tmp_path / "three.npz", task, tmp_path)) as page:
        assert score(page) == counts(nets, task)
        click_edge(page, edge(page, 1, 0, 0, last=2))
        assert score(page) == counts(changed(nets, weight1_0_0=None), task)
        assert "region of\nclass 0\nclass 1\nclass 2" in key(page)
        drawn, told = page.locator(".neuron.output"), page.locator(".key .sample.dot")
        colours = [
            found.evaluate_all(f"all => all.map(one => getComputedStyle(one).{name})")
            for found, name in ((drawn, "borderTopColor"), (told, "backgroundColor"))
        ]
        assert colours[0] == colours[1] and len(set(colours[0])) == 3
        screenshot(page, "network-three-classes")
