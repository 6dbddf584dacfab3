"""Each format is read from small files made here; the real MNIST from LMC_TEST_DATA, if that is set."""

import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import tarfile
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat

from lmc.data import catalog, dataset_info, list_data, load, on_disk
from lmc.data.published import PUBLISHED
from lmc.errors import InputError, Stopped

TRAIN, TEST = 12, 6
NAMES = list(PUBLISHED)
datasets = pytest.importorskip("torchvision.datasets")


def md5(content):
    return hashlib.md5(content).hexdigest()


def pixels(name, split):
    shape, count = dataset_info(name).input_shape, TRAIN if split == "train" else TEST
    return np.random.RandomState(count).randint(256, size=(count, *shape)).astype(np.uint8)


def labels(split):
    return np.arange(TRAIN if split == "train" else TEST) * 7 % 10


def idx(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def idx_archives(name):
    files = {}
    for split, prefix in (("train", "train"), ("test", "t10k")):
        files[f"{prefix}-images-idx3-ubyte.gz"] = gzip.compress(idx(pixels(name, split)[:, 0]))
        files[f"{prefix}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels(split)))
    return files


def cifar_batch(name, images, values):
    content = {"data": images.reshape(len(images), -1), "labels" if name == "cifar10" else "fine_labels": list(values)}
    # As in the published files: an old pickle, in which NumPy's dtype has numbers where it now has truth values.
    return pickle.dumps(content, protocol=2).replace(b"\x89\x88\x87R", b"K\x00K\x01\x87R")


def cifar_files(name):
    (x, y), (test_x, test_y) = ((pixels(name, split), labels(split).tolist()) for split in ("train", "test"))
    classes = [c.replace(" ", "_") for c in dataset_info(name).classes]
    if name == "cifar100":
        meta = pickle.dumps({"fine_label_names": classes})
        return {"train": cifar_batch(name, x, y), "test": cifar_batch(name, test_x, test_y), "meta": meta}
    parts = zip(np.split(x, [2, 4, 6, 9]), np.split(np.array(y), [2, 4, 6, 9]), strict=True)
    batches = {f"data_batch_{i}": cifar_batch(name, a, b.tolist()) for i, (a, b) in enumerate(parts, 1)}
    meta = pickle.dumps({"label_names": classes})
    return {**batches, "test_batch": cifar_batch(name, test_x, test_y), "batches.meta": meta}


def packed(folder, files):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        for file, data in files.items():
            member = tarfile.TarInfo(f"{folder}/{file}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return content.getvalue()


def mat(name, split):
    content = io.BytesIO()
    y = labels(split)
    savemat(content, {"X": pixels(name, split).transpose(2, 3, 1, 0), "y": np.where(y == 0, 10, y)[:, None]})
    return content.getvalue()


@pytest.fixture
def publish(monkeypatch, server):
    """Puts a small set called `name` on the server, tells torchvision its checksums, and returns its archives."""

    def publish(name):
        loader = getattr(datasets, PUBLISHED[name].loader)
        info = replace(dataset_info(name), train_images=TRAIN, test_images=TEST)
        monkeypatch.setitem(catalog._DATASETS, name, info)
        if name.startswith("cifar"):
            files = cifar_files(name)
            archives = {loader.filename: packed(loader.base_folder, files)}
            monkeypatch.setattr(loader, "url", f"{server.url}/{loader.filename}")
            monkeypatch.setattr(loader, "tgz_md5", md5(archives[loader.filename]))
            for part in ("train_list", "test_list"):
                monkeypatch.setattr(loader, part, [[file, md5(files[file])] for file, _ in getattr(loader, part)])
            monkeypatch.setitem(loader.meta, "md5", md5(files[loader.meta["filename"]]))
        elif name == "svhn":
            archives = {f"{split}_32x32.mat": mat(name, split) for split in ("train", "test")}
            found = {
                s: [f"{server.url}/{s}_32x32.mat", f"{s}_32x32.mat", md5(archives[f"{s}_32x32.mat"])]
                for s in ("train", "test")
            }
            monkeypatch.setattr(loader, "split_list", found)
        else:
            archives = idx_archives(name)
            monkeypatch.setattr(loader, "mirrors", [f"{server.url}/elsewhere/", f"{server.url}/"])
            monkeypatch.setattr(loader, "resources", [(file, md5(content)) for file, content in archives.items()])
        server.files.update({f"/{file}": content for file, content in archives.items()})
        return archives

    return publish


def check(name, data):
    assert data.info.name == name and data.info.train_images == TRAIN
    for split in ("train", "test"):
        x, y = data.split(split)
        assert x.dtype == torch.float32 and y.dtype == torch.int64 and x.is_contiguous()
        assert np.array_equal((data.pixels(x) * 255).round().numpy(), pixels(name, split))
        assert y.tolist() == labels(split).tolist()
    scaled = pixels(name, "train") / 255
    assert data.mean == pytest.approx(scaled.mean((0, 2, 3))) and data.std == pytest.approx(scaled.std((0, 2, 3)))


@pytest.mark.parametrize("name", NAMES)
def test_a_set_is_downloaded_once_and_read(publish, server, data_dir, name):
    publish(name)
    told = []
    assert not on_disk(name)
    check(name, load(name, report=lambda share, text: told.append((share, text))))
    asked = len(server.asked)
    assert asked and on_disk(name)
    assert all(0 <= share <= 1 for share, _ in told) and told[-1] == (1.0, f"reading {dataset_info(name).title}")
    check(name, load(name))
    assert len(server.asked) == asked
    hidden = [path.name for path in data_dir.rglob("*") if path.name.startswith(".") or path.suffix == ".part"]
    assert hidden in ([], [f".{name}.lock"])
    assert {row.name: row.on_disk for row in list_data()}[name]


@pytest.mark.parametrize("name", NAMES)
def test_what_we_know_of_the_files_is_what_torchvision_knows(name):
    published, loader = PUBLISHED[name], getattr(datasets, PUBLISHED[name].loader)
    if name.startswith("cifar"):
        known = [file for file, _ in loader.train_list + loader.test_list] + [loader.meta["filename"]]
        assert [*published.archives] == [loader.filename] and published.base == loader.base_folder
        assert sorted(published.files) == sorted(known)
    elif name == "svhn":
        assert published.files == [loader.split_list[split][1] for split in ("train", "test")]
    else:
        assert [*published.archives] == [file for file, _ in loader.resources]
        assert published.base == f"{loader.__name__}/raw"


@pytest.mark.parametrize(
    "place", ["MNIST/raw/{}.gz", "MNIST/raw/{}", "MNIST/{}.gz", "MNIST/{}", "mnist/{}.gz", "mnist/{}", "{}.gz"]
)
def test_files_of_mnist_put_there_by_hand_are_found(publish, server, tmp_path, place):
    for file, content in publish("mnist").items():
        target = tmp_path / "mine" / place.format(file.removesuffix(".gz"))
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if target.suffix == ".gz" else gzip.decompress(content))
    assert on_disk("mnist", tmp_path / "mine")
    check("mnist", load("mnist", data_dir=tmp_path / "mine"))
    assert server.asked == []


@pytest.mark.parametrize("inner", ["MNIST", "MNIST/raw"])
def test_the_sets_own_folder_will_do(publish, server, tmp_path, inner):
    for file, content in publish("mnist").items():
        (tmp_path / "MNIST" / "raw").mkdir(parents=True, exist_ok=True)
        (tmp_path / "MNIST" / "raw" / file.removesuffix(".gz")).write_bytes(gzip.decompress(content))
    check("mnist", load("mnist", data_dir=tmp_path / inner))
    assert server.asked == []


def test_archives_with_the_same_names_are_told_apart_by_their_checksums(publish, server, tmp_path):
    for file, content in publish("mnist").items():
        (tmp_path / file).write_bytes(gzip.compress(gzip.decompress(content)[:-1] + b"x"))
    check("mnist", load("mnist", data_dir=tmp_path))
    assert len(server.asked) == 8  # the first mirror has nothing


@pytest.mark.parametrize("place", ["{}", "cifar-10-batches-py/{}", "cifar10/{}"])
def test_an_archive_of_cifar_put_there_by_hand_is_found(publish, server, tmp_path, place):
    for file, content in publish("cifar10").items():
        target = tmp_path / place.format(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    assert on_disk("cifar10", tmp_path)
    check("cifar10", load("cifar10", data_dir=tmp_path))
    assert server.asked == []


def test_without_a_network_it_says_what_to_do(publish, server, data_dir):
    publish("mnist")
    server.shutdown()
    server.server_close()
    with pytest.raises(InputError) as error:
        load("mnist")
    assert str(error.value) == (
        f"dataset: mnist cannot be used; it is not in {data_dir} and cannot be downloaded (no connection to "
        f"127.0.0.1); connect, or put the files into {data_dir}/MNIST/raw yourself."
    )
    assert not on_disk("mnist")


def test_a_wrong_checksum_is_refused_and_nothing_is_left(publish, server, data_dir):
    publish("svhn")
    server.files["/train_32x32.mat"] += b"!"
    with pytest.raises(InputError, match=r"the checksum of the file from 127.0.0.1 is wrong, so it was removed"):
        load("svhn")
    assert [path for path in data_dir.iterdir() if path.suffix in (".mat", ".part")] == []


@pytest.mark.parametrize("name, file", [("cifar10", "data_batch_3"), ("svhn", "test_32x32.mat"), ("mnist", None)])
@pytest.mark.parametrize("how", ["truncated", "flipped", "empty"])
def test_damaged_files_are_named_and_never_unpickled(publish, data_dir, name, file, how, monkeypatch):
    publish(name)
    load(name)
    path = data_dir / PUBLISHED[name].base / (file or "train-images-idx3-ubyte")
    content = bytearray(path.read_bytes())
    content[2] ^= 1
    path.write_bytes({"truncated": content[:-5], "flipped": content, "empty": b""}[how])
    with pytest.raises(InputError, match=r"are damaged; delete them to fetch them again: .*" + path.name) as error:
        load(name)
    assert error.value.option == "data_dir" and "\n" not in str(error.value)


def test_a_forged_pickle_is_not_opened(publish, data_dir):
    publish("cifar10")
    load("cifar10")

    class Trap:
        def __reduce__(self):
            return pytest.fail, ("it was unpickled",)

    (data_dir / "cifar-10-batches-py" / "data_batch_1").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="damaged"):
        load("cifar10")


@pytest.mark.parametrize("how", ["truncated", "no archive", "other members", "cut inside"])
def test_a_damaged_archive_put_there_by_hand_is_named(publish, tmp_path, how):
    (file, content), *_ = publish("cifar10").items()
    wrong = {
        "truncated": content[:200],
        "no archive": b"not an archive",
        "other members": packed("../cifar-10-batches-py", cifar_files("cifar10")),
        "cut inside": gzip.compress(zlib.decompress(content, 31)[:9000]),
    }[how]
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / file).write_bytes(wrong)
    with pytest.raises(InputError, match=r"it is damaged or no such archive .*; delete it") as error:
        load("cifar10", data_dir=tmp_path)
    assert error.value.option == "data_dir" and error.value.value == tmp_path / "cifar10" / file
    assert "\n" not in str(error.value)


def test_a_folder_that_cannot_be_written_is_named(publish, tmp_path):
    publish("mnist")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="a folder that can be written would be right .Not a directory.") as error:
        load("mnist", data_dir=tmp_path / "file" / "data")
    assert error.value.option == "data_dir"


