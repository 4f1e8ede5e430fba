"""Getting data sets: from a server in a thread, archives and packages; and checks."""

from __future__ import annotations

import gzip
import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from site_server import NAME, Site, item, serving

from combsearch.errors import CombsearchError, CorruptDataError, UsageError
from combsearch.fetching import check, fetch, unpack
from combsearch.fetching.archives import members
from combsearch.fetching.checking import md5_of
from combsearch.tasks.images import DATA_SETS, load_images, locate
from combsearch.tasks.images.data_set import DataFile, DataSet, Download, Layout

PIECES = Path(__file__).parent / "image_files"


@pytest.fixture
def site() -> Iterator[Site]:
    with serving() as found:
        yield found


def quiet(*_: object) -> None:
    """Shows nothing."""


# ---- a data set made of the pieces --------------------------------------------------------


def small_idx(site: Site | None = None) -> DataSet:
    """Fashion-MNIST, as if the piece were the whole; its files served by ``site``."""
    whole = DATA_SETS["fashion-mnist"]
    folder = PIECES / "fashion-mnist"

    def described(file: DataFile) -> DataFile:
        content = gzip.decompress((folder / f"{file.name}.gz").read_bytes())
        return DataFile(file.name, len(content), md5_of(content))

    [layout] = whole.layouts
    train, test = tuple(map(described, layout.train)), tuple(map(described, layout.test))
    downloads = []
    for path in sorted(folder.iterdir()) if site else []:
        assert site is not None
        site.files[path.name] = path.read_bytes()
        address = f"{site.address}/{path.name}"
        downloads.append(Download(path.name, (address,), "md5", md5_of(path.read_bytes())))
    return replace(
        whole,
        layouts=(Layout("idx", train, test, layout.key),),
        downloads={"public": tuple(downloads)},
    )


def small_cifar(**downloads: tuple[Download, ...]) -> DataSet:
    """CIFAR-10, as if the piece were the whole."""
    folder = PIECES / "cifar10"

    def described(name: str) -> DataFile:
        content = (folder / name).read_bytes()
        return DataFile(name, len(content), md5_of(content))

    layout = Layout(
        "cifar-binary",
        (described("data_batch_1.bin"),),
        (described("test_batch.bin"),),
        "test_batch.bin",
    )
    return replace(DATA_SETS["cifar10"], layouts=(layout,), sizes=(6, 4), downloads=downloads)


Entries = dict[str, bytes]


def tar_of(path: Path, entries: Entries, mode: str = "w:gz", links: bool = False) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        if links:
            for kind, target in ((tarfile.SYMTYPE, "/etc/passwd"), (tarfile.DIRTYPE, "")):
                info = tarfile.TarInfo("x/test_batch.bin")
                info.type, info.linkname = kind, target
                archive.addfile(info)
    return path


def cifar_entries() -> Entries:
    folder = PIECES / "cifar10"
    return {f"cifar-10-batches-bin/{path.name}": path.read_bytes() for path in folder.iterdir()}


def ar_of(path: Path, entries: Entries) -> Path:
    data = b"!<arch>\n"
    for name, content in entries.items():
        header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n"
        data += header.encode() + content + b"\n" * (len(content) % 2)
    path.write_bytes(data)
    return path


def deb_of(folder: Path, suffix: str = ".xz") -> Path:
    root = "./usr/share/datasets/fashion-mnist/"
    entries = {root + path.name: path.read_bytes() for path in (PIECES / "fashion-mnist").iterdir()}
    tar = tar_of(folder / "data.tar", entries, "w").read_bytes()
    packed = {".xz": lzma.compress(tar), ".gz": gzip.compress(tar), "": tar}[suffix]
    inside = {"debian-binary": b"2.0\n", "control.tar.xz": b"odd", f"data.tar{suffix}": packed}
    return ar_of(folder / "dataset.deb", inside)


# ---- fetch --------------------------------------------------------------------------------


