"""The few exceptions that callers are meant to catch."""

from __future__ import annotations


class InputError(ValueError):
    """A value that cannot be run. Its text names the option, the value and what would be right.

    `option` is the name of the config field; the command line shows it as `--option`.
    """

    def __init__(self, option: str, value: object, right: str) -> None:
        self.option, self.value, self.right = option, value, right
        super().__init__(f"{option}: {_quoted(value)} cannot be used; {right}.")

    def __reduce__(self) -> tuple[type, tuple[str, object, str]]:  # it travels between processes
        return InputError, (self.option, self.value, self.right)

    def for_command_line(self) -> str:
        """The same sentence with the option spelled as it is typed."""
        return f"--{self.option.replace('_', '-')}: {_quoted(self.value)} cannot be used; {self.right}."


class StoreError(RuntimeError):
    """The store cannot be read or written; the text says which folder and what to do."""


class EngineError(RuntimeError):
    """A run cannot be started or went wrong where it ran; the text is one sentence for the user."""


class Stopped(Exception):
    """Raise it from a progress callback to stop a run; what was finished is kept."""


def as_sentence(text: str) -> str:
    """The text with a capital and one full stop."""
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def _quoted(value: object) -> str:
    if isinstance(value, list | tuple):
        return _short(" ".join(map(_quoted, value))) or "an empty list"
    if isinstance(value, int) and abs(value) >= 10**80:
        return "a number of more than 80 digits"
    return _short(str(value)) or "an empty value"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


class CheckFailed(Exception):
    """A permutation changed what a network computes: its symmetries were traced wrongly, so nothing may be shown."""
