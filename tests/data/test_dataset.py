import hashlib
import subprocess
import sys

import pytest
import torch

import lmc.data
from lmc.data import DatasetInfo, dataset_info, default_data_dir, list_data, list_datasets, load, on_disk, resolve
from lmc.data.augment import KINDS
from lmc.data.dataset import channel_statistics, from_bytes

INFO = DatasetInfo(
    name="small", title="Small", classes=("a", "b"), input_shape=(3, 5, 7), train_images=2100, test_images=11
)


def digest(tensor):
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()[:16]


def small(fill=None):
    random = torch.Generator().manual_seed(0)
    train, test = (
        torch.randint(256, (n, 3, 5, 7), generator=random, dtype=torch.uint8)
        for n in (INFO.train_images, INFO.test_images)
    )
    if fill is not None:
        train[:, 1] = fill
    labels = [torch.randint(2, (n,), generator=random) for n in (INFO.train_images, INFO.test_images)]
    return train, test, labels


def test_the_digits_never_change():
    digits = load("digits")
    assert [digest(t) for t in (digits.train_y, digits.test_y)] == ["aebea7d2bc9e1f01", "d6c86f9a7de5b7af"]
    bytes_ = [(digits.pixels(x.double()) * 16).round().byte() for x in (digits.train_x, digits.test_x)]
    assert [digest(t) for t in bytes_] == ["8dc700dcd0f18c4f", "3e513a101193c051"]
    assert digits.mean == pytest.approx((0.30539563,), abs=1e-8) and digits.std == pytest.approx(
        (0.37586308,), abs=1e-8
    )
    assert digits.train_x.shape == (1437, 1, 8, 8) and digits.test_x.shape == (360, 1, 8, 8)


def test_normalising_is_what_it_says_in_float64():
    train, test, labels = small()
    data = from_bytes(INFO, (train, labels[0]), (test, labels[1]))
    exact = train.double() / 255
    mean, std = exact.mean((0, 2, 3)), exact.std((0, 2, 3), correction=0)
    assert torch.tensor(data.mean) == pytest.approx(mean.numpy(), abs=1e-7)
    for found, images in ((data.train_x, train), (data.test_x, test)):
        expected = (images.double() / 255 - mean.view(3, 1, 1)) / std.view(3, 1, 1)
        assert found.dtype == torch.float32 and (found.double() - expected).abs().max() < 1e-6
        assert (data.pixels(found) * 255 - images).abs().max() < 1e-3
    assert data.train_y.dtype == torch.int64 and torch.equal(data.train_y, labels[0])


def test_statistics_are_exact_and_a_constant_channel_is_no_division_by_zero():
    train, test, labels = small(fill=51)
    mean, std = channel_statistics(train)
    exact = train.double() / 255
    assert mean == pytest.approx(exact.mean((0, 2, 3)).tolist(), abs=1e-13)
    assert std[::2] == pytest.approx(exact.std((0, 2, 3), correction=0)[::2].tolist(), abs=1e-13)
    assert std[1] == 1
    data = from_bytes(INFO, (train, labels[0]), (test, labels[1]))
    assert data.train_x.isfinite().all() and data.train_x[:, 1].abs().max() < 1e-6


