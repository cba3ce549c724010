"""The code lists of CJIT dataset Q, one CSV a list in `codes/`, in printed order.

Each row says how sure it is (`status`) and where it is from (`source`). The five lists printed in the
appendices of the business definitions are complete and `stated`.
"""

from __future__ import annotations

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


LISTS: Mapping[str, CodeList] = _packaged()
