"""The data sets by name, and the names that folders of images get."""

from __future__ import annotations

import re

from lmc.data.dataset import DatasetInfo
from lmc.data.digits import DIGITS
from lmc.data.points import MOONS, SPIRALS

FOLDER = "folder"
MAX_SIDE = 64  # pixels: a folder's images keep their size up to here
MAX_CLASSES = 1000

_CROP, _ALL = ("crop",), ("flip", "crop", "flip_crop")
_DIGITS = tuple("0123456789")
_CLOTHES = ("T-shirt", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_KANA = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")
_CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_CIFAR100 = (
    "apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus, butterfly, "
    "camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab, crocodile, cup, "
    "dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard, lamp, lawn mower, "
    "leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse, mushroom, oak tree, orange, orchid, "
    "otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy, porcupine, possum, rabbit, raccoon, ray, "
    "road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider, squirrel, streetcar, "
    "sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train, trout, tulip, turtle, "
    "wardrobe, whale, willow tree, wolf, woman, worm"
)


def _images(
    name: str,
    title: str,
    classes: tuple[str, ...],
    input_shape: tuple[int, ...],
    train_images: int,
    test_images: int,
    augmentable: tuple[str, ...],
) -> DatasetInfo:
    return DatasetInfo(
        name=name,
        title=title,
        classes=classes,
        input_shape=input_shape,
        train_images=train_images,
        test_images=test_images,
        augmentable=augmentable,
    )


_GREY, _COLOUR = (1, 28, 28), (3, 32, 32)
_FOLDER = _images(FOLDER, "Your own folder of images", (), (), 0, 0, ())
_DATASETS = {
    entry.name: entry
    for entry in (
        DIGITS,
        MOONS,
        SPIRALS,
        _images("mnist", "MNIST", _DIGITS, _GREY, 60_000, 10_000, _CROP),
        _images("fashion_mnist", "Fashion-MNIST", _CLOTHES, _GREY, 60_000, 10_000, _ALL),
        _images("kmnist", "Kuzushiji-MNIST", _KANA, _GREY, 60_000, 10_000, _CROP),
        _images("cifar10", "CIFAR-10", _CIFAR10, _COLOUR, 50_000, 10_000, _ALL),
        _images("cifar100", "CIFAR-100", tuple(_CIFAR100.split(", ")), _COLOUR, 50_000, 10_000, _ALL),
        _images("svhn", "SVHN (house numbers)", _DIGITS, _COLOUR, 73_257, 26_032, _CROP),
        _FOLDER,
    )
}
_NAME = re.compile(
    r"folder:(?P<channels>[13])x(?P<height>[1-9]\d?)x(?P<width>[1-9]\d?):(?P<classes>[1-9]\d{0,3})"
    r":(?P<train>[1-9]\d{0,8}):(?P<test>[1-9]\d{0,8}):(?P<fingerprint>[0-9a-f]{16})"
)


def list_datasets() -> list[str]:
    """Names of all data sets, the default first; `folder` stands for any folder of images."""
    return list(_DATASETS)


def dataset_info(name: str) -> DatasetInfo:
    """The entry called `name`; a ValueError lists the valid names.

    The name `folder:…` of a folder of images says all that is known of it, so no disk is needed; its classes are
    called "0", "1", … here. `folder` alone is a title without classes and images until `resolve` has looked.
    """
    found = _NAME.fullmatch(name)
    if found:
        channels, height, width, classes, train, test = (int(found[i]) for i in range(1, 7))
        if max(height, width) <= MAX_SIDE and 2 <= classes <= MAX_CLASSES:
            title = f"Folder of images ({height}×{width}, {found['fingerprint'][:4]})"
            return _images(name, title, tuple(map(str, range(classes))), (channels, height, width), train, test, _ALL)
    try:
        return _DATASETS[name]
    except KeyError:
        raise ValueError(f"unknown data set {name!r}; choose one of: {', '.join(list_datasets())}") from None


def is_folder(name: str) -> bool:
    """Whether `name` is `folder` or the full name of a folder of images."""
    return name == FOLDER or name.startswith(FOLDER + ":")


def folder_name(shape: tuple[int, ...], classes: int, train: int, test: int, fingerprint: str) -> str:
    """`folder:CxHxW:CLASSES:TRAIN:TEST:HASH`."""
    return f"{FOLDER}:{'x'.join(map(str, shape))}:{classes}:{train}:{test}:{fingerprint}"