def test_single_files_are_fetched_and_load(site: Site, tmp_path: Path) -> None:
    data_set = small_idx(site)
    told: list[str] = []
    target = fetch(data_set, lambda _, note: told.append(note), tmp_path)
    assert target == tmp_path / "fashion-mnist"
    assert sorted(p.name for p in target.iterdir()) == sorted(d for d in site.files if d != NAME)
    np.testing.assert_array_equal(
        load_images("fashion-mnist", tmp_path).x, load_images("fashion-mnist", PIECES).x
    )
    assert "train-images-idx3-ubyte.gz 0.0 of 0.0 MB" in told
    asked = len(site.asked)
    fetch(data_set, quiet, tmp_path)
    assert len(site.asked) == asked  # all there


def test_only_what_is_missing_or_damaged_is_fetched(site: Site, tmp_path: Path) -> None:
    data_set = small_idx(site)
    target = fetch(data_set, quiet, tmp_path)
    site.asked.clear()
    (target / "t10k-labels-idx1-ubyte.gz").write_bytes(b"damaged")
    (target / "t10k-images-idx3-ubyte.gz").unlink()
    fetch(data_set, quiet, tmp_path)
    assert {path for path, _ in site.asked} == {
        *("/t10k-images-idx3-ubyte.gz", "/t10k-labels-idx1-ubyte.gz")
    }


def test_a_damaged_file_that_would_be_read_first_is_named(site: Site, tmp_path: Path) -> None:
    target = tmp_path / "fashion-mnist"
    target.mkdir()
    (target / "train-images-idx3-ubyte").write_bytes(b"plain and wrong")
    with pytest.raises(CorruptDataError, match=r"ubyte: truncated: .* found 15; remove it"):
        fetch(small_idx(site), quiet, tmp_path)


@pytest.mark.parametrize("kind", ["w:gz", "w:xz", "w", "zip"])
def test_an_archive_is_fetched_and_removed(site: Site, tmp_path: Path, kind: str) -> None:
    archive = tmp_path / "archive"
    if kind == "zip":
        with zipfile.ZipFile(archive, "w") as made:
            for name, content in cifar_entries().items():
                made.writestr(name, content)
    else:
        tar_of(archive, cifar_entries(), kind, links=True)
    content = archive.read_bytes()
    site.files[NAME] = content
    data_set = small_cifar(public=(item(site, content=content),))
    target = fetch(data_set, quiet, tmp_path / "root")
    assert sorted(path.name for path in target.iterdir()) == ["data_batch_1.bin", "test_batch.bin"]
    np.testing.assert_array_equal(
        load_images("cifar10", target).x, load_images("cifar10", PIECES).x
    )
    fetch(data_set, quiet, tmp_path / "root")
    assert len(site.asked) == 1


def test_an_unknown_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"does not come from 'debian' \(known: public, npm\)"):
        fetch(DATA_SETS["cifar10"], quiet, tmp_path, "debian")
    assert not list(tmp_path.iterdir())


def test_without_a_network_the_line_says_the_way_out(tmp_path: Path) -> None:
    dead = Download(NAME, ("http://no.such.host.invalid/x",), "md5", "0" * 32)
    with pytest.raises(CombsearchError, match=r"repeat the command.*or get the file elsewhere and"):
        fetch(small_cifar(public=(dead,)), quiet, tmp_path)
    files = replace(
        small_idx(), downloads={"public": (replace(dead, name="t10k-images-idx3-ubyte"),)}
    )
    with pytest.raises(CombsearchError, match=r"and put it into .*fashion-mnist$"):
        fetch(files, quiet, tmp_path)


# ---- packages -----------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".xz", ".gz", ""])
def test_a_debian_package_is_taken(tmp_path: Path, suffix: str) -> None:
    target = fetch(small_idx(), quiet, tmp_path / "root", package=deb_of(tmp_path, suffix))
    assert len(load_images("fashion-mnist", target).x) == 20


