import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import lmc.data.decode
from lmc.data import dataset_info, folders, list_data, load, on_disk, resolve
from lmc.errors import InputError, Stopped

CLASSES = ("cat", "dog")


def picture(seed, size=(8, 6), channels=3):
    width, height = size
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.RandomState(seed).randint(256, size=shape).astype(np.uint8)


def make(root, *, suffix=".png", classes=CLASSES, size=(8, 6), channels=3, train=3, test=2):
    """A folder of images; returns what is in it, by split, in the order of the labels."""
    expected = {"train": [], "test": []}
    for split, count in (("train", train), ("test", test)):
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                array = picture(1000 * (split == "test") + 100 * label + i, size, channels)
                Image.fromarray(array).save(root / split / name / f"{i}{suffix}", quality=95)
                expected[split].append(array)
    return {split: np.stack(arrays) for split, arrays in expected.items()}


def shown(data, split):
    """Bytes of a split, `[N, H, W, C]`."""
    return (data.pixels(data.split(split)[0]) * 255).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.fixture
def root(tmp_path):
    return tmp_path / "my images"


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tiff", ".PNG", ".ppm"])
def test_a_folder_of_images_is_read(root, suffix):
    expected = make(root, suffix=suffix)
    name = resolve("folder", root)
    assert name.startswith("folder:3x6x8:2:6:4:") and resolve(name, root) == name and on_disk("folder", root)
    data = load(name, data_dir=root)
    assert data.info.classes == CLASSES and dataset_info(name).classes == ("0", "1")
    assert (data.info.train_images, data.info.test_images, data.info.input_shape) == (6, 4, (3, 6, 8))
    for split, count in (("train", 3), ("test", 2)):
        assert np.array_equal(shown(data, split), expected[split])
        assert data.split(split)[1].tolist() == [0] * count + [1] * count
    scaled = expected["train"] / 255
    assert data.mean == pytest.approx(scaled.mean((0, 1, 2))) and data.std == pytest.approx(scaled.std((0, 1, 2)))
    assert load("folder", data_dir=root).info == data.info


def test_jpeg_is_read_up_to_its_loss(root):
    make(root, suffix=".jpg", size=(32, 32))
    data = load(resolve("folder", root), data_dir=root)
    expected = [np.asarray(Image.open(root / "train" / "cat" / f"{i}.jpg")) for i in range(3)]
    assert np.array_equal(shown(data, "train")[:3], np.stack(expected))


def test_grey_images_have_one_channel_if_all_are_grey(root):
    expected = make(root, channels=1)
    data = load("folder", data_dir=root)
    assert data.info.input_shape == (1, 6, 8) and np.array_equal(shown(data, "test")[..., 0], expected["test"])
    Image.fromarray(picture(5)).save(root / "test" / "dog" / "colour.png")
    data = load("folder", data_dir=root)
    assert data.info.input_shape == (3, 6, 8) and np.array_equal(shown(data, "test")[0, :, :, 2], expected["test"][0])


def test_other_modes_become_bytes(root):
    make(root, channels=1, train=1, test=1)
    values = picture(0, channels=1)
    cat, dog = root / "train" / "cat", root / "train" / "dog"
    Image.fromarray(values.astype(np.uint16) * 257).save(cat / "16 bits.png")
    Image.fromarray(values > 100).save(cat / "1 bit.png")
    Image.merge("LA", [Image.fromarray(values), Image.fromarray(values)]).save(dog / "transparent.png")
    data = load("folder", data_dir=root)
    assert data.info.input_shape[0] == 1
    bits, sixteen = shown(data, "train")[[1, 2], :, :, 0]  # in the order 0.png, 1 bit.png, 16 bits.png
    assert [path.name for path in sorted(cat.iterdir())] == ["0.png", "1 bit.png", "16 bits.png"]
    assert np.array_equal(sixteen, values) and np.array_equal(bits, 255 * (values > 100))
    assert np.array_equal(shown(data, "train")[4, :, :, 0], values)
    colours = Image.fromarray(picture(1)).quantize(16)
    colours.save(dog / "palette.png", transparency=bytes(range(16)))
    data = load("folder", data_dir=root)
    assert np.array_equal(shown(data, "train")[4], np.asarray(colours.convert("RGB")))


def test_images_of_different_or_large_sizes_become_32_by_32(root):
    make(root, size=(8, 6))
    large = Image.fromarray(picture(7, size=(300, 200)))
    large.save(root / "train" / "cat" / "9.png")
    name = resolve("folder", root)
    assert name.startswith("folder:3x32x32:2:7:4:")
    data = load(name, data_dir=root)
    oracle = torch.nn.functional.interpolate(
        torch.from_numpy(np.array(large)).permute(2, 0, 1)[None].double(),
        (32, 32),
        mode="bilinear",
        antialias=True,
        align_corners=False,
    )
    found = shown(data, "train")[3]
    assert np.abs(found - oracle[0].permute(1, 2, 0).numpy()).max() <= 1.5  # Pillow rounds between the two directions
    small = Image.fromarray(picture(0, size=(8, 6))).resize((32, 32), Image.Resampling.BILINEAR)
    assert np.array_equal(shown(data, "train")[0], np.asarray(small))


