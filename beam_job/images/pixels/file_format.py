"""Recognises a file's format by its first bytes: a supported format, an unsupported one, or not an image."""

from __future__ import annotations

import re

from beam_job.images.pixels.image_error import ImageError

JPEG, PNG, GIF, BMP, TIFF, WEBP, JPEG2000, AVIF, HEIF = (
    "JPEG",
    "PNG",
    "GIF",
    "BMP",
    "TIFF",
    "WebP",
    "JPEG 2000",
    "AVIF",
    "HEIC",
)

_READ = (
    (b"\xff\xd8\xff", JPEG),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", JPEG2000),
    (b"\xff\x4f\xff\x51", JPEG2000),
)
_JPEG2000_FILMS = (b"ftypmjp2", b"ftypjpm ")
_TIFFS = (b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0")  # the last two with offsets of 64 bits
_UNREAD_TIFFS = (  # where a mark stands, the mark, and whose raw files have it
    (8, b"CR\x02", "Canon raw (CR2)"),
    (8, b"IIII", "Phase One raw (IIQ)"),
    (8, b"MMMM", "Phase One raw (IIQ)"),
)
_UNREAD = (
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "Photoshop (PSD)"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "PostScript (EPS)"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"icns", "ICNS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"#?RGBE", "Radiance HDR"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\xabKTX ", "KTX"),
    (b"FLIF", "FLIF"),
    (b"BPG\xfb", "BPG"),
    (b"SDPX", "DPX"),
    (b"XPDS", "DPX"),
    (b"\x80\x2a\x5f\xd7", "Cineon"),
    (b"gimp xcf", "GIMP (XCF)"),
    (b"AT&TFORM", "DjVu"),
    (b"SIMPLE  =", "FITS"),
    (b"\x01\xda\x00", "SGI"),
    (b"\x01\xda\x01", "SGI"),
    (b"\x59\xa6\x6a\x95", "Sun raster"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x8bJNG\r\n\x1a\n", "JNG"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"/* XPM */", "XPM"),
    (b"BLP1", "BLP"),
    (b"BLP2", "BLP"),
    (b"VTF\0", "VTF"),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw (RAF)"),
    (b"IIU\x00", "Panasonic raw (RW2)"),
    (b"IIRO", "Olympus raw (ORF)"),
    (b"IIRS", "Olympus raw (ORF)"),
    (b"MMOR", "Olympus raw (ORF)"),
    (b"FOVb", "Sigma raw (X3F)"),
    (b"\0MRM", "Minolta raw (MRW)"),
    (b"ARRI", "ARRI raw"),
    (b"farbfeld", "farbfeld"),
    (b"\x97JB2\r\n\x1a\n", "JBIG2"),
    (b"id=ImageMagick", "MIFF"),
    (b"\x53\x80\xf6\x34", "Softimage PIC"),
    (b"\x13\xab\xa1\x5c", "ASTC"),
    (b"NITF0", "NITF"),
    (b"NSIF0", "NITF"),
)
_BRANDS = {  # of the ISO base media file format
    b"crx ": "Canon raw (CR3)",
    b"mif1": "HEIF without HEVC",
    b"msf1": "HEIF without HEVC",
    b"miaf": "HEIF without HEVC",
    b"mif2": "HEIF without HEVC",
    b"jpeg": "HEIF without HEVC",
    b"avci": "HEIF without HEVC",
    b"vvic": "HEIF without HEVC",
    b"jxl ": "JPEG XL",
    b"jpx ": "JPEG 2000 (JPX)",
    b"jph ": "JPEG 2000 (JPH)",
}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_AVIF_BRANDS = {b"avif", b"avis"}
_NO_IMAGES = (
    (b"\x1f\x8b", "compressed by gzip"),
    (b"BZh", "compressed by bzip2"),
    (b"\xfd7zXZ\0", "compressed by xz"),
    (b"\x28\xb5\x2f\xfd", "compressed by Zstandard"),
    (b"PK\x03\x04", "a ZIP archive or an office document"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old office document"),
    (b"\x1aE\xdf\xa3", "a video (Matroska or WebM)"),
    (b"FLV\x01", "a video (FLV)"),
    (b"\0\0\x01\xba", "a video (MPEG)"),
    (b"\0\0\x01\xb3", "a video (MPEG)"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "a video or audio (ASF)"),
    (b"OggS", "a video or audio (Ogg)"),
    (b"ID3", "audio (MP3)"),
    (b"fLaC", "audio (FLAC)"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"SQLite format 3\0", "a database"),
    (b"\x00\x05\x16\x07", "an AppleDouble file, which macOS writes beside others"),
    (b"bplist", "a property list"),
)
_LFS = b"version https://git-lfs.github.com/spec/"
_LOOKED_AT = 65_536  # bytes of a text: a comment in front of its first tag may be long
# Never more than one way to match, so that a file cannot make it take long.
_XML_INTRODUCTION = re.compile(r"\s*+(<!--.*?-->|<!DOCTYPE\s++svg[^>\[]*+(\[.*?\]\s*+)?>|<\?[^>]*+(?<=\?)>)", re.S)
_SVG = re.compile(r"\s*<([\w-]+:)?svg[\s>/]")
_PAGE = re.compile(r"\s*<(!doctype\s+html|html|head|body|title|meta|script|div|p|h1)[\s>]", re.I)
_BUCKET_ERROR = re.compile(r"\s*<(?:Error|\w+:Error)\b.*?<Code>([A-Za-z]{1,60})</Code>", re.S)
_NETPBM = {b"1": "PBM", b"2": "PGM", b"3": "PPM", b"4": "PBM", b"5": "PGM", b"6": "PPM", b"7": "PAM", b"F": "PFM"}


def format_of(data: bytes) -> str:
    """The format of a file that is supported, from its content.

    Raises:
      ImageError: `empty`, `unsupported_format` for images of other formats, `not_an_image` for everything else. The
        message contains no bytes of the file.
    """
    if not data:
        raise ImageError("empty", "The file is empty.")
    for magic, name in _READ:
        if data.startswith(magic):
            if name == JPEG2000 and data[16:24] in _JPEG2000_FILMS:
                raise _unread("JPEG 2000 of several pictures (MJ2, JPM)")
            return name
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return WEBP
    if data.startswith(_TIFFS):
        for place, mark, name in _UNREAD_TIFFS:
            if data[place : place + len(mark)] == mark:
                raise _unread(name)
        return TIFF
    if data[4:8] == b"ftyp":
        return _by_brand(data)
    if data.startswith(b"BM") and _is_bitmap(data):
        return BMP
    if unread := _unread_name(data):
        raise _unread(unread)
    raise ImageError("not_an_image", _what_else(data))


def _unread(name: str) -> ImageError:
    return ImageError(
        "unsupported_format", f"Files of the format {name} are not supported: convert the image to JPEG or PNG."
    )


def _is_bitmap(data: bytes) -> bool:
    """Whether a text does not just begin with BM."""
    return len(data) < 18 or data[15:18] == bytes(3)


def _by_brand(data: bytes) -> str:
    """Of the ISO base media file format, which films share with pictures."""
    listed = data[8 : max(16, min(int.from_bytes(data[:4], "big"), 256))]
    brands = [listed[:4], *(listed[i : i + 4] for i in range(8, len(listed) - 3, 4))]
    if not _AVIF_BRANDS.isdisjoint(brands):
        return AVIF
    if not _HEIC_BRANDS.isdisjoint(brands):
        return HEIF
    for brand in brands:
        if brand in _BRANDS:
            raise _unread(_BRANDS[brand])
    raise ImageError("not_an_image", "This is a video or audio (MP4, MOV or similar), not an image.")


def _unread_name(data: bytes) -> str | None:
    """What people call a format that is not read; None for what is none that we know."""
    for magic, name in _UNREAD:
        if data.startswith(magic):
            return name
    if data.startswith(b"\0\0\2\0") and any(data[4:6]):  # as many as this; a TGA has zeros here
        return "CUR"
    if data[:2] == b"BA" and data[14:16] == b"BM":
        return "OS/2 bitmap array"
    if data[:4] == b"RIFF" and data[8:12] == b"ACON":
        return "ANI"
    if data[:1] == b"P" and data[1:2] in _NETPBM and data[2:3].isspace():
        return _NETPBM[data[1:2]]
    if data[:2] in (b"PF", b"Pf") and data[2:3].isspace():
        return "PFM"
    if data[128:132] == b"DICM":
        return "DICOM"
    if data[:1] == b"\x0a" and data[1:2] in b"\0\2\3\4\5" and data[2:3] == b"\1" and data[3:4] in b"\1\2\4\x08":
        return "PCX"
    if data[:4] == b"\1\0\0\0" and data[40:44] == b" EMF":
        return "EMF"
    if data[:4] == b"FORM" and data[8:12] in (b"ILBM", b"PBM "):
        return "IFF (ILBM)"
    if data[-18:-2] == b"TRUEVISION-XFILE" or _is_targa(data):
        return "TGA"
    text = _text(data)
    if text is not None and _is_svg(text):
        return "SVG"
    if text is not None and re.match(r"\s*#define \w+_width ", text):
        return "XBM"
    return None


def _is_targa(data: bytes) -> bool:
    """Old ones have no mark: the header has to make sense, and the pixels to be as many as it says."""
    if len(data) < 18 or data[1] > 1 or data[2] not in (1, 2, 3, 9, 10, 11) or data[16] not in (8, 15, 16, 24, 32):
        return False
    width, height = int.from_bytes(data[12:14], "little"), int.from_bytes(data[14:16], "little")
    if not width or not height or data[17] & 0xC0 or (data[2] in (1, 9)) != (data[1] == 1):
        return False
    pixels = width * height * ((data[16] + 7) // 8)
    return data[2] >= 9 or len(data) >= 18 + pixels


def _text(data: bytes) -> str | None:
    """How a file begins that is text; None where it is none."""
    start = data[:_LOOKED_AT]
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        return start.decode("utf-16", "replace").lstrip("\ufeff")
    text = start.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    if re.search("[\0-\x08\x0e-\x1a\x1c-\x1f]", text) or text.count("\ufffd") > max(4, len(text) // 10):
        return None
    return text


def _is_svg(text: str) -> bool:
    while introduction := _XML_INTRODUCTION.match(text):
        text = text[introduction.end() :]
    return bool(_SVG.match(text))


def _what_else(data: bytes) -> str:
    """A sentence on a file that is no image."""
    for magic, name in _NO_IMAGES:
        if data.startswith(magic):
            return f"This is {name}, not an image."
    if data[:4] == b"RIFF":
        return "This is a video or audio (AVI, WAV or similar), not an image."
    if data[4:8] in (b"moov", b"mdat", b"free", b"wide"):
        return "This is a video (MOV or similar), not an image."
    text = _text(data)
    if text is not None and not text.strip():
        return "The file contains only white space."
    if text is None:
        return "This is not a recognised image format."
    if data.startswith(_LFS):
        return "This is a Git LFS pointer, not the image itself: `git lfs pull` fetches it."
    while introduction := _XML_INTRODUCTION.match(text):
        text = text[introduction.end() :]
    if error := _BUCKET_ERROR.match(text):
        return f"This is the error message of a storage service ({error[1]}), not an image."
    if _PAGE.match(text):
        return "This is a web page, not an image."
    if not text or re.match(r"\s*<[A-Za-z?!]", text):  # nothing but what XML begins with
        return "This is XML, not an image."
    if re.match(r"""\s*(\{\s*["}]|\[\s*[\[{"\d\]-])""", text):
        return "This is JSON, not an image."
    return "This is text, not an image."
