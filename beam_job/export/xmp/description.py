"""The texts for one photo, and the XMP that holds them: one ``rdf:Description`` that declares its own namespaces.

Its ``captioner:wrote`` says which properties were written, with a digest of each.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

from beam_job.export.xmp.packet import RDF, Values

OURS = "urn:beam-captioner:sidecar#"
DESCRIPTION, ALT_TEXT, KEYWORDS, WRITER = "description", "alt_text", "keywords", "writer"
NAMES = {
    DESCRIPTION: "http://purl.org/dc/elements/1.1/ description",
    ALT_TEXT: "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/ AltTextAccessibility",
    KEYWORDS: "http://purl.org/dc/elements/1.1/ subject",
    WRITER: "http://ns.adobe.com/photoshop/1.0/ CaptionWriter",
}
_TAGS = {
    DESCRIPTION: ("dc:description", "rdf:Alt"),
    ALT_TEXT: ("Iptc4xmpCore:AltTextAccessibility", "rdf:Alt"),
    KEYWORDS: ("dc:subject", "rdf:Bag"),
    WRITER: ("photoshop:CaptionWriter", ""),
}
_NAMESPACES = {
    "rdf": RDF,
    "captioner": OURS,
    **{tag.partition(":")[0]: NAMES[name].partition(" ")[0] for name, (tag, _) in _TAGS.items()},
}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n<x:xmpmeta xmlns:x="adobe:ns:meta/">\n'
    f' <rdf:RDF xmlns:rdf="{RDF}">\n  '
)
_TAIL = '\n </rdf:RDF>\n</x:xmpmeta>\n<?xpacket end="w"?>\n'


@dataclass(frozen=True)
class Description:
    """The texts for one photo: its caption, who or what wrote it, and its keywords."""

    caption: str
    writer: str
    keywords: tuple[str, ...] = ()

    def values(self) -> dict[str, Values]:
        """The properties' values, by name; characters that XML cannot hold are replaced."""
        texts = (self.caption, self.writer, *self.keywords)
        caption, writer, *keywords = (_NO_XML.sub("\ufffd", text) for text in texts)
        found: dict[str, Values] = dict.fromkeys((DESCRIPTION, ALT_TEXT), (("x-default", caption),))
        if keywords:
            found[KEYWORDS] = tuple(("", keyword) for keyword in keywords)
        if writer:
            found[WRITER] = (("", writer),)
        return found


def new_sidecar(values: dict[str, Values], notes: tuple[str, ...]) -> bytes:
    """A sidecar with nothing but a block."""
    return _HEAD.encode() + block("", values, notes) + _TAIL.encode()


def block(about: str, values: dict[str, Values], notes: tuple[str, ...] = ()) -> bytes:
    """The ``rdf:Description`` with these properties, about what the others are; ``notes`` stand before the digests."""
    used = {"rdf", "captioner", *(_TAGS[name][0].partition(":")[0] for name in values)}
    declared = "".join(
        f'\n    xmlns:{prefix}="{namespace}"' for prefix, namespace in _NAMESPACES.items() if prefix in used
    )
    wrote = " ".join([*notes, *(f"{name}:{digest(found)}" for name, found in values.items())])
    lines = [f"   <captioner:wrote>{wrote}</captioner:wrote>"]
    for name, found in values.items():
        tag, container = _TAGS[name]
        if not container:
            lines.append(f"   <{tag}>{_escaped(found[0][1])}</{tag}>")
            continue
        lines += [f"   <{tag}>", f"    <{container}>"]
        for language, text in found:
            attribute = f' xml:lang="{language}"' if language else ""
            lines.append(f"     <rdf:li{attribute}>{_escaped(text)}</rdf:li>")
        lines += [f"    </{container}>", f"   </{tag}>"]
    body = "\n".join(lines)
    return f"<rdf:Description rdf:about={quoteattr(about)}{declared}>\n{body}\n  </rdf:Description>".encode()


def digest(values: Values) -> str:
    """By which a property is known again, however another program writes it."""
    return short_digest(json.dumps(values).encode())


def short_digest(data: bytes) -> str:
    """Of bytes, in hex."""
    return hashlib.sha256(data).hexdigest()[:16]


def _escaped(text: str) -> str:
    return escape(text, {"\r": "&#13;"})