def test_packages_that_are_none_are_named(tmp_path: Path) -> None:
    def refused(path: Path, message: str, kind: type[Exception] = CorruptDataError) -> None:
        with pytest.raises(kind, match=message) as caught:
            unpack(small_idx(), path, tmp_path / "root", quiet)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)

    deb = deb_of(tmp_path)
    data = deb.read_bytes()
    for cut, message in ((len(data) - 9, "data.tar.xz has"), (100, "header|no data.tar")):
        deb.write_bytes(data[:cut])
        refused(deb, message)
    deb.write_bytes(data.replace(b"`\n", b"xx"))
    refused(deb, "a header of the .deb is damaged")
    for at, message in ((250, "its data.tar is damaged"), (9000, "is damaged: ")):
        deb.write_bytes(data[:at] + b"\0" * 50 + data[at + 50 :])
        refused(deb, message)
    refused(ar_of(tmp_path / "no.deb", {"debian-binary": b"2.0\n"}), "has no data.tar")
    zst = ar_of(tmp_path / "zst.deb", {"data.tar.zst": b"x"})
    refused(zst, "packed by zstd; unpack it", UsageError)
    lying = ar_of(tmp_path / "lie.deb", {"data.tar": b"x"})
    lying.write_bytes(lying.read_bytes().replace(b"1         `", b"9999999999`"))
    refused(lying, "data.tar has 2 bytes, expected 9,999,999,999")
    refused(tmp_path / "absent.deb", "cannot read .*No such file", UsageError)
    refused(tmp_path, "cannot read", UsageError)
    (tmp_path / "text").write_text("no archive")
    refused(tmp_path / "text", "expected a .deb, .zip", UsageError)
    other = tar_of(tmp_path / "other.tgz", {"readme": b"x"})
    refused(other, "does not hold train-images-idx3-ubyte, ", UsageError)


def test_a_damaged_file_in_an_archive_never_gets_its_name(tmp_path: Path) -> None:
    changes: tuple[tuple[Callable[[bytes], bytes], str], ...] = (
        (lambda d: d[:-1], "test_batch.bin in it is truncated: expected 12,292 bytes, found 12,2"),
        (lambda d: b"\x01" + d[1:], "test_batch.bin in it is damaged: expected md5"),
        (lambda d: d + bytes(2**17), "has more than the 77,828 bytes expected"),
    )
    for change, message in changes:
        entries = cifar_entries()
        name = "cifar-10-batches-bin/test_batch.bin"
        entries[name] = change(entries[name])
        archive = tar_of(tmp_path / "bad.tgz", entries)
        with pytest.raises(CorruptDataError, match=message):
            unpack(small_cifar(), archive, tmp_path / "root", quiet)
        assert not (tmp_path / "root" / "test_batch.bin").exists()


def test_a_truncated_archive_is_named(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "cut.tgz", cifar_entries())
    archive.write_bytes(archive.read_bytes()[:-5000])
    with pytest.raises(CorruptDataError, match=r"cut\.tgz is damaged: "):
        unpack(small_cifar(), archive, tmp_path / "root", quiet)


def test_names_in_an_archive_are_no_paths(tmp_path: Path) -> None:
    evil = {
        f"{prefix}{Path(name).name}": content
        for prefix, (name, content) in zip(
            ("../../../", "/absolute/"), cifar_entries().items(), strict=True
        )
    }
    evil["../escaped.bin"] = b"x"
    unpack(small_cifar(), tar_of(tmp_path / "evil.tgz", evil), tmp_path / "a" / "root", quiet)
    made = {path.name for path in (tmp_path / "a" / "root").iterdir()}
    assert made == {"data_batch_1.bin", "test_batch.bin"}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "evil.tgz"}


def test_links_and_folders_in_an_archive_are_passed_over(tmp_path: Path) -> None:
    archive = tar_of(tmp_path / "links.tgz", {"a/one": b"1"}, links=True)
    assert [(member.base, member.read(9)) for member in members(archive)] == [("one", b"1")]


# ---- Tiny ImageNet -------------------------------------------------------------------------


