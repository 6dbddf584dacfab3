"""A config in words: the same spelling on the command line and in the address bar."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, TypeVar

from lmc.errors import InputError
from lmc.experiments.base import Experiment
from lmc.experiments.recipe import RECIPE_FIELDS, Recipe, make_recipe, recipe_changes
from models import get_architecture

Config = TypeVar("Config", bound=Experiment)


def option_fields(cls: type[Experiment]) -> list[Field[Any]]:
    """Every field that can be spelled: those of the experiment, with the recipe's behind `recipe`."""
    own = list(fields(cls))
    place = next(i for i, spec in enumerate(own) if spec.name == "recipe") + 1
    return [*own[:place], *fields(Recipe), *own[place:]]


def takes_many(spec: Field[Any]) -> bool:
    """Whether the option takes a list."""
    return isinstance(spec.default, tuple)


def parse(cls: type[Config], words: Mapping[str, Sequence[str]]) -> Config:
    """The config whose options are given as words; options not given have their defaults.

    Raises InputError for an unknown option or a value that cannot be run.
    """
    known = {spec.name: spec for spec in option_fields(cls)}
    values: dict[str, Any] = {}
    for name, given in words.items():
        if name not in known:
            raise InputError(name, " ".join(given), f"the options of {cls.name} are {', '.join(known)}")
        items = tuple(given) if name in ("load", "labels") else tuple(value_of(word) for word in given)
        if takes_many(known[name]):
            values[name] = items
        elif len(items) == 1:
            values[name] = items[0]
        else:
            raise InputError(name, list(given), "one value would be right")
    changes = {name: values.pop(name) for name in RECIPE_FIELDS if name in values}
    values["recipe"] = make_recipe(values.pop("recipe", "default"), **changes)
    return cls(**values)


def spell(config: Experiment) -> dict[str, list[str]]:
    """The words from which `parse` makes `config` again; what equals the default is left out."""
    words: dict[str, list[str]] = {}
    for spec in fields(config):
        value = getattr(config, spec.name)
        if spec.name == "recipe":
            words.update({name: _words(changed) for name, changed in recipe_changes(value).items()})
        elif value != default_of(config, spec) and value != ():
            words[spec.name] = _words(value)
    return words


def default_of(config: Experiment, spec: Field[Any]) -> Any:
    """The value of an option that is not given; of some it is the architecture's own."""
    if spec.default is None:
        return getattr(get_architecture(config.arch), f"default_{spec.name}")
    return config.load if spec.name == "labels" else spec.default


def command(config: Experiment) -> str:
    """The command line that runs `config`."""
    return shlex.join(["python", "-m", "lmc", *arguments(config)])


def arguments(config: Experiment) -> list[str]:
    """The arguments behind `python -m lmc` that run `config`."""
    out = [config.name]
    for name, words in spell(config).items():
        out += [f"--{name.replace('_', '-')}", *words]
    return out


def _words(value: object) -> list[str]:
    return [str(item) for item in value] if isinstance(value, tuple) else [str(value)]


def value_of(word: str) -> int | float | str:
    """The number that a word spells, else the word."""
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
