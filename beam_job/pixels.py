"""An image file's bytes to pixels of the model's size: the one way, for training and for captioning.

    pixels = decode(data, height=224, width=224)
    pixels.array                  # uint8 [224, 224, 3]
    pixels.width, pixels.height   # of the source, upright

The content decides what a file is, never its name. Whatever the file holds, the outcome is `Pixels` or an `ImageError`
with one of the codes in `ERRORS`. Everything here may be called from many threads at once.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import (  # importing a plug-in registers it; no other plug-in of Pillow is ever asked
    AvifImagePlugin,  # noqa: F401
    BmpImagePlugin,  # noqa: F401
    ExifTags,
    GifImagePlugin,  # noqa: F401
    Image,
    ImageFile,
    Jpeg2KImagePlugin,  # noqa: F401
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from beam_job.invocation import pip_install

try:
    import pillow_heif
except ImportError:
    pass
else:
    pillow_heif.register_heif_opener()

RESIZE = "stretch-bilinear"
"""The one way images are brought to the model's size, as the model's manifest names it: aspect ratio not kept,
bilinear, antialiased when the image shrinks."""

LEAST_SCALE = 1.25
"""Large JPEGs are decoded at a reduced scale, but at no less than so many times the model's size."""

MAX_PIXELS = 150_000_000
"""Default limit on width x height. Pillow holds 4 bytes a pixel, and up to 12 while it turns one mode into another:
1.8 GB for the largest image that passes. JPEGs take far less, as they are decoded at a reduced scale."""

ERRORS = {
    "empty": "The file holds no bytes.",
    "not_an_image": "The content is of no image format that we know.",
    "unsupported_format": "An image, but of a format that is not read here (HEIC: install pillow-heif).",
    "too_many_pixels": "Width x height is over the limit.",
    "out_of_memory": "Decoding it takes more memory than --decode_memory, or than there is.",
    "truncated": "The file ends before the image does.",
    "corrupt": "An image format that is read here, but damaged, or a rare variant that Pillow cannot read.",
}
"""Every code that an `ImageError` can have, and what it means."""

