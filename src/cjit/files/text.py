"""Bytes to text: UTF-8, or Windows-1252 as Excel saves it."""

from __future__ import annotations

import re

from cjit.files.source import Unusable, within_a_character

#: Bytes that stand for no character in Windows-1252.
NO_CP1252 = re.compile(rb"[\x81\x8d\x8f\x90\x9d]")


def decoded(data: bytes, name: str) -> str:
    """The text of a small file in UTF-8, with or without a byte order mark, or in Windows-1252.

    Args:
        data: all bytes of the file.
        name: its name, for messages.

    Returns:
        The text, without a byte order mark.

    Raises:
        Unusable: where the bytes are neither, or end within a character.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        if bad.reason == "unexpected end of data" and not data[: bad.start].isascii():
            raise Unusable(within_a_character(name)) from None
    if NO_CP1252.search(data):
        raise Unusable(f"{name} is not text in UTF-8: save it as “CSV UTF-8 (comma delimited)”")
    # Excel's format “CSV” is in Windows-1252.
    return data.decode("cp1252")
