"""How a network is trained: a value, and the named ones to start from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from lmc.errors import InputError
from lmc.experiments.options import check_choice, check_number, option


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Optimiser, schedule and batches. Fields that the optimiser or decay does not use are set to 0 or ().

    Raises InputError for a value that cannot be run.
    """

    epochs: int = option(60, "passes over the training set", low=1, high=10_000)
    batch_size: int = option(64, "images a step; the last incomplete batch of an epoch is dropped", low=1, high=65_536)
    optimizer: str = option("adam", "adam or sgd", choices=("adam", "sgd"))
    lr: float = option(1e-3, "highest learning rate; sgd alone brings 0.03", low=1e-8, high=100.0)
    momentum: float = option(0.0, "momentum of sgd; sgd alone brings 0.9", low=0.0, high=0.9999)
    weight_decay: float = option(0.0, "L2 penalty added to the gradient", low=0.0, high=10.0)
    decay: str = option(
        "cosine", "how the learning rate falls: cosine to 0, step, or none", choices=("cosine", "step", "none")
    )
    milestones: tuple[int, ...] = option((), "epochs at which step decay divides the rate by 10", low=1, high=10_000)
    warmup: int = option(0, "epochs of linear warm-up", low=0, high=10_000)
    augment: str = option(
        "none",
        "random changes of the images: none, flip (left and right), crop (moved by up to 4 pixels) or flip_crop",
        choices=("none", "flip", "crop", "flip_crop"),
    )

    def __post_init__(self) -> None:
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.metadata["choices"]:
                check_choice(spec.name, value, spec.metadata["choices"])
            elif spec.name == "milestones":
                if not isinstance(value, list | tuple):
                    raise InputError("milestones", value, "a list of epochs would be right")
                epochs = {check_number(spec.name, v, spec.metadata, whole=True) for v in value}
                object.__setattr__(self, spec.name, tuple(sorted(epochs)) if self.decay == "step" else ())
            else:
                whole = isinstance(spec.default, int)
                object.__setattr__(self, spec.name, check_number(spec.name, value, spec.metadata, whole=whole))
        if self.optimizer == "adam":
            object.__setattr__(self, "momentum", 0.0)
        if self.warmup > self.epochs:
            raise InputError("warmup", self.warmup, f"at most the {self.epochs} epochs of the whole training")
        if self.milestones and self.milestones[-1] > self.epochs:
            raise InputError("milestones", self.milestones, f"at most the {self.epochs} epochs of the whole training")
        if self.decay == "step" and not self.milestones:
            raise InputError("milestones", self.milestones, "step decay needs at least one epoch, for example 30 45")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "milestones": list(self.milestones)}

    def learning_rate(self, step: int, steps_per_epoch: int) -> float:
        """The rate of step `step` (0-based): warm-up, then cosine to 0 over all steps or tenths at milestones."""
        import math

        total, warm = self.epochs * steps_per_epoch, self.warmup * steps_per_epoch
        if step < warm:
            return self.lr * (step + 1) / warm
        if self.decay == "cosine":
            return self.lr * 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
        return self.lr * 0.1 ** sum(step >= m * steps_per_epoch for m in self.milestones)


_SGD = Recipe(epochs=160, batch_size=128, optimizer="sgd", lr=0.1, momentum=0.9, weight_decay=1e-4)

RECIPES: dict[str, Recipe] = {
    "default": Recipe(),
    # Ten epochs: large grey images with an MLP or CNN; small photographs with a VGG or ResNet.
    "short": Recipe(epochs=10, batch_size=128),
    "short_sgd": replace(_SGD, epochs=10, warmup=1, augment="flip_crop"),
    # Sharma et al. 2024: VGG-16 and ResNet-20 on CIFAR (on SVHN with --augment none).
    "simultaneous": replace(_SGD, decay="step", milestones=(80, 120), warmup=1, augment="flip_crop"),
    # Ainsworth et al. 2022, as in the authors' code.
    "rebasin_resnet": replace(_SGD, epochs=250, batch_size=100, warmup=5, augment="flip_crop"),
    "rebasin_vgg": replace(_SGD, epochs=100, batch_size=100, warmup=5, weight_decay=5e-4, augment="flip_crop"),
}
RECIPE_FIELDS = tuple(spec.name for spec in fields(Recipe))
_OPTIMIZER_DEFAULTS = {"sgd": {"lr": 0.03, "momentum": 0.9}, "adam": {"lr": 1e-3}}


def make_recipe(name: str = "default", **changes: Any) -> Recipe:
    """The recipe `name` with some fields changed; another optimiser brings its own default rate and momentum.

    With another number of epochs the recipe's milestones stay at the same shares of the training.
    Raises InputError that lists the names or says what would be right.
    """
    check_choice("recipe", name, tuple(RECIPES))
    base = RECIPES[name]
    given = {key: value for key, value in changes.items() if value is not None}
    for key in given:
        if key not in RECIPE_FIELDS:
            raise InputError("recipe", key, f"the fields of a recipe are {', '.join(RECIPE_FIELDS)}")
    optimizer = given.get("optimizer", base.optimizer)
    if given.get("momentum") and optimizer == "adam":
        raise InputError("momentum", given["momentum"], "adam has none; use it with --optimizer sgd")
    if given.get("milestones") and given.get("decay", base.decay) != "step":
        raise InputError("milestones", given["milestones"], "only step decay has them; use them with --decay step")
    steps = base.milestones and given.get("decay", "step") == "step" and not given.get("milestones")
    if steps and _is_number(given.get("epochs")):
        given["milestones"] = _scaled(base.milestones, given["epochs"] / base.epochs)
    implied = _OPTIMIZER_DEFAULTS.get(optimizer, {}) if optimizer != base.optimizer else {}
    return replace(base, **{**implied, **given})


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _scaled(milestones: tuple[int, ...], factor: float) -> tuple[int, ...]:
    """The same shares of a training that is longer or shorter."""
    return tuple(max(1, round(epoch * factor)) for epoch in milestones)


def recipe_changes(recipe: Recipe) -> dict[str, Any]:
    """The fields by which `recipe` differs from what `make_recipe` gives for its optimiser alone."""
    plain = make_recipe(optimizer=recipe.optimizer)
    changes = {n: getattr(recipe, n) for n in RECIPE_FIELDS if getattr(recipe, n) != getattr(plain, n)}
    if recipe.optimizer != RECIPES["default"].optimizer:
        changes = {"optimizer": recipe.optimizer, **changes}
    return changes
