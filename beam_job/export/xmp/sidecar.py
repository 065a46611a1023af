"""Adds a caption to a sidecar and removes it again; what other programs and people wrote is kept byte for byte.

Everything is written to one ``rdf:Description``, which declares its own namespaces and follows the others. Its
``captioner:wrote`` lists the properties that were written, with a digest of each: if a digest no longer matches,
somebody has edited the text, and it is theirs. A property that is replaced (an empty description, or any with
``overwrite``) is stored, as bytes, in ``captioner:was_...``. So the original can be restored from the sidecar alone.
"""

import base64
import re
from collections.abc import Iterator

from beam_job.export.xmp.description import (
    DESCRIPTION,
    KEYWORDS,
    NAMES,
    OURS,
    Description,
    block,
    digest,
    new_sidecar,
    short_digest,
)
from beam_job.export.xmp.packet import Node, Packet, PacketError, Property, Values, parse

WRITTEN, UNCHANGED, KEPT = "written", "unchanged", "kept"

_WROTE, _WAS = f"{OURS} wrote", f"{OURS} was_"
_CREATED, _CLOSED = "created", "closed"  # the file was made here; its rdf:RDF was one tag
_REFUSED = "refused"  # somebody deleted our keywords


def put(data: bytes | None, description: Description, *, overwrite: bool = False) -> tuple[str, bytes]:
    """The outcome for a sidecar (``None`` if there is none): WRITTEN, UNCHANGED or KEPT, and its new bytes.

    It is KEPT if it has somebody else's description, unless ``overwrite`` is set. A description that was deleted after
    it was exported counts as somebody else's decision. Other people's keywords are always kept, and where somebody
    deleted those of an export, there are none again.

    Raises:
      PacketError: the sidecar is not XMP that can be read and changed safely.
    """
    wanted = description.values()
    if data is None:
        return WRITTEN, new_sidecar(wanted, (_CREATED,))
    packet = parse(data)
    wrote = _wrote(packet)
    notes: tuple[str, ...] = ()
    if _REFUSED in wrote or (KEYWORDS in wrote and not _has_text(packet, KEYWORDS)):
        wanted.pop(KEYWORDS, None)
        notes = (_REFUSED,)
    # What gave way before gives way to a newer text, too.
    yielding = NAMES.keys() - {KEYWORDS} if overwrite else _stood_in(packet) - _theirs(packet, wrote)
    if _holds(packet, wanted, yielding):
        return UNCHANGED, data
    is_ours = any(_is_ours(found, wrote) for found in packet.properties(NAMES[DESCRIPTION]))
    if DESCRIPTION in wrote and not is_ours and not overwrite:
        return KEPT, data
    before = take_back(data)
    if before is None:
        return WRITTEN, new_sidecar(wanted, (_CREATED, *notes))
    packet = parse(before)
    if DESCRIPTION not in yielding and _has_text(packet, DESCRIPTION):
        return KEPT, data
    after = _inserted(packet, wanted, yielding, notes)
    if not _holds(parse(after), wanted, yielding) or take_back(after) != before:
        raise PacketError("cannot_merge", "The sidecar has a structure that cannot be changed and restored safely.")
    return WRITTEN, after


def take_back(data: bytes) -> bytes | None:
    """A sidecar without what exports wrote; ``None`` if an export created it and nobody added anything.

    Texts that somebody has edited since are kept. Raises ``PacketError``.
    """
    packet = parse(data)
    wrote = _wrote(packet)
    if not any(found.name.startswith(f"{OURS} ") for found in packet.properties()):
        return data
    theirs = _theirs(packet, wrote)
    edits: list[tuple[int, int, bytes]] = []
    for node in packet.nodes:
        changes = list(_changes(packet, node, wrote, theirs))
        if changes and len(changes) == len(node.properties) and not any(replacement for *_, replacement in changes):
            edits.append(_without(packet, node, wrote))
        else:
            edits += changes
    after = packet.edited(edits)
    return None if _CREATED in wrote and not any(parse(after).properties()) else after


def _changes(packet: Packet, node: Node, wrote: dict[str, str], theirs: set[str]) -> Iterator[tuple[int, int, bytes]]:
    for found in node.properties:
        if found.name.startswith(_WAS):
            yield _start(packet, found), found.end, b"" if _stands_for(found) in theirs else _fragment(found)
        elif found.name == _WROTE or _is_ours(found, wrote):
            yield found.start, found.end, b""


def _without(packet: Packet, node: Node, wrote: dict[str, str]) -> tuple[int, int, bytes]:
    if _CLOSED in wrote and packet.content == (node.start, node.end):
        return node.start - 1, packet.end, b"/>"
    return node.start, node.end, b""


