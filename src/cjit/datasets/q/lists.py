"""The code lists of CJIT dataset Q, one CSV file a list in `codes/`, in printed order.

Each row has a `status`, which says how certain the code is, and a `source`. The five lists that are printed in the
appendices of the business definitions are complete and `stated`. `names.csv` has other names of codes, for searching a
list; a name is not read in a file.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from importlib.resources import files

from cjit.dataset import CodeList
from cjit.datasets.lists import joined, read_list


def _packaged() -> dict[str, CodeList]:
    """The packaged lists, by name."""
    folder = files("cjit.datasets.q") / "codes"
    lists = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        name = file.name.removesuffix(".csv")
        lists[name] = read_list(name, file.read_text("utf-8"), file=file.name)
    # The field is "DAT, LA or prison the client has been transferred from", so its list joins three.
    lists["PRISON"] = joined("PRISON", (lists["PRISON"], lists["DAT"], lists["UTLA"]))
    return lists


def _names() -> dict[tuple[str, str], tuple[str, ...]]:
    """The other names by list and code."""
    text = (files("cjit.datasets.q") / "names.csv").read_text("utf-8")
    names: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
        key = (row["list"], row["code"])
        names[key] = (*names.get(key, ()), row["name"])
    return names


LISTS: Mapping[str, CodeList] = _packaged()

#: Other names by list and code, for searching a list: street names, former names, parts of a country. They are ours,
#: not the document's. The code is "" for something whose code is not public.
NAMES: Mapping[tuple[str, str], tuple[str, ...]] = _names()