_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF", "HEIF")
_JPEG = ("JPEG", "MPO")  # MPO: several JPEGs in one file, as some telephones and stereo cameras write
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_OTHER_FORMATS = (  # worth naming, because people meet them in archives
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"FUJIFILMCCD-RAW", "Fujifilm raw"),
    (b"IIU\x00", "Panasonic raw"),
    (b"<svg", "SVG"),
)
_UPRIGHT = {  # EXIF orientation -> what turns the picture upright; from 5 on, width and height change places
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_MAX_SCANS = 100  # of a progressive JPEG; real ones have about ten


class ImageError(ValueError):
    """An image that cannot be turned into pixels. `code` is a key of `ERRORS`; the text is one sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return self.message


class Pixels(NamedTuple):
    """A decoded image."""

    array: npt.NDArray[np.uint8]  # uint8 [height of the model, width of the model, 3], RGB; may be read-only
    width: int  # of the source in pixels, after its EXIF orientation is applied
    height: int


def decode(
    data: bytes,
    height: int,
    width: int,
    *,
    max_pixels: int = MAX_PIXELS,
    accept_truncated: bool = False,
) -> Pixels:
    """Decodes an image file and brings it to `height` x `width`.

    EXIF orientation is applied and transparency is laid over white. Of an animated file the first frame is taken, of
    a TIFF the first page. 16-bit samples keep their high byte; grey images of wider or floating-point samples are
    scaled by their range. Colour profiles are ignored. Large JPEGs are decoded at a half, a quarter or an eighth, and
    never below `LEAST_SCALE` times the wanted size.

    Args:
      data: the whole file. JPEG, PNG, WebP, GIF, BMP, TIFF, JPEG 2000, AVIF; HEIC where pillow-heif is installed.
      height, width: of the result in pixels.
      max_pixels: larger images are refused from their header, before anything is decoded.
      accept_truncated: take what there is of a JPEG, PNG, GIF, BMP or TIFF that ends too early (the rest is grey or
        black), unless nothing is left to see. Other formats have nothing to show before their last byte.

    Raises:
      ImageError: for any file that gives no pixels.
    """
    if height < 1 or width < 1:
        raise ValueError(f"height and width must be at least 1, got {height} x {width}")
    try:
        return _decode(data, height, width, max_pixels)
    except ImageError as error:
        if error.code != "truncated" or not accept_truncated:
            raise
        with _accepting_truncated():
            pixels = _decode(data, height, width, max_pixels)
        if not np.ptp(pixels.array, axis=(0, 1)).any():
            raise ImageError(
                "truncated", "The file ends too early, and none of its picture can be made out."
            ) from error
        return pixels


def _decode(data: bytes, height: int, width: int, max_pixels: int) -> Pixels:
    image = _open(data)
    if image.width * image.height > max_pixels:
        raise ImageError(
            "too_many_pixels",
            f"The image has {image.width} x {image.height} pixels, over the limit of {max_pixels:,}.",
        )
    box = None
    try:
        if image.format in _JPEG:
            source = image.size
            _check_scans(image, data)
            # Wide enough for both sides, as the picture may still be turned. Where the scale does not divide the size,
            # the last column or row is only partly picture: the box says how much.
            drafted = image.draft(None, (int(LEAST_SCALE * max(height, width)),) * 2)
            box = drafted and drafted[1]
            image.load()
        else:
            image.load()
            source = image.size  # only now: HEIC learns its size, and turns itself, while it loads
        orientation = _orientation(image)
        sideways = orientation >= 5
        # Resizing first makes the turn cheap.
        size = (height, width) if sideways else (width, height)
        small = _plain(image, data).resize(size, Image.Resampling.BILINEAR, box)
        if orientation in _UPRIGHT:
            small = small.transpose(_UPRIGHT[orientation])
        return Pixels(_over_white(small), *(reversed(source) if sideways else source))
    except ImageError:
        raise
    except Exception as error:  # Pillow's plug-ins raise nearly everything there is
        raise _image_error(error, image.format, data) from error


def _open(data: bytes) -> ImageFile.ImageFile:
    """Reads the header. Each plug-in judges by the first bytes whether a file is its own."""
    if not data:
        raise ImageError("empty", "The file is empty.")
    failure: ImageError | None = None
    for name in _FORMATS:
        opener, accepts = Image.OPEN.get(name, (None, None))
        if opener is None or accepts is None or accepts(data[:16]) is not True:
            continue
        try:
            return opener(io.BytesIO(data), "")
        except Exception as error:
            failure = _image_error(error, name, data)
    if "HEIF" not in Image.OPEN and data[4:8] == b"ftyp":
        brands = data[8 : min(int.from_bytes(data[:4], "big"), 256)]
        if not _HEIC_BRANDS.isdisjoint(brands[i : i + 4] for i in range(0, len(brands), 4)):
            install = pip_install("pillow-heif")
            raise ImageError("unsupported_format", f"This is HEIC, which needs pillow-heif: `{install}`.")
    if failure is not None:
        try:
            raise failure
        finally:
            del failure  # or exception and frame hold each other, and the file's bytes, until garbage is collected
    for magic, name in _OTHER_FORMATS:
        if data.startswith(magic):
            raise ImageError("unsupported_format", f"Files of format {name} are not read: convert it to JPEG or PNG.")
    raise ImageError("not_an_image", f"The content starts with {data[:12]!r}, which no image format does.")


def _check_scans(image: ImageFile.ImageFile, data: bytes) -> None:
    """Refuses a progressive JPEG of a great many scans: a few hundred bytes each, they cost a pass over the whole
    picture each, minutes in all."""
    if image.info.get("progressive") and image.fp is not None:
        start = image.fp.tell()  # behind the first scan's marker; the picture lasts to the first end marker from there
        if 1 + data.count(b"\xff\xda", start, data.find(b"\xff\xd9", start)) > _MAX_SCANS:
            raise ImageError("corrupt", f"The progressive JPEG has over {_MAX_SCANS} scans; real ones have about ten.")


def _image_error(error: Exception, name: str | None, data: bytes) -> ImageError:
    if isinstance(error, MemoryError):
        return ImageError("out_of_memory", f"The {name} does not fit into memory.")
    if isinstance(error, Image.DecompressionBombError):
        return ImageError("too_many_pixels", f"The {name} has too many pixels: {error}")
    text = str(error).strip() or type(error).__name__
    cut_webp = name == "WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little")
    if cut_webp or "truncated" in text.lower():
        return ImageError("truncated", f"The {name} ends too early: {text}")
    return ImageError("corrupt", f"The {name} cannot be decoded: {text}")


def _orientation(image: ImageFile.ImageFile) -> int:
    """1 to 8; 1 where there is none. Ask after loading: a PNG may say it last, and a TIFF has turned itself by then."""
    try:
        orientation = int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # a broken EXIF block is no reason to refuse the picture
        return 1
    return orientation if orientation in _UPRIGHT else 1


def _plain(image: Image.Image, data: bytes) -> Image.Image:
    """Brings a loaded image to a mode that resizes well: L, RGB, or RGBa where something may be transparent.

    RGBa is premultiplied: resizing mixes no colour of invisible pixels in.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _wide_grey(image)
    if not image.has_transparency_data:
        return _as(image, "L" if image.mode in ("1", "L") else "RGB")
    if image.format == "PNG" and image.mode in ("L", "RGB"):
        image.info["transparency"] = _to_8_bits(image.info["transparency"], data[24])
    return _as(image, "RGBA").convert("RGBa")


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)  # convert alone would copy


