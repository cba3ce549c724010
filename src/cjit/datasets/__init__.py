"""The datasets by letter, and which one is due on a day.

A dataset is loaded when it is first asked for: who checks a dataset Q file never loads dataset P.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from importlib import import_module
from pkgutil import iter_modules

from cjit.dataset import Dataset


class UnknownDataset(ValueError):  # noqa: N818  the message is the error
    """No such dataset here; the message is one sentence that names those there are."""


class _ByLetter(Mapping[str, Dataset]):
    """Dataset by letter, the newest first; the module `cjit.datasets.<letter>` holds each."""

    #: A module with a name of one letter is a dataset; letters are given out in order.
    _letters = sorted((name.upper() for _, name, _ in iter_modules(__path__) if len(name) == 1), reverse=True)

    def __getitem__(self, letter: str) -> Dataset:
        if letter not in self._letters:
            raise KeyError(letter)
        found: Dataset = getattr(import_module(f"cjit.datasets.{letter.lower()}"), letter)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(self._letters)

    def __len__(self) -> int:
        return len(self._letters)


DATASETS: Mapping[str, Dataset] = _ByLetter()


def dataset(letter: str) -> Dataset:
    """The dataset of a letter, capital or small; raises `UnknownDataset` when there is none here."""
    found = DATASETS.get(letter.strip().upper())
    if found is None:
        raise UnknownDataset(f"There is no CJIT dataset “{letter[:20]}” here: choose {' or '.join(DATASETS)}")
    return found


def due_on(day: date) -> Dataset:
    """The dataset in effect on a day: the newest whose first day has come.

    A letter that came after those here is not known to this function. Raises `UnknownDataset` for a
    day before the first dataset here.
    """
    for found in DATASETS.values():
        if found.effective <= day:
            return found
    raise UnknownDataset(
        f"No CJIT dataset here was in effect on {day:%d/%m/%Y}: choose a day from {found.effective:%d/%m/%Y}"
    )
