"""Reading everything that a store holds, to find what is damaged before somebody needs it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from lmc.errors import StoreError
from lmc.store.content import Damaged, read_about, read_checkpoint, read_result
from lmc.store.inventory import Inventory
from lmc.store.layout import checked, epoch_of
from lmc.store.networks import Networks


@dataclass(frozen=True)
class Finding:
    """Whether one thing is whole: of `kind` `result` or `network`, of a network its `part`, such as `epoch 60`.

    `text` says what is wrong with it.
    """

    kind: str
    id: str
    part: str = ""
    whole: bool = True
    text: str = ""


class Verification(Inventory, Networks):
    """The part of a store that looks for damage."""

    def verify(self, ids: Collection[str] | None = None) -> Iterator[Finding]:
        """Read results and networks fully; what is damaged is set aside. None counts as used by it.

        `ids` are results or networks, shipped ones too; default: all that this store holds itself. Raises StoreError
        for an id that is not there.
        """
        if ids is None:
            return (finding for one in self.inventory() for finding in self._look(one.kind, one.id))
        there = []
        for id in dict.fromkeys(map(checked, ids)):
            kinds = [kind for kind in ("results", "networks") if any(self._find(kind, id))]
            if not kinds:
                raise StoreError(f"the store {self.root} holds no result or network {id}")
            there += [(kind, id) for kind in kinds]
        return (finding for kind, id in there for finding in self._look(kind, id))

    def _look(self, kind: str, id: str) -> Iterator[Finding]:
        for folder in list(self._find(kind, id))[:1]:  # the one that reading takes
            if kind == "results":
                yield from self._examined(Finding("result", id), folder, partial(read_result, folder, id))
                return
            for name in sorted(self.files(id)):
                path, epoch = folder / name, epoch_of(name)
                if epoch is not None:
                    finding = Finding("network", id, f"epoch {epoch}")
                    yield from self._examined(finding, path, partial(read_checkpoint, path, id, epoch))
                elif name == "network.json":
                    yield from self._examined(Finding("network", id, "description"), path, partial(read_about, path))

    def _examined(self, finding: Finding, path: Path, read: Callable[[], object]) -> Iterator[Finding]:
        try:
            read()
        except FileNotFoundError:
            if not path.exists():
                return  # deleted meanwhile
            self._set_aside(path)
            yield replace(finding, whole=False, text="a file is missing")
        except OSError as error:
            yield replace(finding, whole=False, text=f"it cannot be read ({error.strerror})")
        except Damaged as error:
            self._set_aside(path)
            yield replace(finding, whole=False, text=str(error))
        else:
            yield finding
