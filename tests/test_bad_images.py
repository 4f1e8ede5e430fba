"""What is said of damaged, truncated and missing files of image data sets."""

from __future__ import annotations

import gzip
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from combsearch.errors import CorruptDataError, UsageError
from combsearch.tasks.images import load_images
from combsearch.tasks.images.cifar_binary import read_cifar_binary
from combsearch.tasks.images.idx_file import read_idx
from combsearch.tasks.images.image_folders import read_image

PIECES = Path(__file__).parent / "image_files"


@pytest.fixture
def pieces(tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(PIECES, tmp_path / "data"))


IDX = "fashion-mnist/train-images-idx3-ubyte.gz"


def unpacked(path: Path) -> bytes:
    with gzip.open(path) as file:
        return file.read()


def replace_idx(folder: Path, content: bytes) -> None:
    """The images as a plain file with this content."""
    (folder / IDX).unlink()
    (folder / IDX.removesuffix(".gz")).write_bytes(content)


def test_idx_may_be_plain(pieces: Path) -> None:
    expected = load_images("fashion-mnist", pieces).x
    replace_idx(pieces, unpacked(pieces / IDX))
    np.testing.assert_array_equal(load_images("fashion-mnist", pieces).x, expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d[:-1], "20 x 28 x 28 = 15,680 values, found 15,679"),
        (lambda d: d + b"x", "15,680 values, found more"),
        (lambda d: b"", "begins with the bytes '', expected '00 00 08 03'"),
        (lambda d: b"\0\0\x0d\x03" + d[4:], "'00 00 0d 03', expected '00 00 08 03'"),
        (lambda d: b"\0\0\x08\x01" + d[4:], "'00 00 08 01', expected '00 00 08 03'"),
        (lambda d: d[:9], "ends after 9 bytes, expected a header of 16"),
        (lambda d: d[:4] + b"\xff" * 12 + d[16:], "79,228,162,458,924,105,385,300,197,375 values"),
        (lambda d: d[:8] + (14).to_bytes(4, "big") + (56).to_bytes(4, "big") + d[16:], "n x 28 x"),
        (lambda d: d[:4] + (19).to_bytes(4, "big") + d[8:-784], "19 images, .* has 20 labels"),
        (lambda d: b"\0\0\x08\x03" + bytes(12), "expected n x 28 x 28, found 0 x 0 x 0|labels"),
    ],
)
def test_a_bad_idx_file_is_named(pieces: Path, change: Any, message: str) -> None:
    replace_idx(pieces, change(unpacked(pieces / IDX)))
    with pytest.raises(CorruptDataError, match=message) as caught:
        load_images("fashion-mnist", pieces)
    assert "train-images-idx3-ubyte" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("keep", [0, 5, 200, -9, -1])
def test_a_truncated_gzip_file_is_named(pieces: Path, keep: int) -> None:
    data = (pieces / IDX).read_bytes()
    (pieces / IDX).write_bytes(data[:keep])
    with pytest.raises(CorruptDataError, match=r"train-images-idx3-ubyte\.gz"):
        load_images("fashion-mnist", pieces)


def test_a_gzip_file_with_a_flipped_bit_is_named(pieces: Path) -> None:
    data = bytearray((pieces / IDX).read_bytes())
    data[len(data) // 2] ^= 4
    (pieces / IDX).write_bytes(data)
    with pytest.raises(CorruptDataError, match="is damaged: expected a whole gzip file"):
        load_images("fashion-mnist", pieces)


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    head = b"\0\0\x08\x01" + (100).to_bytes(4, "big")
    path.write_bytes(gzip.compress(head + bytes(2**26), 1))
    with pytest.raises(CorruptDataError, match="100 values, found more"):
        read_idx(path, 1)


def test_labels_beyond_the_classes_are_named(pieces: Path) -> None:
    path = pieces / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(unpacked(path)[:-1] + b"\x0a"))
    with pytest.raises(CorruptDataError, match="label 9 is 10, valid classes are 0 to 9"):
        load_images("fashion-mnist", pieces)


def test_missing_files_pipes_and_folders_are_named(pieces: Path) -> None:
    labels = pieces / "fashion-mnist" / "train-labels-idx1-ubyte.gz"
    labels.unlink()
    with pytest.raises(UsageError, match="train-labels-idx1-ubyte is missing"):
        load_images("fashion-mnist", pieces)
    os.mkfifo(labels)
    with pytest.raises(UsageError, match="expected a regular file"):
        load_images("fashion-mnist", pieces)


def test_a_cifar_batch_of_another_size_is_named(pieces: Path) -> None:
    path = pieces / "cifar10" / "data_batch_1.bin"
    data = path.read_bytes()
    for bad in (data[:-1], data + b"x", b""):
        path.write_bytes(bad)
        found = f"found {len(bad):,} bytes"
        with pytest.raises(CorruptDataError, match=f"records of 3,073 bytes, {found}"):
            load_images("cifar10", pieces)
    path.write_bytes(b"\x0a" + data[1:])
    with pytest.raises(CorruptDataError, match=r"data_batch_1.bin: label 0 is 10"):
        load_images("cifar10", pieces)