def _to_8_bits(colour: int | tuple[int, ...], depth: int) -> int | tuple[int, ...]:
    """A PNG's transparent colour, the way Pillow brings pixels of `depth` bits to 8; it leaves this colour out."""
    if isinstance(colour, tuple):
        return tuple(sample >> (depth - 8) for sample in colour)
    return colour * 255 // ((1 << depth) - 1)


def _wide_grey(image: Image.Image) -> Image.Image:
    """Greyscale of more than 8 bits to L, scaled rather than clipped.

    16-bit samples keep their high byte. The range of wider integers and of floats is nowhere written down: it is taken
    as 0..1 (floats only), 0..255 or 0..65535, the first that holds every value, or else as reaching from the least
    value to the greatest. Values that are not finite count as 0.
    """
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        grey = (values >> 8).astype(np.uint8)
        if "transparency" in image.info:
            grey[values == image.info["transparency"]] = 255
        return Image.fromarray(grey)
    values = values.astype(np.float32)
    values[~np.isfinite(values)] = 0
    low, high = float(values.min()), float(values.max())
    tops = (1, 255, 65535) if image.mode == "F" else (255, 65535)
    top = next((top for top in tops if low >= 0 and high <= top), None)
    if top is not None:
        low, high = 0, top
    scale = 255 / (high - low) if high > low else 0
    values *= scale
    values -= low * scale
    return Image.fromarray(np.rint(values, out=values).astype(np.uint8))


def _over_white(image: Image.Image) -> npt.NDArray[np.uint8]:
    """L, RGB or RGBa to uint8 [height, width, 3]."""
    if image.mode != "RGBa":
        return np.asarray(_as(image, "RGB"))
    samples = np.asarray(image).astype(np.uint16)
    laid: npt.NDArray[np.uint16] = np.minimum(samples[..., :3] + (255 - samples[..., 3:]), 255)
    return laid.astype(np.uint8)


class _TruncatedSwitch(threading.local):
    """What stands in for Pillow's process-wide `LOAD_TRUNCATED_IMAGES`, which Pillow only ever tests for truth: a
    switch of each thread's own, so that a decoder that accepts truncated files changes nothing for its neighbours."""

    on = False

    def __bool__(self) -> bool:
        return self.on


_truncated_switch = _TruncatedSwitch()
ImageFile.LOAD_TRUNCATED_IMAGES = _truncated_switch  # type: ignore[assignment]


@contextmanager
def _accepting_truncated() -> Iterator[None]:
    _truncated_switch.on = True
    try:
        yield
    finally:
        _truncated_switch.on = False
