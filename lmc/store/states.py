"""Saved states of trainings: from there one that was killed goes on, here or on another worker."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lmc.errors import StoreError
from lmc.store.content import Damaged, packed_state, read_state, write_file
from lmc.store.folders import Folders
from lmc.store.layout import checked


class States(Folders):
    """The saved states of a store. A name has 16 hexadecimal digits; what the bytes mean is the training's affair."""

    def save_state(self, name: str, content: bytes) -> None:
        """Keep `content` under `name` in place of what was there. Raises StoreError if the disk refuses."""
        path = self._state(name)
        try:
            write_file(path, *packed_state(content))
        except OSError as error:
            raise self._refused(error) from None

    def load_state(self, name: str) -> bytes | None:
        """What was last kept under `name`, or None; a damaged state is deleted, as it can be computed again."""
        path = self._state(name)
        try:
            return read_state(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"the saved training in {path} cannot be read ({error.strerror}); try again") from None
        except Damaged:
            self.delete_state(name)
            return None

    def delete_state(self, name: str) -> None:
        """Forget what is kept under `name`, if anything."""
        with contextlib.suppress(OSError):
            self._state(name).unlink()

    def _state(self, name: str) -> Path:
        return self.root / "states" / checked(name)
