"""Sidecars as other programs write them, each with its own habits."""

RDF = 'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
DC = 'xmlns:dc="http://purl.org/dc/elements/1.1/"'

DARKTABLE = f"""<?xml version="1.0" encoding="UTF-8"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF {RDF}>
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:darktable="http://darktable.sf.net/"
    {DC}
   xmp:Rating="3"
   darktable:xmp_version="5">
   <darktable:history>
    <rdf:Seq>
     <rdf:li
      darktable:num="0"
      darktable:operation="rawprepare"
      darktable:params="gz02eJxjYGBgYAFiGQYGBoYGBoYDAB=="/>
    </rdf:Seq>
   </darktable:history>
   <dc:subject>
    <rdf:Bag>
     <rdf:li>holiday</rdf:li>
    </rdf:Bag>
   </dc:subject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
"""
CLOSED = f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF {RDF} /></x:xmpmeta>'
EMPTY = f"<rdf:RDF {RDF}></rdf:RDF>"
NO_TEXT = f"""<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\r
<x:xmpmeta xmlns:x='adobe:ns:meta/'>\r
<r:RDF {RDF.replace(":rdf", ":r")}>\r
<r:Description r:about='uuid:1' {DC} dc:description=''\r
 xmlns:p='http://ns.adobe.com/photoshop/1.0/' p:CaptionWriter = ""/>\r
<r:Description r:about='uuid:1'><d:subject xmlns:d="http://purl.org/dc/elements/1.1/"/></r:Description>\r
</r:RDF>\r
</x:xmpmeta>\r
<?xpacket end='w'?>"""
LOOSE = f"<rdf:RDF {RDF}><rdf:Description rdf:about=''/><!-- ]> --> <?p > ?></rdf:RDF>"
WITHOUT_DESCRIPTION = {
    "darktable": DARKTABLE.encode(),
    "closed": CLOSED.encode(),
    "empty": EMPTY.encode(),
    "no text": NO_TEXT.encode(),
    "loose": LOOSE.encode(),
    "bom": b"\xef\xbb\xbf" + DARKTABLE.encode(),
    "utf-16": DARKTABLE.replace("UTF-8", "UTF-16").encode("utf-16"),
    "utf-16 without bom": DARKTABLE.replace("UTF-8", "UTF-16").encode("utf-16-be"),
    "latin-1": DARKTABLE.replace("UTF-8", "ISO-8859-1").replace("holiday", "Süd").encode("latin-1"),
    "windows": DARKTABLE.replace("UTF-8", "windows-1252").replace("holiday", "“Süd”").encode("cp1252"),
}
"""Sidecars in which nobody has described the photo."""

_THEIRS = {
    "element": "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>Oma &amp; I</rdf:li></rdf:Alt></dc:description>",
    "other language": "<dc:description><rdf:Alt><rdf:li xml:lang='de'>Oma</rdf:li></rdf:Alt></dc:description>",
    "plain": "<dc:description>Grandma</dc:description>",
    "cdata": "<dc:description><![CDATA[a < b > c]]></dc:description>",
    "qualified": "<dc:description rdf:parseType='Resource'><rdf:value>Grandma</rdf:value></dc:description>",
}
WITH_DESCRIPTION = {
    **{
        name: DARKTABLE.replace("   <dc:subject>", f"   {text}\n   <dc:subject>").encode()
        for name, text in _THEIRS.items()
    },
    "attribute": DARKTABLE.replace('xmp:Rating="3"', "dc:description='Grand &quot;ma&quot;>'").encode(),
    "utf-16": DARKTABLE.replace("UTF-8", "UTF-16")
    .replace("   <dc:subject>", f"   {_THEIRS['element']}<dc:subject>")
    .encode("utf-16"),
}
"""Sidecars with a description of somebody's own."""

_ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
HOSTILE = {
    "empty": (b"", "broken"),
    "zeros": (bytes(1000), "broken"),
    "truncated": (DARKTABLE.encode()[:700], "broken"),
    "billion laughs": (
        f'<!DOCTYPE x [<!ENTITY e0 "ha">{_ENTITIES}]><rdf:RDF {RDF}>&e11;</rdf:RDF>'.encode(),
        "doctype",
    ),
    "external": (
        f'<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><rdf:RDF {RDF}>&e;</rdf:RDF>'.encode(),
        "doctype",
    ),
    "dtd": (f'<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd"><rdf:RDF {RDF}/>'.encode(), "doctype"),
    "entity": (f"<rdf:RDF {RDF}>&undefined;</rdf:RDF>".encode(), "broken"),
    "huge": (f"<rdf:RDF {RDF}>{' ' * (17 << 20)}</rdf:RDF>".encode(), "too_large"),
    "many": (f"<rdf:RDF {RDF}><a>{'<b/>' * 20_000}</a></rdf:RDF>".encode(), "too_large"),
    "not xmp": (b"<html><body>404</body></html>", "not_xmp"),
    "two": (f"<a><rdf:RDF {RDF}/><rdf:RDF {RDF}/></a>".encode(), "not_xmp"),
    "picture": (b"\xff\xd8\xff\xe0JFIF" + bytes(100), "encoding"),
    "half utf-16": (DARKTABLE.replace("UTF-8", "UTF-16").encode("utf-16")[:-1], "encoding"),
    "wrong encoding": (DARKTABLE.replace("holiday", "Süd").encode("latin-1"), "encoding"),
    "code": (b'<?xml version="1.0" encoding="zip"?><a/>', "encoding"),
    "json": (b'{"dc:description": "x"}', "broken"),
    "after": (DARKTABLE.encode() + bytes(5), "broken"),
    "unbound": (b"<rdf:RDF><rdf:Description/></rdf:RDF>", "broken"),
}
"""Files that are no sidecars, or none that can be read safely, and the code of each."""
