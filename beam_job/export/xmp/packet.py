"""An XMP packet as bytes: its top-level properties and their positions.

Serialising a parsed tree would change quotes, prefixes and white space that other programs wrote. So a packet is never
serialised: expat gives the position of each property, and only those bytes are changed. Document types are refused,
and with them all entities that a file could declare; nothing outside the file is read.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from beam_job.export.xmp.encoding import as_utf8

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
MAX_BYTES = 16 << 20  # of a sidecar: those with a hundred masks and brushes have a few million
MAX_PROPERTIES = 10_000  # at its top: real ones have hundreds

Values = tuple[tuple[str, str], ...]
"""A property's texts, each with its language, which is empty where there is none."""

_LANGUAGE = "http://www.w3.org/XML/1998/namespace lang"
_ATTRIBUTE = re.compile(rb"""([^\s=/<>"']+)\s*=\s*(?:"[^"]*"|'[^']*')""")
_START_TAG = re.compile(rb"""<[^\s/>]+(?:\s+[^\s=/<>"']+\s*=\s*(?:"[^"]*"|'[^']*'))*\s*/?>""")


class PacketError(ValueError):
    """A file that is not an XMP packet that can be read safely; ``code`` is stable, the message is a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Property:
    """A top-level property: an element within a node, or an attribute of the node.

    Attributes:
      name: namespace and local name, separated by a blank.
      start, end: the positions of its bytes.
      values: its texts.
      is_attribute: whether it is an attribute.
    """

    name: str
    start: int
    end: int
    values: Values
    is_attribute: bool = False

    @property
    def has_text(self) -> bool:
        return any(text.strip() for _, text in self.values)


@dataclass
class Node:
    """A child of ``rdf:RDF``, usually an ``rdf:Description``: its bytes, the resource it describes, its properties."""

    start: int
    end: int
    about: str
    properties: list[Property] = field(default_factory=list)


@dataclass
class Packet:
    """A parsed packet.

    Attributes:
      data: the file as UTF-8, without a byte order mark. All positions refer to it.
      encode: converts UTF-8 to the file's encoding; characters that this lacks become character references.
      nodes: in the order of the file.
      content: the positions after the start tag and before the end tag of ``rdf:RDF``.
      end: the end of ``rdf:RDF``.
      is_closed: whether ``rdf:RDF`` is a single tag without content, ``<rdf:RDF/>``.
    """

    data: bytes
    encode: Callable[[bytes], bytes]
    nodes: list[Node]
    content: tuple[int, int]
    end: int
    is_closed: bool

    def properties(self, name: str | None = None) -> Iterator[Property]:
        """All top-level properties, or those of one name."""
        for node in self.nodes:
            yield from (found for found in node.properties if name in (None, found.name))

    def edited(self, edits: list[tuple[int, int, bytes]]) -> bytes:
        """The file with some ranges replaced, in its original encoding."""
        data = self.data
        for start, end, replacement in sorted(edits, reverse=True):
            data = data[:start] + replacement + data[end:]
        return self.encode(data)


def parse(data: bytes) -> Packet:
    """Reads a packet; raises ``PacketError``."""
    if len(data) > MAX_BYTES:
        raise PacketError("too_large", f"The sidecar has more than {MAX_BYTES >> 20} MiB.")
    try:
        text, encode = as_utf8(data)
    except ValueError as error:
        raise PacketError("encoding", str(error)) from error
    reader = _Reader(text)
    try:
        reader.read()
    except expat.ExpatError as error:
        raise PacketError("broken", f"The sidecar is not well-formed XML: {error}.") from error
    if reader.rdf is None:
        raise PacketError("not_xmp", "The sidecar is XML but not XMP: it has no rdf:RDF.")
    content, end = reader.rdf
    return Packet(text, encode, reader.nodes, content, end, text[content[0] - 2 : content[0]] == b"/>")


class _Reader:
    """Walks through a packet once."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._parser = expat.ParserCreate("utf-8", " ")
        self._parser.ordered_attributes = True
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartNamespaceDeclHandler = self._declare
        self._parser.EndNamespaceDeclHandler = lambda prefix: self._namespaces[prefix].pop() and None
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._namespaces: dict[str | None, list[str]] = {}
        self._depth = self._number = 0
        self._rdf_depth: int | None = None
        self._starts: list[int] = []
        self._items: list[tuple[str, list[str]]] = []
        self._item_depths: list[tuple[int, int]] = []
        self._loose: list[str] = []
        self.nodes: list[Node] = []
        self.rdf: tuple[tuple[int, int], int] | None = None

    def read(self) -> None:
        self._parser.Parse(self._data, True)

    def _refuse(self, *_: object) -> NoReturn:
        raise PacketError("doctype", "The sidecar has a document type declaration, which is not supported.")

    def _declare(self, prefix: str | None, namespace: str) -> None:
        self._namespaces.setdefault(prefix, []).append(namespace or "")

    def _start(self, name: str, attributes: list[str]) -> None:
        place = self._parser.CurrentByteIndex
        self._depth += 1
        self._starts.append(place)
        if self._rdf_depth is None:
            if name == f"{RDF} RDF":
                if self.rdf is not None:
                    raise PacketError("not_xmp", "The sidecar has two rdf:RDF elements, which is not valid XMP.")
                self._rdf_depth = self._depth
            return
        named = dict(zip(attributes[::2], attributes[1::2], strict=True))
        level = self._depth - self._rdf_depth
        if level == 1:
            about = named.get(f"{RDF} about", named.get("about", ""))
            self.nodes.append(Node(place, 0, about, list(self._attributes(place, named))))
            self._count(1 + len(self.nodes[-1].properties))
        elif level == 2:
            self._count(1)
            self._items, self._item_depths = [], []
            self._loose = [value for key, value in named.items() if key in (f"{RDF} resource", f"{RDF} value")]
        elif name == f"{RDF} li":
            self._item_depths.append((self._depth, len(self._items)))
            self._items.append((named.get(_LANGUAGE, ""), []))

    def _count(self, number: int) -> None:
        self._number += number
        if self._number > MAX_PROPERTIES:
            raise PacketError("too_large", f"The sidecar has more than {MAX_PROPERTIES:,} properties.")

    def _attributes(self, place: int, named: dict[str, str]) -> Iterator[Property]:
        tag_end = self._tag_end(place)
        for found in _ATTRIBUTE.finditer(self._data, place, tag_end):
            prefix, colon, local = found[1].decode().rpartition(":")
            if not colon or prefix in ("xmlns", "xml"):
                continue
            name = f"{self._namespaces[prefix][-1]} {local}"
            if not name.startswith(RDF):
                yield Property(name, *found.span(), (("", named[name]),), is_attribute=True)

    def _tag_end(self, place: int) -> int:
        tag = _START_TAG.match(self._data, place)
        if tag is None:
            raise PacketError("not_xmp", "The sidecar has a tag that cannot be read.")
        return tag.end()

    def _end(self, name: str) -> None:
        start = self._starts.pop()
        level = -1 if self._rdf_depth is None else self._depth - self._rdf_depth
        if 0 <= level <= 2:
            inner = self._tag_end(start)
            if self._data.startswith(b"/>", inner - 2):
                place = end = inner
            else:
                place = self._parser.CurrentByteIndex
                end = self._data.index(b">", place) + 1
            if level == 0:
                self.rdf, self._rdf_depth = ((inner, place), end), None
            elif level == 1:
                self.nodes[-1].end = end
            else:
                self.nodes[-1].properties.append(Property(name, start, end, self._values()))
        elif self._item_depths and self._item_depths[-1][0] == self._depth:
            self._item_depths.pop()
        self._depth -= 1

    def _values(self) -> Values:
        items = [(language, "".join(texts)) for language, texts in self._items]
        loose = "".join(self._loose)  # between the items of a list there is white space
        return tuple(items + ([("", loose)] if loose.strip() else [])) if items else (("", loose),)

    def _text(self, text: str) -> None:
        if self._rdf_depth is not None and self._depth - self._rdf_depth >= 2:
            (self._items[self._item_depths[-1][1]][1] if self._item_depths else self._loose).append(text)
