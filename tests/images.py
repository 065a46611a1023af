"""Image files for tests: the same picture in every format and mode that the project reads, and files that are broken.

The picture is four flat quadrants (`COLOURS`), so that a test can tell colours, orientation and transparency apart in
whatever comes out of a decoder. The files are made by Pillow, and by hand where Pillow cannot write them.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Colour = tuple[int, int, int]

WIDTH, HEIGHT = 64, 48
RED, GREEN, BLUE, GREY = (220, 30, 40), (20, 180, 60), (40, 60, 200), (128, 128, 128)
COLOURS: tuple[Colour, ...] = (RED, GREEN, BLUE, GREY)
"""Of the quadrants, in reading order: top left, top right, bottom left, bottom right."""
BLACK, WHITE = (0, 0, 0), (255, 255, 255)
# The same four places in other modes, and what they look like.
TRANSLUCENT = [(*RED, 255), (*GREEN, 0), (0, 0, 0, 128), (*GREY, 255)]
TRANSLUCENT_OVER_WHITE = [RED, WHITE, (127, 127, 127), GREY]
GREY_ALPHA = [(0, 255), (0, 0), (0, 128), (200, 255)]
GREY_ALPHA_OVER_WHITE = [BLACK, WHITE, (127, 127, 127), (200, 200, 200)]
INKS = [(0, 255, 255, 0), (255, 0, 255, 0), (255, 255, 0, 0), (0, 0, 0, 127)]
INKS_ON_PAPER = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)]


class Kind(NamedTuple):
    """A file and the colours of its four quadrants as a decoder should show them."""

    data: bytes
    colours: Sequence[Colour]
    tolerance: int = 2  # of each channel


def picture(
    colours: Sequence[Any] = COLOURS, mode: str = "RGB", width: int = WIDTH, height: int = HEIGHT
) -> Image.Image:
    """The quadrants in any mode that can be painted."""
    image = Image.new(mode, (width, height))
    for place, colour in enumerate(colours):
        left, top = (place % 2) * width // 2, (place // 2) * height // 2
        image.paste(colour, (left, top, left + (width + 1) // 2, top + (height + 1) // 2))
    return image


def encode(image: Image.Image, image_format: str, **options: Any) -> bytes:
    """One image file's bytes."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def quadrants(array: npt.NDArray[np.uint8]) -> list[Colour]:
    """The mean colour in the middle of each quadrant of decoded pixels."""
    height, width, _ = array.shape
    found: list[Colour] = []
    for place in range(4):
        left, top = (place % 2) * width // 2, (place // 2) * height // 2
        middle = array[top + height // 6 : top + height // 3, left + width // 6 : left + width // 3]
        red, green, blue = middle.mean(axis=(0, 1)).round().astype(int).tolist()
        found.append((red, green, blue))
    return found


def luminance(colours: Iterable[Colour]) -> list[Colour]:
    """What is left of colours in a greyscale image."""
    greys = (round(0.299 * red + 0.587 * green + 0.114 * blue) for red, green, blue in colours)
    return [(grey, grey, grey) for grey in greys]


def kinds() -> dict[str, Kind]:
    """Every format and mode, by a name that says which."""
    return {**_jpegs(), **_pngs(), **_tiffs(), **_others()}


def heic() -> Kind:
    """Only where pillow-heif is installed."""
    import pillow_heif

    pillow_heif.register_heif_opener()
    return Kind(encode(picture(), "HEIF", quality=95), COLOURS, 12)


def photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """Something with the statistics of a photograph: soft shapes, edges, and a little noise at full resolution."""
    random = np.random.default_rng(seed)
    shapes = Image.fromarray(random.integers(0, 256, (12, 16, 3), dtype=np.uint8))
    soft = np.asarray(shapes.resize((width, height), Image.Resampling.BICUBIC)).astype(np.int16)
    noise = random.normal(0, 3, (height, width, 1)).astype(np.int16)
    return Image.fromarray(np.clip(soft + noise, 0, 255).astype(np.uint8))


def with_orientation(image: Image.Image, orientation: int, image_format: str = "JPEG", **options: Any) -> bytes:
    """A file that asks for its picture to be turned."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, image_format, exif=exif, **options)


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of a few kilobytes that promises a great many black pixels."""
    rows = zlib.compressobj(9)
    some = rows.compress(bytes((width // 8 + 1) * min(height, 1000))) + rows.flush()
    return png_file(width, height, depth=1, colour_type=0, compressed=some)


def scan_bomb(scans: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until it has at least `scans`."""
    data = encode(picture(), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * scans + data[-2:]


def _jpegs() -> dict[str, Kind]:
    rgb = picture()
    return {
        "jpeg": Kind(encode(rgb, "JPEG", quality=95), COLOURS, 4),
        "jpeg-progressive": Kind(encode(rgb, "JPEG", quality=95, progressive=True), COLOURS, 4),
        "jpeg-444": Kind(encode(rgb, "JPEG", quality=95, subsampling=0), COLOURS, 4),
        "jpeg-restart-markers": Kind(encode(rgb, "JPEG", quality=95, restart_marker_rows=1), COLOURS, 4),
        "jpeg-grey": Kind(encode(rgb.convert("L"), "JPEG", quality=95), luminance(COLOURS), 4),
        "jpeg-cmyk": Kind(encode(picture(INKS, "CMYK"), "JPEG", quality=95), INKS_ON_PAPER, 6),
        "mpo": Kind(
            encode(rgb, "MPO", quality=95, save_all=True, append_images=[Image.new("RGB", rgb.size)]), COLOURS, 4
        ),
    }


def png_file(
    width: int,
    height: int,
    *,
    depth: int,
    colour_type: int,
    compressed: bytes,
    extra: Sequence[tuple[bytes, bytes]] = (),
) -> bytes:
    """A PNG by hand. Colour types: 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGB and alpha."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", compressed), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in chunks)


def _png(depth: int, colour_type: int, samples: Sequence[Sequence[int]], transparent: Sequence[int] | None) -> bytes:
    """A PNG of four quadrants; `samples` are those of one pixel of each, `transparent` what tRNS names."""

    def packed(pixel: Sequence[int]) -> bytes:
        bits = "".join(format(sample, f"0{depth}b") for sample in pixel) * (WIDTH // 2)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")

    top, bottom = (b"\0" + packed(samples[left]) + packed(samples[left + 1]) for left in (0, 2))
    extra = [] if transparent is None else [(b"tRNS", struct.pack(f">{len(transparent)}H", *transparent))]
    compressed = zlib.compress(top * (HEIGHT // 2) + bottom * (HEIGHT // 2))
    return png_file(WIDTH, HEIGHT, depth=depth, colour_type=colour_type, compressed=compressed, extra=extra)


def _pngs() -> dict[str, Kind]:
    rgb = picture()
    rgba = picture(TRANSLUCENT, "RGBA")
    palette = rgb.quantize(8, dither=Image.Dither.NONE)
    green_index = int(np.asarray(palette)[0, -1])
    found = {
        "png-rgb": Kind(encode(rgb, "PNG"), COLOURS),
        "png-rgba": Kind(encode(rgba, "PNG"), TRANSLUCENT_OVER_WHITE),
        "png-grey-alpha": Kind(encode(picture(GREY_ALPHA, "LA"), "PNG"), GREY_ALPHA_OVER_WHITE),
        "png-palette": Kind(encode(palette, "PNG"), COLOURS),
        "png-palette-transparent": Kind(encode(palette, "PNG", transparency=green_index), [RED, WHITE, BLUE, GREY]),
        "png-palette-alpha": Kind(
            encode(palette, "PNG", transparency=bytes(0 if i == green_index else 255 for i in range(8))),
            [RED, WHITE, BLUE, GREY],
        ),
        "png-rgb-transparent": Kind(encode(rgb, "PNG", transparency=BLUE), [RED, GREEN, WHITE, GREY]),
        "png-animated": Kind(encode(rgb, "PNG", save_all=True, append_images=[Image.new("RGB", rgb.size)]), COLOURS),
    }
    for depth in (1, 2, 4, 8, 16):
        top = 2**depth - 1
        values = (0, top, top // 3, top * 2 // 3)
        greys = [(round(value * 255 / top),) * 3 for value in values]
        cut_out = [WHITE, *greys[1:]] if depth > 1 else [WHITE] * 4  # of one bit, three of the four values are 0
        pixels = [[value] for value in values]
        found[f"png-grey-{depth}"] = Kind(_png(depth, 0, pixels, None), greys)
        found[f"png-grey-{depth}-transparent"] = Kind(_png(depth, 0, pixels, [0]), cut_out)
        if depth > 1:
            third = [*greys[:2], WHITE, greys[3]]
            found[f"png-grey-{depth}-transparent-third"] = Kind(_png(depth, 0, pixels, [values[2]]), third)
    wide = [[sample * 257 for sample in colour] for colour in COLOURS]
    found["png-rgb-16"] = Kind(_png(16, 2, wide, None), COLOURS)
    found["png-rgb-16-transparent"] = Kind(_png(16, 2, wide, wide[2]), [RED, GREEN, WHITE, GREY])
    found["png-rgba-16"] = Kind(
        _png(16, 6, [[*wide[0], 65535], [*wide[1], 0], [0, 0, 0, 32768], [*wide[3], 65535]], None),
        TRANSLUCENT_OVER_WHITE,
    )
    found["png-grey-alpha-16"] = Kind(
        _png(16, 4, [[0, 65535], [0, 0], [0, 32768], [51400, 65535]], None), GREY_ALPHA_OVER_WHITE
    )
    return found


def _tiffs() -> dict[str, Kind]:
    rgb = picture()
    rgba = picture(TRANSLUCENT, "RGBA")
    grey = rgb.convert("L")
    sixteen = np.asarray(grey).astype(np.uint16) * 257
    signed = np.asarray(picture([0, 1000, 2000, 3000], "I"))
    unit = np.asarray(grey).astype(np.float32) / 255
    heights = np.asarray(picture([-300, 0, 300, 900], "I")).astype(np.float32)
    ramp = [(0, 0, 0), (64, 64, 64), (128, 128, 128), (255, 255, 255)]
    heights[0, 0] = np.nan
    second = Image.new("RGB", (16, 16))
    found = {
        "tiff-rgb": Kind(encode(rgb, "TIFF"), COLOURS),
        "tiff-rgba": Kind(encode(rgba, "TIFF"), TRANSLUCENT_OVER_WHITE),
        "tiff-palette": Kind(encode(rgb.quantize(8, dither=Image.Dither.NONE), "TIFF"), COLOURS),
        "tiff-cmyk": Kind(encode(picture(INKS, "CMYK"), "TIFF"), INKS_ON_PAPER),
        "tiff-lab": Kind(
            encode(picture([(0, 128, 128), (255, 128, 128), (136, 208, 195), (0, 128, 128)], "LAB"), "TIFF"),
            [BLACK, WHITE, (255, 0, 0), BLACK],
            12,
        ),
        "tiff-grey": Kind(encode(grey, "TIFF"), luminance(COLOURS)),
        "tiff-grey-alpha": Kind(
            encode(picture(GREY_ALPHA, "LA"), "TIFF"),
            GREY_ALPHA_OVER_WHITE,
        ),
        "tiff-grey-16": Kind(encode(Image.fromarray(sixteen), "TIFF"), luminance(COLOURS)),
        "tiff-grey-16-lzw": Kind(encode(Image.fromarray(sixteen), "TIFF", compression="tiff_lzw"), luminance(COLOURS)),
        "tiff-grey-16-big-endian": Kind(_big_endian_tiff(sixteen), luminance(COLOURS)),
        "tiff-integers": Kind(
            encode(Image.fromarray(signed), "TIFF"), [(v * 255 // 65535,) * 3 for v in (0, 1000, 2000, 3000)]
        ),
        "tiff-float-unit": Kind(encode(Image.fromarray(unit), "TIFF"), luminance(COLOURS)),
        "tiff-float-bytes": Kind(encode(Image.fromarray(unit * 255), "TIFF"), luminance(COLOURS)),
        "tiff-float-heights": Kind(encode(Image.fromarray(heights), "TIFF"), ramp),
        "tiff-bilevel": Kind(
            encode(picture([0, 255, 255, 0], "1"), "TIFF", compression="group4"), [BLACK, WHITE, WHITE, BLACK]
        ),
        "tiff-pages": Kind(encode(rgb, "TIFF", save_all=True, append_images=[second, second]), COLOURS),
        "tiff-big": Kind(encode(rgb, "TIFF", big_tiff=True), COLOURS),
    }
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "zstd", "lzma"):
        found[f"tiff-{compression}"] = Kind(encode(rgb, "TIFF", compression=compression), COLOURS)
    found["tiff-jpeg"] = Kind(encode(rgb, "TIFF", compression="jpeg", quality=95), COLOURS, 6)
    return found


def _big_endian_tiff(values: npt.NDArray[np.uint16]) -> bytes:
    """Uncompressed 16-bit greyscale in Motorola byte order, which Pillow reads and does not write."""
    height, width = values.shape
    pixels = values.astype(">u2").tobytes()
    tags = [
        (256, width),
        (257, height),
        (258, 16),
        (259, 1),
        (262, 1),
        (273, 8),
        (277, 1),
        (278, height),
        (279, len(pixels)),
    ]
    directory = struct.pack(">H", len(tags))
    directory += b"".join(struct.pack(">HHII", tag, 4, 1, value) for tag, value in tags)
    return b"MM\0*" + struct.pack(">I", 8 + len(pixels)) + pixels + directory + bytes(4)


def _others() -> dict[str, Kind]:
    rgb = picture()
    black = Image.new("RGB", rgb.size)
    rgba = picture(TRANSLUCENT, "RGBA")
    grey = rgb.convert("L")
    palette = rgb.quantize(8, dither=Image.Dither.NONE)
    cut_out = picture([(*RED, 255), (*GREEN, 0), (*BLUE, 255), (*GREY, 255)], "RGBA")
    sixteen = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return {
        "webp": Kind(encode(rgb, "WEBP", quality=95), COLOURS, 8),
        "webp-lossless": Kind(encode(rgb, "WEBP", lossless=True), COLOURS),
        "webp-alpha": Kind(encode(rgba, "WEBP", lossless=True), TRANSLUCENT_OVER_WHITE),
        "webp-animated": Kind(encode(rgb, "WEBP", lossless=True, save_all=True, append_images=[black]), COLOURS),
        "gif": Kind(encode(palette, "GIF", interlace=False), COLOURS),
        "gif-grey": Kind(encode(grey, "GIF"), luminance(COLOURS)),
        "gif-interlaced": Kind(encode(palette, "GIF", interlace=True), COLOURS),
        "gif-transparent": Kind(encode(cut_out, "GIF"), [RED, WHITE, BLUE, GREY]),
        "gif-animated": Kind(encode(rgb, "GIF", save_all=True, append_images=[black], duration=100), COLOURS),
        "bmp": Kind(encode(rgb, "BMP"), COLOURS),
        "bmp-grey": Kind(encode(grey, "BMP"), luminance(COLOURS)),
        "bmp-palette": Kind(encode(palette, "BMP"), COLOURS),
        "bmp-bilevel": Kind(encode(picture([0, 255, 255, 0], "1"), "BMP"), [BLACK, WHITE, WHITE, BLACK]),
        "bmp-alpha": Kind(bmp_with_alpha(rgba), TRANSLUCENT_OVER_WHITE),
        "bmp-32": Kind(encode(rgb.convert("RGBA"), "BMP"), COLOURS),
        "jpeg2000": Kind(encode(rgb, "JPEG2000"), COLOURS),
        "jpeg2000-lossy": Kind(encode(rgb, "JPEG2000", irreversible=True, quality_layers=[10]), COLOURS, 8),
        "jpeg2000-codestream": Kind(encode(rgb, "JPEG2000", no_jp2=True), COLOURS),
        "jpeg2000-alpha": Kind(encode(rgba, "JPEG2000"), TRANSLUCENT_OVER_WHITE),
        "jpeg2000-grey": Kind(encode(grey, "JPEG2000"), luminance(COLOURS)),
        "jpeg2000-grey-16": Kind(encode(sixteen, "JPEG2000"), luminance(COLOURS)),
        "avif": Kind(encode(rgb, "AVIF", quality=95), COLOURS, 8),
        "avif-alpha": Kind(encode(rgba, "AVIF", quality=95), TRANSLUCENT_OVER_WHITE, 8),
        "avif-animated": Kind(encode(rgb, "AVIF", quality=95, save_all=True, append_images=[black]), COLOURS, 8),
    }


def bmp_with_alpha(image: Image.Image) -> bytes:
    """A bitmap that declares an alpha mask (header of version 4), which Pillow reads and does not write."""
    pixels = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes("raw", "BGRA")
    masks = struct.pack("<IIII", 0x00FF0000, 0x0000FF00, 0x000000FF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, *image.size, 1, 32, 3, len(pixels), 2835, 2835, 0, 0) + masks + bytes(52)
    return b"BM" + struct.pack("<IHHI", 14 + 108 + len(pixels), 0, 0, 14 + 108) + header + pixels