@pytest.mark.parametrize("size, shape", [((64, 64), "3x64x64"), ((65, 20), "3x32x32"), ((20, 64), "3x64x20")])
def test_one_size_of_at_most_64_is_kept(root, size, shape):
    make(root, size=size, train=1, test=1)
    assert resolve("folder", root).split(":")[1] == shape


def test_a_photograph_that_lies_on_its_side_is_set_upright(root):
    make(root, train=1, test=1)
    for path in root.rglob("*.png"):
        exif = Image.Exif()
        exif[0x0112] = 6
        Image.open(path).save(path, exif=exif)
    data = load("folder", data_dir=root)
    assert data.info.input_shape == (3, 8, 6)
    assert np.array_equal(shown(data, "train")[0], np.rot90(picture(0), -1))


def change_content(root):
    Image.fromarray(picture(99)).save(root / "test" / "dog" / "0.png")


def change_label(root):
    (root / "train" / "dog" / "2.png").rename(root / "train" / "cat" / "9.png")


@pytest.mark.parametrize(
    "change",
    [
        change_content,
        change_label,
        lambda root: (root / "train" / "cat" / "2.png").unlink(),
        lambda root: shutil.copy(root / "test" / "cat" / "0.png", root / "train" / "cat" / "7.png"),
        lambda root: [(root / split / "cat").rename(root / split / "zebra") for split in ("train", "test")],
        lambda root: (root / "train" / "cat" / "0.png").rename(root / "train" / "cat" / "5.png"),
    ],
)
def test_a_folder_that_was_changed_is_refused(root, change):
    make(root)
    name = resolve("folder", root)
    load(name, data_dir=root)
    change(root)
    with pytest.raises(InputError, match="would be right; here are others, or they were changed") as error:
        load(name, data_dir=root)
    assert error.value.option == "data_dir" and resolve("folder", root) != name


def test_what_is_no_image_of_a_class_changes_nothing(root, tmp_path):
    make(root)
    name = resolve("folder", root)
    (root / "README.txt").write_text("hello")
    (root / "train" / ".hidden").mkdir()
    (root / "train" / "cat" / ".DS_Store").write_text("")
    (root / "train" / "cat" / "notes.txt").write_text("")
    os.utime(root / "train" / "cat" / "0.png", (1, 1))
    assert resolve("folder", root) == name
    shutil.copytree(root, tmp_path / "copy")
    assert resolve("folder", tmp_path / "copy") == name and load(name, data_dir=tmp_path / "copy").info.name == name


def test_a_name_with_other_numbers_is_refused(root):
    make(root)
    name = resolve("folder", root)
    with pytest.raises(InputError, match=f"{name} would be right for the images in"):
        load(name.replace(":6:4:", ":7:4:"), data_dir=root)


def empty_class(root):
    for path in (root / "test" / "dog").iterdir():
        path.unlink()


def damaged(root):
    path = root / "train" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:60])


def no_image(root):
    (root / "test" / "cat" / "1.png").write_text("not an image")


def second_folder(root):
    for name in ("a", "b"):
        shutil.copytree(root / "train", root / name / "train")
        shutil.copytree(root / "test", root / name / "test")
    shutil.rmtree(root / "train")


