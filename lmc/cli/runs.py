"""`python -m lmc runs`: what the store holds; show it, pin it, delete it, look for damage."""

from __future__ import annotations

import argparse
import itertools
import re
import sys
from collections.abc import Callable
from typing import Any

from lmc.cli.options import Command, Parser, add_store
from lmc.cli.showing import show_lines
from lmc.errors import InputError, StoreError
from lmc.listing import run_lines
from lmc.store import Finding, Store

_ID = re.compile(r"[0-9a-f]{4,16}")


def add(commands: Any) -> None:
    """The command `runs`, alone or with an action."""
    text = (
        "List the results of the store. The actions take ids of results and of networks; the first digits of an id, "
        "four at least, are enough where no other begins with them."
    )
    one = commands.add_parser(
        "runs", help="list, show, pin, delete and verify what the store holds", description=text, allow_abbrev=False
    )
    add_store(one)
    one.set_defaults(command=_list)
    actions = one.add_subparsers(metavar="ACTION", parser_class=Parser)
    _add(actions, "show", _show, "the command that computes it, its numbers, its size and times")
    _add(actions, "pin", _pin, "keep it, a result with its networks, when the store makes room")
    _add(actions, "unpin", _unpin, "let the store delete it again when it makes room")
    _add(actions, "delete", _delete, "delete it; networks of a deleted result stay")
    _add(actions, "verify", _verify, "read it fully and set aside what is damaged (default: all)", many="*")


def _add(actions: Any, name: str, command: Command, text: str, many: str = "+") -> None:
    one = actions.add_parser(name, help=text, description=f"{name}: {text}.", allow_abbrev=False)
    one.add_argument("ids", nargs=many, metavar="ID", help="a result or network, or how its id begins")
    add_store(one, default=argparse.SUPPRESS)
    one.set_defaults(command=command)


def _list(options: dict[str, Any]) -> int:
    print("\n".join(run_lines(Store(options["store"]))))
    return 0


def _show(options: dict[str, Any]) -> int:
    return _each(options, lambda store, id: "\n".join(show_lines(store, id)))


def _pin(options: dict[str, Any]) -> int:
    def pin(store: Store, id: str) -> str:
        store.pin(id)
        return f"{id}  pinned"

    return _each(options, pin)


def _unpin(options: dict[str, Any]) -> int:
    def unpin(store: Store, id: str) -> str:
        store.unpin(id)
        return f"{id}  no longer pinned"

    return _each(options, unpin)


def _delete(options: dict[str, Any]) -> int:
    def delete(store: Store, id: str) -> str:
        if store.has_result(id):
            store.delete_result(id)
        else:
            store.delete_network(id)
        return f"{id}  deleted"

    return _each(options, delete)


def _verify(options: dict[str, Any]) -> int:
    store = Store(options["store"])
    try:
        ids = [_resolved(store, word) for word in options["ids"]]
    except InputError as error:
        return _refused(str(error))
    whole = damaged = 0
    for (id, kind), findings in itertools.groupby(store.verify(ids or None), key=lambda one: (one.id, one.kind)):
        broken = [one for one in findings if not one.whole]
        print(f"{id}  {kind}  {_said(broken)}")
        whole, damaged = whole + (not broken), damaged + bool(broken)
    print(f"{whole} whole, {damaged} damaged" + f"; see {store.root / 'damaged'}" * bool(damaged))
    return 1 if damaged else 0


def _said(broken: list[Finding]) -> str:
    return "damaged: " + ", ".join(f"{one.part} {one.text}".strip() for one in broken) if broken else "whole"


def _each(options: dict[str, Any], act: Callable[[Store, str], str]) -> int:
    """Do it for every id and print what it says. A bad id stops all before the first; one that fails, only itself."""
    store = Store(options["store"])
    try:
        ids = [_resolved(store, word) for word in options["ids"]]
    except InputError as error:
        return _refused(str(error))
    status = 0
    for id in dict.fromkeys(ids):
        try:
            print(act(store, id), flush=True)
        except StoreError as error:
            status = _refused(f"{id}: {error}")
    return status


def _resolved(store: Store, word: str) -> str:
    """The id that begins so. Raises InputError if none does, or several."""
    if not _ID.fullmatch(word):
        raise InputError("id", word, "an id has 16 hexadecimal digits, and its first four or more will do")
    there = sorted({*store.changes("results"), *store.changes("networks")})
    found = [id for id in there if id.startswith(word)]
    if not found:
        raise InputError("id", word, f"the store {store.root} holds no result or network of that id")
    if len(found) > 1:
        raise InputError("id", word, f"{len(found)} ids begin so ({', '.join(found[:3])}{', …' * (len(found) > 3)})")
    return found[0]


def _refused(sentence: str) -> int:
    print(f"lmc: {sentence}", file=sys.stderr)
    return 2
