"""The small GAN: its training is a function of the seed, can stop anywhere, and ends in a file."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from combsearch.errors import CorruptDataError, RunMismatchError, UsageError
from combsearch.generators import Generator, load_generator
from combsearch.generators import gan_training as training
from combsearch.generators.gan_training import GanConfig, GanState, load_state, start, state_bytes
from combsearch.generators.small_file import SmallImages, small_bytes
from combsearch.generators.small_gan import SmallCritic, SmallGenerator, SmallShape
from combsearch.generators.training_run import checkpoint_path, run_training
from combsearch.rng import epoch_order
from combsearch.tasks.images import ImageSet

SHAPE = SmallShape(latent=6, classes=2, side=8)
CONFIG = GanConfig("dots", steps=8, latent=6, batch=10, seed=3)


def dots(count: int = 24, side: int = 8) -> ImageSet:
    """Class 0 is bright above, class 1 below, with some noise."""
    random = np.random.default_rng(0)
    y = (np.arange(count) % 2).astype(np.uint8)
    x = random.integers(0, 60, (count, 1, side, side), dtype=np.uint8)
    x[y == 0, :, : side // 2] += 180
    x[y == 1, :, side // 2 :] += 180
    return ImageSet("dots", x, y, x[:2], y[:2], 2, ("up", "down"), (0.5,), (0.3,))


def numbers(state: GanState) -> dict[str, Any]:
    """Everything in a state that a training changes, as flat tensors by name."""
    found: dict[str, Any] = {"step": torch.tensor(state.step)}
    for part in ("maker", "average", "critic"):
        for name, tensor in getattr(state, part).state_dict().items():
            found[f"{part}.{name}"] = tensor
    for part in ("maker_steps", "critic_steps"):
        for key, moments in getattr(state, part).state_dict()["state"].items():
            found.update({f"{part}.{key}.{name}": value for name, value in moments.items()})
    return found


def same(a: GanState, b: GanState) -> bool:
    left, right = numbers(a), numbers(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def trained(config: GanConfig = CONFIG, last: int | None = None) -> GanState:
    last = config.steps if last is None else last
    return training.train(start(SHAPE, config), dots(), config, last)


def test_the_generator_is_what_its_layers_are() -> None:
    network = SmallGenerator(SmallShape(latent=5, classes=3, channels=3, side=12)).eval()
    module: Any
    norm: Any
    for module in (network.norm0, network.norm1, network.norm2):
        torch.nn.init.normal_(module.scale)
        torch.nn.init.normal_(module.shift)
        module.norm.running_mean.normal_()
        module.norm.running_var.uniform_(0.5, 2)
    z, y = torch.randn(4, 5), torch.tensor([0, 2, 1, 2])
    found = network(z, y)
    assert found.shape == (4, 3, 12, 12)
    for n in range(4):
        h = network.linear.weight @ torch.cat([z[n], torch.eye(3)[y[n]]]) + network.linear.bias
        h = h.view(1, 64, 3, 3)
        for norm, layer in (
            (network.norm0, network.up1),
            (network.norm1, network.up2),
            (network.norm2, network.last),
        ):
            mean, variance = norm.norm.running_mean, norm.norm.running_var
            h = (h - mean[:, None, None]) / (variance[:, None, None] + 1e-5).sqrt()
            h = h * norm.scale[y[n]][:, None, None] + norm.shift[y[n]][:, None, None]
            h = layer(h.clamp(min=0))
        assert torch.allclose(found[n], h[0].tanh(), atol=1e-5)


def test_the_critic_scores_image_and_class_apart() -> None:
    critic = SmallCritic(SHAPE).eval()
    x = torch.randn(3, 1, 8, 8)
    scores = [critic(x, torch.full((3,), label)) for label in (0, 1)]
    assert scores[0].shape == (3,)
    h = x
    for conv in (critic.conv1, critic.conv2, critic.conv3):
        h = F.leaky_relu(conv(h), 0.1)
    table: Any = critic.classes.weight
    assert torch.allclose(scores[1] - scores[0], h.flatten(1) @ (table[1] - table[0]), atol=1e-5)


@pytest.mark.parametrize(
    "change", [{"side": 30}, {"side": 2}, {"latent": 0}, {"widths": (3, 0, 2)}]
)
def test_sizes_that_make_no_network_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=re.escape(str(next(iter(change.values()))))):
        SmallShape(**change)


@pytest.mark.parametrize(
    "change",
    [
        *({"steps": 0}, {"steps": 10**12}, {"batch": 0}, {"batch": 5000}, {"latent": 10**10}),
        *({"rate": -1.0}, {"rate": float("inf")}, {"seed": -1}, {"precision": "half"}),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, Any]) -> None:
    [(name, value)] = change.items()
    with pytest.raises(UsageError, match=f"{name} is '?{value}"):
        GanConfig(**change)


def test_images_must_be_square() -> None:
    wide = replace(
        dots(), x=np.zeros((24, 1, 8, 12), np.uint8), x_test=np.zeros((2, 1, 8, 12), np.uint8)
    )
    with pytest.raises(UsageError, match="square images, 'dots' is 8x12"):
        training.shape_for(wide, 6)


def test_a_training_is_a_function_of_its_seed() -> None:
    torch.manual_seed(99)  # of no importance
    first = trained()
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    assert same(first, trained())
    assert torch.equal(before, torch.random.get_rng_state())
    assert not same(first, trained(replace(CONFIG, seed=4)))


def test_a_training_that_stops_goes_on_as_if_it_had_not(tmp_path: Path) -> None:
    half = trained(last=5)
    (tmp_path / "c").write_bytes(state_bytes(half, CONFIG))
    loaded = load_state(tmp_path / "c", SHAPE, CONFIG)
    assert same(half, loaded)
    assert same(training.train(loaded, dots(), CONFIG, 8), trained())


def test_one_step_is_the_step_of_the_paper() -> None:
    """Against a plain loop: critic's step, then generator's, then the moving average."""
    state, config, images = start(SHAPE, CONFIG), CONFIG, dots()
    maker, critic = SmallGenerator(SHAPE), SmallCritic(SHAPE)
    maker.load_state_dict(state.maker.state_dict())
    critic.load_state_dict(state.critic.state_dict())
    first = {name: tensor.clone() for name, tensor in maker.state_dict().items()}
    steps = [
        torch.optim.Adam(net.parameters(), config.rate, (0.5, 0.99)) for net in (maker, critic)
    ]
    index = epoch_order(config.seed, 0, 0, 24)[: config.batch]
    x = torch.tensor(images.x[index] / 127.5 - 1, dtype=torch.float32)
    y = torch.tensor(images.y[index], dtype=torch.int64)
    made = maker(training._latent(config, 0, "critic"), y).detach()
    scores = critic(torch.cat([x, made]), torch.cat([y, y]))
    loss = -scores[:10].sigmoid().log().mean() - (1 - scores[10:].sigmoid()).log().mean()
    loss.backward()
    steps[1].step()
    seen = []
    state = training.train(state, images, config, 1, lambda *values: seen.append(values))
    scores = critic(maker(training._latent(config, 0, "maker"), y), y)
    fooled = -scores.sigmoid().log().mean()
    fooled.backward()
    steps[0].step()
    assert seen == [
        (1, pytest.approx(loss.item(), rel=1e-4), pytest.approx(fooled.item(), rel=1e-4))
    ]
    for ours, naive in ((state.maker, maker), (state.critic, critic)):
        for name, tensor in naive.state_dict().items():
            assert torch.allclose(ours.state_dict()[name], tensor, atol=1e-4), name
    for name, tensor in state.average.state_dict().items():
        if tensor.dtype.is_floating_point:  # after one step, 1 part of 10 stays
            expected = 0.1 * first[name] + 0.9 * maker.state_dict()[name]
            assert torch.allclose(tensor, expected, atol=1e-4), name


def test_batches_run_through_all_images_in_every_epoch() -> None:
    images, seen = dots(), []
    for step in range(12):
        x, y = training._batch(images, CONFIG, step)
        assert x.shape == (10, 1, 8, 8)
        assert float(x.min()) >= -1
        assert float(x.max()) <= 1
        seen += [(row.numpy().tobytes(), int(label)) for row, label in zip(x, y, strict=True)]
    for epoch in range(5):
        assert len(set(seen[24 * epoch : 24 * epoch + 24])) == 24
    assert seen[:24] != seen[24:48]


def test_rates_fall_over_the_second_half() -> None:
    shares = [training._rate_share(step, 8) for step in range(8)]
    assert shares == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]


def test_half_precision_trains_the_same_network_roughly() -> None:
    exact, rough = trained(last=2), trained(replace(CONFIG, precision="bfloat16"), last=2)
    for name, tensor in exact.maker.state_dict().items():
        other = rough.maker.state_dict()[name]
        assert other.dtype == tensor.dtype
        assert torch.allclose(other, tensor, atol=0.1), name


def test_it_learns_where_each_class_is_bright() -> None:
    config = GanConfig("dots", steps=60, latent=6, batch=24, rate=2e-3)
    state = training.train(start(SHAPE, config), dots(), config, 60)
    made = SmallImages(state.average, (), {}).images(
        np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32), np.arange(20) % 2
    )
    above, below = made[:, 0, :4].mean((1, 2)), made[:, 0, 4:].mean((1, 2))
    assert (above > below)[0::2].all()
    assert (above < below)[1::2].all()


def test_a_file_holds_the_generator(tmp_path: Path) -> None:
    state = trained()
    (tmp_path / "g.safetensors").write_bytes(
        small_bytes(state.average, ("up", "down"), {"data": "dots", "steps": 8})
    )
    found: Generator = load_generator(tmp_path / "g.safetensors")
    assert isinstance(found, SmallImages)
    assert (found.name, found.latent, found.classes) == ("small GAN (dots)", 6, 2)
    assert (found.image_shape, found.class_names) == ((1, 8, 8), ("up", "down"))
    assert found.about == {"data": "dots", "steps": 8}
    z = np.random.default_rng(1).normal(size=(300, 6)).astype(np.float32)
    y = np.arange(300) % 2
    exact = SmallImages(state.average, (), {}).images(z, y)
    off = np.abs(found.images(z, y).astype(int) - exact)
    assert off.max() <= 1  # weights are stored in 16 bits
    assert np.array_equal(found.images(z[:1], y[:1])[0], found.images(z, y)[0])
    assert found.images(z[:0], y[:0]).shape == (0, 1, 8, 8)


def test_equal_generators_make_equal_files() -> None:
    files = [small_bytes(trained().average, ("up", "down"), {"seed": 3}) for _ in range(2)]
    assert files[0] == files[1]


def test_a_run_goes_on_and_is_done_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("combsearch.generators.training_run.CHECKPOINT_STEPS", 3)
    whole, stopped = tmp_path / "whole.safetensors", tmp_path / "stopped.safetensors"
    assert run_training(dots(), CONFIG, whole)

    def stop(step: int, *_: float) -> None:
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_training(dots(), CONFIG, stopped, stop)
    assert not stopped.exists()
    steps: list[int] = []
    assert run_training(dots(), CONFIG, stopped, lambda step, *_: steps.append(step))
    assert steps == [4, 5, 6, 7, 8]
    assert stopped.read_bytes() == whole.read_bytes()
    assert not checkpoint_path(stopped).exists()
    assert not run_training(dots(), CONFIG, whole)
    with pytest.raises(UsageError, match=r"is there, of a training with seed 3 \(not 4\)"):
        run_training(dots(), replace(CONFIG, seed=4), whole)


def test_a_checkpoint_of_another_training_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "g.safetensors"
    checkpoint_path(output).write_bytes(state_bytes(trained(last=1), CONFIG))
    with pytest.raises(RunMismatchError, match=r"with steps 8 \(not 9\), seed 3 \(not 4\); repeat"):
        run_training(dots(), replace(CONFIG, steps=9, seed=4), output)
    assert checkpoint_path(output).exists()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"cut"])
def test_a_damaged_checkpoint_is_told(content: bytes, tmp_path: Path) -> None:
    output = tmp_path / "g.safetensors"
    whole = state_bytes(start(SHAPE, CONFIG), CONFIG)
    checkpoint_path(output).write_bytes(whole[: len(whole) // 2] if content == b"cut" else content)
    with pytest.raises(CorruptDataError, match=r"not a readable checkpoint .*; remove it"):
        run_training(dots(), CONFIG, output)


def test_a_training_that_diverges_writes_nothing(tmp_path: Path) -> None:
    output = tmp_path / "g.safetensors"
    start_of = training.start

    def spoiled(*given: Any) -> GanState:
        state = start_of(*given)
        state.maker.up1.weight.data[0, 0, 0, 0] = 1e9  # finite, but not in 16 bits
        return state

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("combsearch.generators.training_run.start", spoiled)
        with pytest.raises(UsageError, match=r"has diverged \(up1.weight .* too high; try 0.0001"):
            run_training(dots(), CONFIG, output)
    assert not list(tmp_path.iterdir())


def test_only_safetensors_are_written(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"g.npz must end in .safetensors"):
        run_training(dots(), CONFIG, tmp_path / "g.npz")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": {"latent": 6}}, "says it is a combsearch small GAN 1, but its facts are not"),
        ({"about": 3}, "its facts are not"),
        *(
            ({"shape": {**dataclasses.asdict(SHAPE), name: value}}, message)
            for name, value, message in (
                ("latent", 6.0, r"facts are not \(latent is 6.0, expected whole numbers"),
                ("latent", True, r"facts are not \(latent is True"),
                ("latent", 10**12, r"linear.weight has shape .*, expected \[256, 1000000000002\]"),
                ("latent", 2**63, "no network has the sizes SmallShape"),
                ("side", 4 * 10**12, "linear.weight has shape|no network has the sizes"),
                ("widths", [64, 32], r"facts are not \(widths are 2, expected 3"),
                ("critic", [32, 64.0, 128], r"facts are not \(critic is"),
            )
        ),
        ({"shape": {**dataclasses.asdict(SHAPE), "side": 30}}, "side of 4, 8, .., not 30"),
        (
            {"shape": {**dataclasses.asdict(SHAPE), "latent": 7}},
            r"linear.weight has shape \[256, 8\], expected \[256, 9\]",
        ),
        ({"class_names": ["a"]}, "1 class names for 2 classes"),
    ],
)
def test_facts_that_do_not_fit_the_weights_are_told(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    from safetensors.numpy import load, save

    data = small_bytes(SmallGenerator(SHAPE), ("up", "down"), {})
    facts = {
        "kind": "combsearch small GAN 1",
        "shape": dataclasses.asdict(SHAPE),
        "class_names": ["up", "down"],
        "about": {},
        **change,
    }
    (tmp_path / "g.safetensors").write_bytes(save(load(data), {"combsearch": json.dumps(facts)}))
    with pytest.raises(UsageError, match=message):
        load_generator(tmp_path / "g.safetensors")