def test_the_bytes_are_not_changed():
    train, test, labels = small()
    before = train.clone()
    from_bytes(INFO, (train, labels[0]), (test, labels[1]))
    assert torch.equal(train, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_black_is_what_a_black_pixel_became(dtype):
    train, test, labels = small()
    train[0] = 0
    data = from_bytes(INFO, (train, labels[0]), (test, labels[1])).to("cpu", dtype)
    assert data.black().dtype == dtype
    assert (data.black().view(3, 1, 1) - data.train_x[0]).abs().max() < 1e-6
    assert data.pixels(data.black().view(1, 3, 1, 1)).abs().max() < 1e-6


def test_pixels_of_images_are_clipped_and_splits_are_what_they_are(digits):
    far = torch.full((1, 1, 8, 8), 100.0)
    assert digits.pixels(far).max() == 1 and digits.pixels(-far).min() == 0
    assert digits.split("train") == (digits.train_x, digits.train_y)
    assert digits.split("test") == (digits.test_x, digits.test_y)
    assert digits.to("cpu", torch.float64).test_x.dtype == torch.float64


def test_the_list_of_data_sets():
    assert list_datasets() == [
        *["digits", "moons", "spirals", "mnist", "fashion_mnist", "kmnist", "cifar10", "cifar100", "svhn", "folder"]
    ]
    for name in list_datasets()[:-1]:
        info = dataset_info(name)
        assert info.name == name and len(set(info.classes)) == len(info.classes) > 1
        assert set(info.augmentable) < set(KINDS) and (info.kind == "images") == (len(info.input_shape) == 3)
    assert len(dataset_info("cifar100").classes) == 100
    with pytest.raises(ValueError, match="unknown data set 'mnits'; choose one of: digits, moons,.*, folder"):
        dataset_info("mnits")


@pytest.mark.parametrize("name", ["digits", "moons", "spirals"])
def test_built_in_sets_are_as_described(name):
    data = load(name)
    assert data.info == dataset_info(name) and on_disk(name) and resolve(name) == name
    for split, count in (("train", data.info.train_images), ("test", data.info.test_images)):
        x, y = data.split(split)
        assert x.shape == (count, *data.info.input_shape) and x.dtype == torch.float32
        assert y.shape == (count,) and set(y.tolist()) == set(range(len(data.info.classes)))


def test_what_a_folders_name_says_needs_no_disk():
    info = dataset_info("folder:3x32x24:10:50000:9999:0123456789abcdef")
    assert info.input_shape == (3, 32, 24) and info.classes == tuple("0123456789")
    assert (info.train_images, info.test_images) == (50000, 9999) and info.augmentable


@pytest.mark.parametrize(
    "name",
    [
        "folder:",
        "folder:2x32x32:10:5:5:0123456789abcdef",
        "folder:3x32x65:10:5:5:0123456789abcdef",
        "folder:3x32x32:1:5:5:0123456789abcdef",
        "folder:3x32x32:9999:5:5:0123456789abcdef",
        "folder:3x32x32:10:0:5:0123456789abcdef",
        "folder:3x32x32:10:5:5:0123456789ABCDEF",
        "folder:3x32x32:10:5:5:0123456789abcdef\n",
        "folder:../../etc:10:5:5:0123456789abcdef",
    ],
)
def test_a_malformed_name_of_a_folder_is_unknown(name):
    with pytest.raises(ValueError, match="unknown data set"):
        dataset_info(name)


def test_the_data_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("LMC_DATA", str(tmp_path / "here"))
    assert default_data_dir() == tmp_path / "here"
    monkeypatch.delenv("LMC_DATA")
    monkeypatch.setenv("LMC_STORE", str(tmp_path / "store"))
    assert default_data_dir() == tmp_path / "store" / "data"
    monkeypatch.delenv("LMC_STORE")
    from lmc.store import default_root

    assert default_data_dir() == default_root() / "data"


def test_the_list_says_what_is_on_disk_and_where(data_dir):
    rows = {row.name: row for row in list_data()}
    assert list(rows) == list_datasets()
    assert [name for name, row in rows.items() if row.on_disk] == ["digits", "moons", "spirals"]
    assert rows["mnist"].where == str(data_dir / "MNIST" / "raw") and rows["digits"].where == "built in"
    assert (rows["svhn"].train_images, rows["svhn"].test_images) == (73_257, 26_032)


def test_importing_and_listing_load_neither_torch_nor_pillow():
    code = (
        "import sys, lmc.data as d; d.list_data(); d.on_disk('cifar10'); "
        "print([m for m in ('torch', 'torchvision', 'sklearn', 'PIL') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
    assert set(lmc.data.__all__) <= set(dir(lmc.data))