def tiny_zip(path: Path, change: Callable[[Entries], object] = quiet) -> Path:
    folder = PIECES / "tiny-imagenet-200"
    entries = {
        f"tiny-imagenet-200/{file.relative_to(folder).as_posix()}": file.read_bytes()
        for file in folder.rglob("*")
        if file.is_file()
    }
    change(entries)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_image_folders_are_unpacked_whole(site: Site, tmp_path: Path) -> None:
    def add(entries: Entries) -> None:
        for name in ("../escaped.txt", "tiny-imagenet-200/train/../../../escaped.txt", "/x.JPEG"):
            entries[name] = b"x"

    content = tiny_zip(tmp_path / "tiny.zip", add).read_bytes()
    site.files[NAME] = content
    data_set = replace(
        DATA_SETS["tiny-imagenet"], downloads={"public": (item(site, content=content),)}
    )
    target = fetch(data_set, quiet, tmp_path / "root")
    found = {p.relative_to(target) for p in target.rglob("*") if p.is_file()}
    folder = PIECES / "tiny-imagenet-200"
    assert found == {p.relative_to(folder) for p in folder.rglob("*") if p.is_file()}
    assert len(load_images("tiny-imagenet", tmp_path / "root").x) == 6
    assert not list(tmp_path.rglob("escaped*"))
    fetch(data_set, quiet, tmp_path / "root")
    assert len(site.asked) == 1


def test_leftovers_of_an_unpacking_that_was_stopped_are_removed(tmp_path: Path) -> None:
    archive = tiny_zip(tmp_path / "tiny.zip")
    (tmp_path / "root" / ".unpacking" / "train").mkdir(parents=True)
    (tmp_path / "root" / ".unpacking" / "train" / "old").write_text("x")
    (tmp_path / "root" / "train").mkdir()
    unpack(DATA_SETS["tiny-imagenet"], archive, tmp_path / "root", quiet)
    assert sorted(path.name for path in (tmp_path / "root").iterdir()) == [
        *("train", "val", "words.txt")
    ]
    assert not (tmp_path / "root" / "train" / "old").exists()


def test_another_zip_is_no_tiny_imagenet(tmp_path: Path) -> None:
    archive = tiny_zip(tmp_path / "tiny.zip", dict.clear)
    with pytest.raises(UsageError, match="does not hold tiny-imagenet-200/train and val"):
        unpack(DATA_SETS["tiny-imagenet"], archive, tmp_path / "root", quiet)


# ---- check --------------------------------------------------------------------------------


def faults(data_set: DataSet, folder: Path) -> dict[str, str]:
    findings = check(data_set, locate(data_set, folder), quiet)
    return {finding.path.name: finding.fault for finding in findings if not finding.good}


def test_check_names_what_is_missing_truncated_and_damaged(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PIECES / "cifar10", tmp_path / "cifar10"))
    assert faults(small_cifar(), folder) == {}
    path = folder / "data_batch_1.bin"
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    expected = {path.name: "truncated: expected 18,438 bytes, found 18,431"}
    assert faults(small_cifar(), folder) == expected
    path.write_bytes(data + b"x")
    assert "longer than it may be" in faults(small_cifar(), folder)[path.name]
    path.write_bytes(data[:-1] + b"?")
    assert faults(small_cifar(), folder)[path.name].startswith("damaged: expected md5 ")
    path.unlink()
    assert faults(small_cifar(), folder) == {path.name: "it is missing"}


def test_check_unpacks(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PIECES / "fashion-mnist", tmp_path / "x"))
    assert faults(small_idx(), folder) == {}
    path = folder / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-30])
    [fault] = faults(small_idx(), folder).values()
    assert "expected a whole gzip file" in fault


def test_check_counts_and_decodes_images(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(PIECES / "tiny-imagenet-200", tmp_path / "tiny"))
    small = replace(DATA_SETS["tiny-imagenet"], classes=3, sizes=(6, 3))
    assert faults(small, folder) == {}
    image = folder / "train/n07749582/images/n07749582_12.JPEG"
    image.write_bytes(image.read_bytes()[:-300])
    assert "is no whole JPEG" in faults(small, folder)[image.name]
    image.unlink()
    assert faults(small, folder) == {"n07749582": "expected 2 images, found 1"}
    assert faults(DATA_SETS["tiny-imagenet"], folder)["train"] == "expected 200 classes, found 3"
    (folder / "val" / "val_annotations.txt").unlink()
    [fault] = faults(small, folder).values()
    assert "val_annotations.txt: No such file" in fault