def _start(packet: Packet, found: Property) -> int:
    """Where an attribute that stands for another starts: with the declaration of its prefix."""
    if not found.is_attribute:
        return found.start
    prefix = packet.data[found.start : found.end].partition(b":")[0]
    declaration = b'xmlns:%s="%s" ' % (prefix, OURS.encode())
    start = found.start - len(declaration)
    return start if packet.data[max(start, 0) : found.start] == declaration else found.start


def _fragment(found: Property) -> bytes:
    wanted, _, kept = "".join(text for _, text in found.values).strip().partition(" ")
    try:
        fragment = base64.b64decode(kept, validate=True)
    except ValueError:
        fragment = b""
    if not fragment or short_digest(fragment) != wanted:
        name = found.name.removeprefix(_WAS)
        raise PacketError("cannot_undo", f"The sidecar's property captioner:was_{name} is damaged.")
    return fragment


def _inserted(packet: Packet, wanted: dict[str, Values], yielding: set[str], notes: tuple[str, ...]) -> bytes:
    """The packet with what is wanted, but for properties that others have set and that do not give way."""
    edits: list[tuple[int, int, bytes]] = []
    taken: dict[str, Values] = {}
    for name, values in wanted.items():
        present = list(packet.properties(NAMES[name]))
        if name not in yielding and _has_text(packet, name):
            continue
        taken[name] = values
        for number, found in enumerate(present, 1):
            stand_in = f"was_{name}" if number == 1 else f"was_{name}_{number}"
            fragment = packet.data[found.start : found.end]
            kept = f"{short_digest(fragment)} {base64.b64encode(fragment).decode()}"
            # The prefix is its own name: two may stand in one tag, each with its declaration.
            declared = f'xmlns:{stand_in}="{OURS}"'
            as_element = f"<{stand_in}:{stand_in} {declared}>{kept}</{stand_in}:{stand_in}>"
            as_attribute = f'{declared} {stand_in}:{stand_in}="{kept}"'
            edits.append((found.start, found.end, (as_attribute if found.is_attribute else as_element).encode()))
    about = packet.nodes[0].about if packet.nodes else ""
    if packet.is_closed:
        tag = packet.data.rindex(b"<", 0, packet.content[0])  # a value in it has none
        element = re.split(rb"[\s/>]", packet.data[tag + 1 : packet.content[0]], maxsplit=1)[0]
        closed = b">" + block(about, taken, (_CLOSED, *notes)) + b"</" + element + b">"
        return packet.edited([*edits, (packet.content[0] - 2, packet.content[0], closed)])
    place = packet.nodes[-1].end if packet.nodes else packet.content[0]
    return packet.edited([*edits, (place, place, block(about, taken, notes))])


def _wrote(packet: Packet) -> dict[str, str]:
    """What was written here: properties and their digests; notes stand beside them, with empty ones."""
    for found in packet.properties(_WROTE):
        parts = (part.partition(":") for part in found.values[0][1].split()) if found.values else ()
        return {name: its_digest for name, _, its_digest in parts}
    return {}


def _is_ours(found: Property, wrote: dict[str, str]) -> bool:
    return any(full == found.name and wrote.get(name) == digest(found.values) for name, full in NAMES.items())


def _has_text(packet: Packet, name: str) -> bool:
    return any(found.has_text for found in packet.properties(NAMES[name]))


def _theirs(packet: Packet, wrote: dict[str, str]) -> set[str]:
    """The properties that others have set."""
    return {
        name
        for name, full in NAMES.items()
        if any(found.has_text and not _is_ours(found, wrote) for found in packet.properties(full))
    }


def _stood_in(packet: Packet) -> set[str]:
    """The properties that gave way to ours."""
    return {_stands_for(found) for found in packet.properties() if found.name.startswith(_WAS)}


def _stands_for(found: Property) -> str:
    return re.sub(r"_\d+$", "", found.name.removeprefix(_WAS))


def _holds(packet: Packet, wanted: dict[str, Values], yielding: set[str]) -> bool:
    """Whether the packet has what is wanted already, in whatever way another program has written it down since."""
    wrote = _wrote(packet)
    if DESCRIPTION not in wrote or not wrote.keys() & NAMES.keys() <= wanted.keys():
        return False
    for name, values in wanted.items():
        present = list(packet.properties(NAMES[name]))
        if name not in wrote:
            if name in yielding or not _has_text(packet, name):
                return False
        elif [found.values for found in present] != [values] or wrote[name] != digest(values):
            return False
    return True
