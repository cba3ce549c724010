"""The code lists of CJIT dataset Q, one CSV a list in `codes/`, in printed order.

Each row says how sure it is (`status`) and where it is from (`source`). The five lists printed in the
appendices of the business definitions are complete and `stated`. Beside them `names.csv` has what else
people call what a code stands for; a file has codes, and no name is one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from importlib.resources import files

from cjit.dataset import CodeList
from cjit.datasets.lists import joined, read_list


def _packaged() -> dict[str, CodeList]:
    folder = files("cjit.datasets.q") / "codes"
    lists = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        name = file.name.removesuffix(".csv")
        lists[name] = read_list(name, file.read_text("utf-8"), file=file.name)
    # "DAT, LA or prison the client has been transferred from": one field, three lists.
    lists["PRISON"] = joined("PRISON", (lists["PRISON"], lists["DAT"], lists["UTLA"]))
    return lists


def _names() -> dict[tuple[str, str], tuple[str, ...]]:
    text = (files("cjit.datasets.q") / "names.csv").read_text("utf-8")
    names: dict[tuple[str, str], tuple[str, ...]] = {}
    for row in csv.DictReader(io.StringIO(text, newline=""), strict=True):
        key = (row["list"], row["code"])
        names[key] = (*names.get(key, ()), row["name"])
    return names


LISTS: Mapping[str, CodeList] = _packaged()

#: Other names by list and code, for whoever searches a list: street names, former names, parts of a country. They are
#: ours, not the document's. Without a code: what a list has a code of that is not public.
NAMES: Mapping[tuple[str, str], tuple[str, ...]] = _names()
