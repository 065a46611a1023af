"""A sidecar's bytes as UTF-8, and back in the encoding that it came in."""

import codecs
import re
from collections.abc import Callable

_BOMS = {  # the longer before the shorter: one starts with the other
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
_NO_BOM = {b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
_DECLARED = re.compile(rb"""<\?xml\s[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ENCODINGS = re.compile(r"utf-8|ascii|iso8859-\d+|cp125\d|koi8-r|shift_jis|gb2312|gbk|gb18030|big5|euc_\w+")


def as_utf8(data: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    """A file as UTF-8 without a byte order mark, and a function that turns such bytes back into its own encoding.

    What that encoding lacks becomes a character reference. Raises ``ValueError`` where the bytes would not come back.
    """
    bom = next((bom for bom in _BOMS if data.startswith(bom)), b"")
    declared = _DECLARED.match(data)
    name = _BOMS.get(bom) or _NO_BOM.get(data[:2]) or (declared[1].decode() if declared else "utf-8")
    try:
        if not bom and data[:2] not in _NO_BOM:
            name = codecs.lookup(name).name
            if not _ENCODINGS.fullmatch(name):
                raise LookupError
        text = data[len(bom) :].decode(name)
        encoding = name

        def encode(utf8: bytes) -> bytes:
            return bom + utf8.decode().encode(encoding, "xmlcharrefreplace")

        if encode(text.encode()) != data:
            raise LookupError
        return text.encode(), encode
    except (LookupError, UnicodeError) as error:
        raise ValueError(f"The sidecar is not text in its encoding, {name[:40]}.") from error