def test_whole_batches_must_all_be_there(tmp_path: Path) -> None:
    whole = bytes(30_730_000)
    (tmp_path / "test_batch.bin").write_bytes(whole)
    for number in (1, 2, 4, 5):
        (tmp_path / f"data_batch_{number}.bin").write_bytes(whole)
    with pytest.raises(CorruptDataError, match=r"data_batch_3\.bin is missing, all other"):
        load_images("cifar10", tmp_path)
    (tmp_path / "data_batch_3.bin").write_bytes(whole[:-3073])
    with pytest.raises(CorruptDataError, match="has 9,999 images, expected 10,000"):
        load_images("cifar10", tmp_path)


def test_cifar_100_has_two_labels_a_record(tmp_path: Path) -> None:
    path = tmp_path / "train.bin"
    path.write_bytes(b"".join(bytes((19, label)) + bytes([label]) * 3072 for label in (99, 3)))
    x, y = read_cifar_binary(path, 2)
    assert y.tolist() == [99, 3] and x[:, 0, 0, 0].tolist() == [99, 3]


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([1, 2], "holds a list, expected a dictionary"),
        ({"fine_labels": [1]}, "has no entry data"),
        ({"data": [1]}, "data must be uint8 .n, 3072., found list"),
        ({"data": np.zeros((2, 3071), np.uint8)}, r"found uint8 \[2, 3071\]"),
        ({"data": np.zeros((2, 3072))}, "found float64"),
        ({"data": np.zeros((0, 3072), np.uint8)}, r"found uint8 \[0, 3072\]"),
        ({"data": np.zeros((2, 3072), np.uint8)}, "has no entry fine_labels or labels"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "list of 2 numbers, .* of 1"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": 3}, "found a int"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["x" * 99]}, "found x{40}$"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [True]}, "found True"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [256]}, "found 256"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [100]}, "classes are 0 to 99"),
        ({"data": os.system}, "it names 'posix.system'|it names 'nt.system'"),
    ],
)
def test_a_bad_python_batch_is_named(pieces: Path, batch: Any, message: str) -> None:
    path = pieces / "cifar-100-python" / "train"
    path.write_bytes(pickle.dumps(batch))
    with pytest.raises(CorruptDataError, match=message) as caught:
        load_images("cifar100", pieces)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_batches_written_by_python_3_are_read(pieces: Path) -> None:
    expected = load_images("cifar100", pieces)
    batch = {b"data": expected.x.reshape(5, -1), b"labels": expected.y.tolist()}
    (pieces / "cifar-100-python" / "train").write_bytes(pickle.dumps(batch))
    found = load_images("cifar100", pieces)
    np.testing.assert_array_equal(found.x, expected.x)
    np.testing.assert_array_equal(found.y, expected.y)


TINY = "tiny-imagenet-200"
JPEG = f"{TINY}/train/n01641577/images/n01641577_8.JPEG"


def test_a_bad_image_is_named(pieces: Path) -> None:
    path = pieces / JPEG
    data = path.read_bytes()
    wide = path.with_name("wide.JPEG")
    with Image.open(path) as image:
        image.resize((64, 63)).save(wide)
        image.save(path.with_name("picture.png"))
    png = path.with_name("picture.png").read_bytes()
    for bad in (data[:-200], data[:100], b"", b"GIF89a" + data[6:], png):
        path.write_bytes(bad)
        with pytest.raises(CorruptDataError, match=r"n01641577_8\.JPEG is no whole JPEG: "):
            read_image(path)
    with pytest.raises(CorruptDataError, match="has 64 x 63 pixels, expected 64 x 64"):
        read_image(wide)
    with pytest.raises(UsageError, match=r"cannot read .*absent\.JPEG"):
        read_image(path.with_name("absent.JPEG"))


def test_a_picture_that_claims_to_be_huge_is_not_decoded(pieces: Path) -> None:
    data = bytearray((pieces / JPEG).read_bytes())
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    (pieces / JPEG).write_bytes(data)
    with pytest.raises(CorruptDataError, match=r"65535 x 65535|no whole JPEG"):
        read_image(pieces / JPEG)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("val_71.JPEG", "line 1: expected an image and one of the 3 classes"),
        ("val_71.JPEG\tn99999999\t0\t0\t1\t1", "found 'val_71.JPEG"),
        ("../../words.txt\tn01641577", "line 1: expected an image"),
        ("", "line 1: expected an image"),
    ],
)
def test_a_bad_annotation_is_named(pieces: Path, line: str, message: str) -> None:
    (pieces / TINY / "val" / "val_annotations.txt").write_text(line + "\n")
    with pytest.raises(CorruptDataError, match=message):
        load_images("tiny-imagenet", pieces)


def test_absent_folders_and_images_are_named(pieces: Path) -> None:
    (pieces / TINY / "val" / "images" / "val_71.JPEG").unlink()
    with pytest.raises(UsageError, match=r"cannot read .*val_71\.JPEG: No such file"):
        load_images("tiny-imagenet", pieces)
    (pieces / TINY / "val" / "val_annotations.txt").unlink()
    with pytest.raises(UsageError, match=r"cannot read .*val_annotations.txt: No such file"):
        load_images("tiny-imagenet", pieces)
    shutil.rmtree(pieces / TINY / "train")
    (pieces / TINY / "train").mkdir()
    with pytest.raises(UsageError, match="has no folder <class>/images"):
        load_images("tiny-imagenet", pieces)


def test_without_words_a_class_keeps_its_number(pieces: Path) -> None:
    (pieces / TINY / "words.txt").unlink()
    assert load_images("tiny-imagenet", pieces).class_names[0] == "n01641577"
