"""Which format a file is: those that are refused by name, and what is said of files that are no images."""

from __future__ import annotations

import gzip
import io
import struct
import time

import pytest

from beam_job.images.pixels import ImageError, decode
from beam_job.images.pixels.file_format import format_of
from tests import images

BRANDED = struct.Struct(">I4s4sI")


def container(*brands: bytes) -> bytes:
    """A file of the ISO base media file format."""
    size = 16 + 4 * len(brands)
    return BRANDED.pack(size, b"ftyp", brands[0], 0) + b"".join(brands) + bytes(100)


NAMED = {
    "PPM": b"P6\n320 240\n255\n" + bytes(100),
    "PGM": b"P5 # made by hand\n3 3 255\n" + bytes(9),
    "PBM": b"P4\n8 8\n" + bytes(8),
    "PAM": b"P7\nWIDTH 3\n",
    "PFM": b"PF\n3 3\n-1.0\n" + bytes(108),
    "QOI": b"qoif" + bytes(100),
    "TGA": bytes([0, 0, 2]) + bytes(9) + struct.pack("<HHBB", 4, 4, 24, 0) + bytes(48),
    "PCX": b"\x0a\x05\x01\x08" + bytes(124),
    "DDS": b"DDS \x7c\0\0\0" + bytes(100),
    "ICNS": b"icns\0\0\1\0" + bytes(100),
    "ICO": b"\0\0\1\0\1\0" + bytes(100),
    "CUR": b"\0\0\2\0\1\0" + bytes(100),
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "EPS": b"\xc5\xd0\xd3\xc6" + bytes(100),
    "PDF": b"%PDF-1.7\n",
    "PSD": b"8BPS\0\1" + bytes(100),
    "XCF": b"gimp xcf v011\0" + bytes(100),
    "DjVu": b"AT&TFORM\0\0\1\0DJVU" + bytes(100),
    "JPEG XR": b"II\xbc\1" + bytes(100),
    "JPEG XL": b"\xff\x0a" + bytes(100),
    "HDR": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n",
    "OpenEXR": b"\x76\x2f\x31\x01" + bytes(100),
    "KTX": b"\xabKTX 20\xbb\r\n\x1a\n" + bytes(100),
    "BPG": b"BPG\xfb" + bytes(100),
    "FLIF": b"FLIF31" + bytes(100),
    "WMF": b"\xd7\xcd\xc6\x9a" + bytes(100),
    "EMF": b"\1\0\0\0" + bytes(36) + b" EMF" + bytes(100),
    "DICOM": bytes(128) + b"DICM" + bytes(100),
    "FITS": b"SIMPLE  =                    T",
    "CR2": b"II*\0\x10\0\0\0CR\2\0" + bytes(100),
    "CR3": container(b"crx ", b"isom"),
    "ORF": b"IIRO\x08\0\0\0" + bytes(100),
    "RAF": b"FUJIFILMCCD-RAW 0201" + bytes(100),
    "RW2": b"IIU\0\x18\0\0\0" + bytes(100),
    "X3F": b"FOVb" + bytes(100),
    "MRW": b"\0MRM" + bytes(100),
    "IIQ": b"II*\0\x88\0\0\0IIII" + bytes(200),
    "MNG": b"\x8aMNG\r\n\x1a\n" + bytes(100),
    "SGI": b"\x01\xda\x01\x01" + bytes(100),
    "HEIF": container(b"mif1", b"miaf"),
    "JPH": container(b"jph "),
    "MJ2": b"\0\0\0\x0cjP  \r\n\x87\n" + container(b"mjp2"),
    "OS/2 bitmap array": b"BA" + bytes(12) + b"BM" + bytes(100),
    "ANI": b"RIFF\x24\0\0\0ACONLIST",
    "JBIG2": b"\x97JB2\r\n\x1a\n" + bytes(100),
    "MIFF": b"id=ImageMagick  version=1.0\n",
    "farbfeld": b"farbfeld" + bytes(100),
    "NITF": b"NITF02.10" + b" " * 100,
}
SVG = "<svg xmlns='http://www.w3.org/2000/svg' width='3' height='3'/>"
SVGS = (
    SVG,
    "<?xml version='1.0' encoding='UTF-8'?>\n" + SVG,
    "\ufeff<?xml version='1.0'?><!-- <html> -->\n<!-- made by hand -->" + SVG,
    "<!DOCTYPE svg PUBLIC '-//W3C//DTD SVG 1.1//EN' 'http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd'>" + SVG,
    "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY ns 'http://www.w3.org/2000/svg'>]><svg>",
    "<!-- " + "long " * 2000 + "-->" + SVG,
    "<svg:svg xmlns:svg='http://www.w3.org/2000/svg'/>",
)
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n"
NO_IMAGES = {
    "web page": (
        b"<!DOCTYPE html><html><body>404</body></html>",
        b"\xef\xbb\xbf\r\n <HTML><head><title>Sign in</title>",
        b"<!-- a comment --><html lang=de><svg></svg>",
        b"<?xml version='1.0'?><!DOCTYPE html PUBLIC 'x'><html xmlns='http://www.w3.org/1999/xhtml'>",
    ),
    "Git LFS pointer": (LFS.encode(),),
    r"error message of a storage service \(NoSuchKey\)": (
        b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>",
        b"<?xml version='1.0'?>\n<Error>\n  <Code>NoSuchKey</Code>\n</Error>",
    ),
    "XML": (b"<?xml version='1.0'?><rss/>", b"<?xml version='1.0'?>", b"<!-- only -->"),
    "JSON": (b'{"error": {"code": 404}}', b'[{"a": 1}]', b"  []"),
    "text": (b"hello, I am a text", b"BM is how this text begins", "gr\u00fc\u00dfe".encode("latin-1") + b" und mehr"),
    "gzip": (gzip.compress(b"<svg/>", mtime=0),),
    "ZIP": (b"PK\x03\x04" + bytes(100),),
    r"video \(Matroska": (b"\x1aE\xdf\xa3" + bytes(100),),
    "MP4, MOV": (container(b"isom", b"mp42"), container(b"qt  ")),
    "AVI, WAV": (b"RIFF\x24\0\0\0WAVEfmt ", b"RIFF\x24\0\0\0AVI LIST"),
    "AppleDouble": (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X",),
    "not a recognised image format": (bytes(1000), bytes(range(256)), b"\0\1\2"),
    "white space": (b"\n\n  \n",),
}


@pytest.mark.parametrize("name", NAMED)
def test_formats_that_are_not_read_are_named(name: str) -> None:
    with pytest.raises(ImageError, match=name) as refused:
        decode(NAMED[name], 8, 8)
    assert refused.value.code == "unsupported_format"


@pytest.mark.parametrize("data", [b"PF\n", b"Pf\n", b"Pf "])
def test_floating_point_maps_of_colours_and_of_greys_are_named(data: bytes) -> None:
    with pytest.raises(ImageError, match="PFM"):
        format_of(data + b"3 3\n-1.0\n" + bytes(108))


@pytest.mark.parametrize(
    ("kind", "palette", "depth", "pixels", "named"),
    [
        (1, 1, 8, 16, True),
        (2, 0, 24, 48, True),
        (3, 0, 8, 16, True),
        (9, 1, 8, 2, True),  # from here on packed: nobody knows how long they are
        (10, 0, 24, 4, True),
        (11, 0, 8, 2, True),
        (3, 0, 8, 15, False),
        (4, 0, 8, 16, False),
        (9, 0, 8, 2, False),
    ],
)
def test_a_targa_without_a_mark_is_told_by_its_header(
    kind: int, palette: int, depth: int, pixels: int, named: bool
) -> None:
    data = bytes([0, palette, kind]) + bytes(9) + struct.pack("<HHBB", 4, 4, depth, 0) + b"\1" * pixels
    with pytest.raises(ImageError, match="TGA" if named else "not a recognised image format"):
        format_of(data)


@pytest.mark.parametrize("image_format", ["PPM", "PCX", "TGA", "ICO", "DDS", "EPS", "SGI", "ICNS"])
def test_what_pillow_writes_is_named(image_format: str) -> None:
    data = images.encode(images.picture().resize((16, 16)), image_format)
    with pytest.raises(ImageError, match=image_format if image_format != "EPS" else "PostScript") as refused:
        decode(data, 8, 8)
    assert refused.value.code == "unsupported_format"


@pytest.mark.parametrize("text", SVGS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_svg_is_named_whatever_stands_in_front_of_it(text: str, encoding: str) -> None:
    with pytest.raises(ImageError, match="SVG") as refused:
        decode(text.encode(encoding), 8, 8)
    assert refused.value.code == "unsupported_format"


@pytest.mark.parametrize(("what", "data"), [(what, data) for what, files in NO_IMAGES.items() for data in files])
def test_what_is_no_image_is_said_to_be_what_it_is(what: str, data: bytes) -> None:
    with pytest.raises(ImageError, match=f"^Th.*{what}.*[.]$") as refused:
        decode(data, 8, 8)
    assert refused.value.code == "not_an_image"


@pytest.mark.parametrize(
    "start", ["<!DOCTYPE svg", "<!DOCTYPE svg[", "<!DOCTYPE ", "<?", "<!--", "<Error>", "", "#define "]
)
@pytest.mark.parametrize("filling", [" ", "]", "] ", "?", "-", "<?a?>", "<!---->", "<Code>", "_width"])
def test_no_text_takes_long_to_tell(start: str, filling: str) -> None:
    data = (start + filling * (65_000 // len(filling))).encode()

    def tell() -> None:
        with pytest.raises(ImageError):
            format_of(data)

    def seconds() -> float:  # of computing, which a busy machine disturbs little
        started = time.thread_time()
        tell()
        return time.thread_time() - started

    assert min(seconds() for _ in range(3)) < 2  # eighty times what it takes, and less than each by each character


def test_no_byte_of_a_file_stands_in_a_message() -> None:
    secret = b"root:$6$hushhush:19000:0:99999:7:::\n"
    starts = (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0\x08\0\0\0", b"RIFF\0\0\0\0WEBP")
    for start in (*starts, b"\0\0\0\x18ftypavif", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n", b"<Error><Code>"):
        with pytest.raises(ImageError) as refused:
            decode(start + secret * 20, 8, 8)
        assert not any(word in refused.value.message for word in ("root", "hush", "19000", "99999"))
        assert len(refused.value.message) < 200


def test_the_code_of_a_storage_services_error_is_a_word() -> None:
    for code in (b"a b", b"x" * 100, b"<b>", b"\x1b[31m"):
        with pytest.raises(ImageError, match="XML") as refused:
            decode(b"<Error><Code>" + code + b"</Code></Error>", 8, 8)
        assert code.decode() not in refused.value.message


def test_formats_that_are_read() -> None:
    for image_format in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000", "AVIF"):
        name = format_of(images.encode(images.picture(), image_format))
        assert name.upper().replace(" ", "") == image_format
    assert format_of(container(b"mif1", b"heic")) == "HEIC"
    assert format_of(container(b"mif1", b"avif")) == "AVIF"
    assert format_of(io.BytesIO(b"BM").getvalue()) == "BMP"


@pytest.mark.parametrize("others", [(), (b"mif1",), (b"mif1", b"miaf", b"MA1B")])
def test_a_brand_counts_wherever_it_is_listed(others):
    for brand, name in ((b"avif", "AVIF"), (b"avis", "AVIF"), (b"heic", "HEIC"), (b"hevs", "HEIC")):
        assert format_of(container(brand, *others)) == name
        for major in (b"mif1", b"isom"):
            assert format_of(container(major, *others, brand)) == name
            assert format_of(container(major, brand, *others)) == name
    with pytest.raises(ImageError, match="HEIF without HEVC"):
        format_of(container(b"isom", *others, b"mif1"))


@pytest.mark.parametrize("name", [b"moov", b"mdat", b"free", b"wide"])
def test_old_films_are_named(name):
    with pytest.raises(ImageError, match="MOV or "):
        format_of(b"\0\0\0\x08" + name + bytes(20))