@pytest.mark.parametrize(
    "spoil, said",
    [
        (
            lambda root: shutil.rmtree(root / "test"),
            "train/CLASS/.* and test/CLASS/.* would be right, this one has no test",
        ),
        (lambda root: [shutil.rmtree(root / s) for s in ("train", "test")], "this one has no train and no test"),
        (lambda root: shutil.rmtree(root / "test" / "dog"), "the same classes; only on one side: train/dog"),
        (lambda root: (root / "test" / "emu").mkdir(), "the same classes; only on one side: test/emu"),
        (lambda root: [shutil.rmtree(root / s / "dog") for s in ("train", "test")], "2 to 1,000 classes .* has 1"),
        (lambda root: [shutil.rmtree(root / s / c) for s in ("train", "test") for c in CLASSES], "train/ has 0"),
        (empty_class, "a class without images has to go or be filled: test/dog"),
        (damaged, "images that can be read would be right, train/cat/1.png cannot"),
        (no_image, "images that can be read would be right, test/cat/1.png cannot"),
        (second_folder, "choose one of the folders of images in it: a, b"),
        (lambda root: shutil.rmtree(root), "a folder that can be read would be right .No such file or directory."),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_sentence(root, spoil, said):
    make(root)
    spoil(root)
    with pytest.raises(InputError, match=said) as error:
        load("folder", data_dir=root)
    assert error.value.option == "data_dir" and "\n" not in str(error.value)
    assert str(root) in str(error.value) or len(str(root)) > 80


def test_folders_of_images_are_found_for_a_picker(tmp_path):
    make(tmp_path / "root" / "b" / "inner", train=1, test=1)
    make(tmp_path / "root" / "a", train=1, test=1)
    (tmp_path / "root" / "c").mkdir()
    (tmp_path / "root" / "file").write_text("")
    make(tmp_path / "root" / ".hidden", train=1, test=1)
    assert folders(tmp_path / "root") == ["a", "b"] and folders(tmp_path / "missing") == []
    assert resolve("folder", tmp_path / "root" / "b") == resolve("folder", tmp_path / "root" / "b" / "inner")
    assert not on_disk("folder", tmp_path / "root" / "c") and on_disk("folder", tmp_path / "root" / "b")
    row = list_data(tmp_path / "root" / "a")[-1]
    assert (row.name, row.on_disk, row.where) == ("folder", True, str(tmp_path / "root" / "a"))


def test_images_are_decoded_and_hashed_once(root, monkeypatch):
    make(root)
    for path in root.rglob("*.png"):
        os.utime(path, (1, 1))
    name = resolve("folder", root)
    first = load(name, data_dir=root)

    def never(*_):
        pytest.fail("decoded again")

    monkeypatch.setattr(lmc.data.decode, "_decode", never)
    again = load(name, data_dir=root)
    assert torch.equal(first.train_x, again.train_x) and torch.equal(first.test_y, again.test_y)


def test_a_fingerprint_is_kept_only_of_files_that_have_settled(root, data_dir, monkeypatch):
    make(root)
    name = resolve("folder", root)
    assert not list((data_dir / "cache").glob("fingerprint-*"))
    monkeypatch.setattr("lmc.data.folder._SETTLED", -1e18)
    assert resolve("folder", root) == name and len(list((data_dir / "cache").glob("fingerprint-*"))) == 1
    monkeypatch.setattr("lmc.data.folder._hash", lambda *_: pytest.fail("hashed again"))
    assert resolve("folder", root) == name


@pytest.mark.parametrize("content", [b"", b"x" * 100])
def test_a_damaged_cache_is_made_again(root, data_dir, content):
    expected = make(root)
    name = resolve("folder", root)
    (kept,) = (data_dir / "cache").glob("images-*.safetensors")
    kept.write_bytes(content)
    assert np.array_equal(shown(load(name, data_dir=root), "train"), expected["train"])
    assert len(kept.read_bytes()) > 100


def test_a_cache_that_cannot_be_written_is_done_without(root, data_dir):
    expected = make(root)
    data_dir.write_text("a file, so that there can be no folder")
    assert np.array_equal(shown(load(resolve("folder", root), data_dir=root), "train"), expected["train"])


def test_decoding_is_told_and_can_be_stopped(root):
    make(root)
    told = []
    resolve("folder", root, report=lambda share, text: told.append(text))
    assert told == ["reading image 0 of 10", "decoding train image 0 of 6", "decoding test image 0 of 4"]
    change_content(root)

    def stop(share, text):
        if text.startswith("decoding"):
            raise Stopped

    with pytest.raises(Stopped):
        resolve("folder", root, report=stop)


@pytest.mark.skipif("LMC_TEST_DATA" not in os.environ, reason="needs CIFAR-10 as images in LMC_TEST_DATA")
def test_real_photographs(tmp_path):
    """A hundredth of CIFAR-10: all would take half a minute."""
    unpacked = tmp_path / "cifar"
    unpacked.mkdir()
    archive = Path(os.environ["LMC_TEST_DATA"]) / "cifar10_images.tar.xz"
    wanted = ["--wildcards", "cifar10_images/*/*/00[0-4]?.jpg"]
    subprocess.run(["tar", "-xJf", archive, "-C", unpacked, *wanted], check=True)
    name = resolve("folder", unpacked)
    assert name.startswith("folder:3x32x32:10:500:500:")
    data = load(name, data_dir=unpacked)
    assert data.info.classes == dataset_info("cifar10").classes
    assert data.mean == pytest.approx((0.4914, 0.4822, 0.4465), abs=0.02)
    assert data.std == pytest.approx((0.247, 0.243, 0.262), abs=0.02)


def test_without_a_folder_the_one_with_these_images_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("LMC_DATA", str(tmp_path / "data"))
    make(tmp_path / "data" / "others", train=4)
    make(tmp_path / "data" / "mine")
    name = resolve("folder", tmp_path / "data" / "mine")
    assert len(load(name).train_x) == dataset_info(name).train_images
    shutil.rmtree(tmp_path / "data" / "mine")
    with pytest.raises(InputError, match="say which folder holds them with --data-dir"):
        load(name)