def test_a_full_disk_while_unpacking_leaves_no_file_that_looks_whole(publish, data_dir, monkeypatch):
    publish("mnist")

    def full(source, target, length):
        target.write(source.read(100))
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(InputError, match="a folder on a disk with free space would be right .No space left on device."):
        load("mnist")
    assert [path.name for path in (data_dir / "MNIST" / "raw").iterdir()] == ["train-images-idx3-ubyte.gz"]
    monkeypatch.undo()


def test_it_can_be_stopped_and_goes_on(publish, server, data_dir):
    publish("cifar100")

    def stop(share, text):
        if text.startswith("unpacking"):
            raise Stopped

    with pytest.raises(Stopped):
        load("cifar100", report=stop)
    asked = len(server.asked)
    check("cifar100", load("cifar100"))
    assert len(server.asked) == asked


def test_without_torchvision_it_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    with pytest.raises(InputError, match="dataset: mnist cannot be used; reading it needs torchvision"):
        load("mnist")


@pytest.mark.skipif("LMC_TEST_DATA" not in os.environ, reason="needs MNIST in LMC_TEST_DATA/mnist")
def test_the_real_mnist(tmp_path):
    shutil.copytree(Path(os.environ["LMC_TEST_DATA"]) / "mnist", tmp_path / "mnist")
    (tmp_path / "mnist").chmod(0o755)
    data = load("mnist", data_dir=tmp_path)
    assert data.train_x.shape == (60_000, 1, 28, 28) and data.test_x.shape == (10_000, 1, 28, 28)
    assert data.mean == pytest.approx((0.1307,), abs=1e-4) and data.std == pytest.approx((0.3081,), abs=1e-4)
    assert data.train_y[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert torch.bincount(data.test_y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.train_x.double().mean().abs() < 1e-6
