"""The datasets by letter, and the dataset in effect on a day.

A dataset is loaded when it is first asked for, so that checking a dataset Q file does not load dataset P.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from importlib import import_module
from pkgutil import iter_modules

from cjit.dataset import Dataset


class UnknownDataset(ValueError):  # noqa: N818  the message is the error
    """There is no such dataset here. The message is one sentence that names those there are."""


class _ByLetter(Mapping[str, Dataset]):
    """Dataset by letter, the newest first. Each is in the module `cjit.datasets.<letter>`."""

    #: A module whose name is one letter is a dataset, and a later letter is newer.
    _letters = sorted((name.upper() for _, name, _ in iter_modules(__path__) if len(name) == 1), reverse=True)

    def __getitem__(self, letter: str) -> Dataset:
        if letter not in self._letters:
            raise KeyError(letter)
        loaded: Dataset = getattr(import_module(f"cjit.datasets.{letter.lower()}"), letter)
        return loaded

    def __iter__(self) -> Iterator[str]:
        return iter(self._letters)

    def __len__(self) -> int:
        return len(self._letters)


DATASETS: Mapping[str, Dataset] = _ByLetter()


def dataset(letter: str) -> Dataset:
    """The dataset of a letter, capital or small. Raises `UnknownDataset` where there is none here."""
    chosen = DATASETS.get(letter.strip().upper())
    if chosen is None:
        raise UnknownDataset(f"There is no CJIT dataset “{letter[:20]}” here: choose {' or '.join(DATASETS)}")
    return chosen


def due_on(day: date) -> Dataset:
    """The dataset in effect on a day: the newest here whose first day has come.

    It raises `UnknownDataset` for a day before the first dataset here.
    """
    for each in DATASETS.values():
        if each.effective <= day:
            return each
    raise UnknownDataset(
        f"No CJIT dataset here was in effect on {day:%d/%m/%Y}: choose a day from {each.effective:%d/%m/%Y}"
    )
