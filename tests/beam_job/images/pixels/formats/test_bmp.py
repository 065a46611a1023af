"""BMP: headers, depths, bit fields, palettes and run lengths."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from beam_job.images.pixels import ImageError, decode
from tests import images
from tests.effort import lines_run
from tests.images import COLOURS, HEIGHT, WIDTH, Colour

HEADERS = (12, 16, 40, 52, 56, 64, 108, 124)
FIELDS = {
    "555": (16, (0x7C00, 0x3E0, 0x1F, 0)),
    "565": (16, (0xF800, 0x7E0, 0x1F, 0)),
    "444": (16, (0xF00, 0xF0, 0xF, 0)),
    "4444": (16, (0xF00, 0xF0, 0xF, 0xF000)),
    "888": (32, (0xFF0000, 0xFF00, 0xFF, 0)),
    "888 the other way": (32, (0xFF, 0xFF00, 0xFF0000, 0)),
    "888 on top": (32, (0xFF000000, 0xFF0000, 0xFF00, 0)),
    "101010": (32, (0x3FF00000, 0xFFC00, 0x3FF, 0)),
    "8888": (32, (0xFF0000, 0xFF00, 0xFF, 0xFF000000)),
    "8888 the other way": (32, (0xFF000000, 0xFF0000, 0xFF00, 0xFF)),
}


def bmp(
    pixels: bytes,
    depth: int,
    *,
    header: int = 40,
    compression: int = 0,
    palette: list[Colour] = (),
    masks: tuple[int, ...] = (),
    top_down: bool = False,
    width: int = WIDTH,
    height: int = HEIGHT,
) -> bytes:
    size = -height if top_down else height
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, depth)
    else:
        info = struct.pack(
            "<IiiHHIIiiII", header, width, size, 1, depth, compression, len(pixels), 0, 0, len(palette), 0
        )
    if header >= 52 and masks:
        info += struct.pack("<IIII", *masks)
        masks = ()
    info = info[:header].ljust(header, b"\0")
    info += struct.pack(f"<{len(masks)}I", *masks)
    colours = b"".join(bytes(colour[::-1]) + (b"" if header == 12 else b"\0") for colour in palette)
    start = 14 + len(info) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + colours + pixels


def rows(values: np.ndarray, depth: int, top_down: bool = False) -> bytes:
    """Whole pixels [height, width] as a bitmap's rows."""
    values = values if top_down else values[::-1]
    if depth < 8:
        bits = (values[..., None] >> np.arange(depth - 1, -1, -1)) & 1
        packed = np.packbits(bits.reshape(len(values), -1).astype(np.uint8), axis=1)
    else:
        packed = np.ascontiguousarray(values).astype("<u4").view(np.uint8).reshape(*values.shape, 4)[..., : depth // 8]
        packed = packed.reshape(len(values), -1)
    return np.pad(packed, ((0, 0), (0, -packed.shape[1] % 4))).tobytes()


def quadrants(values: list[int], width: int = WIDTH) -> np.ndarray:
    found = np.empty((HEIGHT, width), np.int64)
    for place, value in enumerate(values):
        top, left = place // 2 * HEIGHT // 2, place % 2 * width // 2
        found[top : top + HEIGHT // 2, left : left + (width + 1) // 2] = value
    return found


def code_of(data: bytes) -> str:
    with pytest.raises(ImageError) as refused:
        decode(data, 36, 40)
    return refused.value.code


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("top_down", [False, True])
def test_palettes(header: int, depth: int, top_down: bool) -> None:
    top_down = top_down and header != 12
    indices = [index % 2**depth for index in range(4)]
    palette = [*COLOURS][: 2**depth]
    full = palette if header > 16 else palette + [images.BLACK] * (2**depth - len(palette))
    for width in (WIDTH, 61):
        pixels = rows(quadrants(indices, width), depth, top_down)
        data = bmp(pixels, depth, header=header, palette=full, top_down=top_down, width=width)
        found = images.quadrants(decode(data, 36, 40).array)
        np.testing.assert_allclose(found, [palette[index] for index in indices], atol=2)


@pytest.mark.parametrize(
    "palette", [[images.BLACK, images.WHITE], [images.WHITE, images.BLACK], [images.RED, images.BLUE]]
)
@pytest.mark.parametrize("depth", [1, 4, 8])
def test_two_colours_in_any_depth(palette: list[Colour], depth: int) -> None:
    data = bmp(rows(quadrants([0, 1, 1, 0]), depth), depth, palette=palette)
    shown = [palette[0], palette[1], palette[1], palette[0]]
    np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=2)


def test_grey_palettes_in_another_order() -> None:
    palette = [(255 - grey,) * 3 for grey in range(256)]
    data = bmp(rows(quadrants([0, 100, 200, 255]), 8), 8, palette=palette)
    shown = [(255,) * 3, (155,) * 3, (55,) * 3, (0,) * 3]
    np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=1)


def test_bit_fields_wider_than_the_pixels() -> None:
    pixels = rows(quadrants([0xF800, 0x7E0, 0x1F, 0xFFFF]), 16)
    for red in (0x1F800, 0xF8000, 0x1FFFF):
        assert code_of(bmp(pixels, 16, header=56, compression=3, masks=(red, 0x7E0, 0x1F, 0))) == "corrupt"
    for alpha in (0xFF000000, 0xFFFF0000):
        data = bmp(pixels, 16, header=56, compression=3, masks=(0xF800, 0x7E0, 0x1F, alpha))
        shown = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)]
        np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=2)


def test_colours_that_the_palette_leaves_out_are_black() -> None:
    data = bmp(rows(quadrants([0, 1, 2, 255]), 8), 8, palette=[images.RED, images.BLUE])
    shown = [images.RED, images.BLUE, images.BLACK, images.BLACK]
    np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=2)


@pytest.mark.parametrize("header", [12, 40, 108, 124])
@pytest.mark.parametrize("top_down", [False, True])
def test_true_colours(header: int, top_down: bool) -> None:
    top_down = top_down and header != 12
    values = quadrants([red << 16 | green << 8 | blue for red, green, blue in COLOURS], 61)
    for depth in (24, 32):
        pixels = rows(values | (0x55000000 if depth == 32 else 0), depth, top_down)  # the fourth byte says nothing
        found = decode(bmp(pixels, depth, header=header, top_down=top_down, width=61), 36, 40).array
        np.testing.assert_allclose(images.quadrants(found), COLOURS, atol=2)


@pytest.mark.parametrize("fields", FIELDS)
@pytest.mark.parametrize(("header", "compression"), [(40, 3), (40, 6), (52, 3), (56, 3), (108, 3), (124, 3)])
@pytest.mark.parametrize("alpha", ["full", "none", "half"])
def test_bit_fields(fields: str, header: int, compression: int, alpha: str) -> None:
    depth, masks = FIELDS[fields]
    known = header >= 56 or compression == 6  # the mask of alpha is there

    def value(colour: Colour, opacity: int) -> int:
        found = 0
        for sample, mask in zip((*colour, opacity), masks, strict=True):
            if mask:
                shift = (mask & -mask).bit_length() - 1
                found |= (sample * (mask >> shift) // 255) << shift
        return found

    opacity = {"full": 255, "none": 0, "half": 128}[alpha]
    values = quadrants([value(colour, opacity) for colour in COLOURS])
    given = masks if known or header == 52 else masks[:3]
    data = bmp(rows(values, depth), depth, header=header, compression=compression, masks=given)
    seen = opacity / 255 if known and masks[3] and opacity else 1.0
    shown = [tuple(round(sample * seen + 255 * (1 - seen)) for sample in colour) for colour in COLOURS]
    coarse = 18 if depth == 16 else 3
    np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=coarse)


def runs(values: np.ndarray, nibbles: bool, literal: bool) -> bytes:
    """Rows from the lowest to the highest, as runs or as they are, each with its end."""
    found = b""
    for row in values[::-1].tolist():
        for left in range(0, len(row), 30):
            part = row[left : left + 30]
            if literal and len(part) > 2:
                packed = (
                    bytes(a << 4 | b for a, b in zip(part[::2], [*part[1::2], 0][: len(part[::2])], strict=True))
                    if nibbles
                    else bytes(part)
                )
                found += bytes([0, len(part)]) + packed + bytes(len(packed) % 2)
            else:
                for value in part:
                    found += bytes([1, value << 4 if nibbles else value])
        found += b"\0\0"
    return found + b"\0\1"


@pytest.mark.parametrize("nibbles", [False, True])
@pytest.mark.parametrize("literal", [False, True])
@pytest.mark.parametrize("header", [40, 64, 108])
def test_run_lengths(nibbles: bool, literal: bool, header: int) -> None:
    for width in (WIDTH, 61):
        pixels = runs(quadrants([0, 1, 2, 3], width), nibbles, literal)
        data = bmp(
            pixels, 4 if nibbles else 8, header=header, compression=2 if nibbles else 1, palette=[*COLOURS], width=width
        )
        np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), COLOURS, atol=2)


def test_runs_of_two_colours_in_turn() -> None:
    for first, second in ((1, 2), (2, 3), (3, 1)):
        row = bytes([WIDTH, first << 4 | second, 0, 0])
        found = decode(bmp(row * HEIGHT + b"\0\1", 4, compression=2, palette=[*COLOURS]), HEIGHT, WIDTH).array
        np.testing.assert_array_equal(found[:, ::2], np.full((HEIGHT, -(-WIDTH // 2), 3), COLOURS[first]))
        np.testing.assert_array_equal(found[:, 1::2], np.full((HEIGHT, WIDTH // 2, 3), COLOURS[second]))


def test_runs_that_leave_pixels_out_or_reach_beyond_the_row() -> None:
    one_row = bytes([200, 1, 200, 2, 0, 0])  # far more than there is room for
    jump = bytes([10, 1, 0, 2, 4, 0, 50, 1, 0, 0])
    data = bmp(one_row * 24 + jump * 24 + b"\0\1", 8, compression=1, palette=[*COLOURS])
    found = decode(data, HEIGHT, WIDTH).array
    expected = np.full((HEIGHT, WIDTH, 3), images.GREEN)
    expected[:24, 10:14] = images.RED  # what is left out has the first colour
    np.testing.assert_array_equal(found, expected)


def test_runs_that_end_early_or_only_end_lines_are_refused() -> None:
    row = bytes([WIDTH, 1, 0, 0])
    palette = [*COLOURS]
    assert code_of(bmp(row * 30 + b"\0\1", 8, compression=1, palette=palette)) == "truncated"
    assert code_of(bmp(row * 30, 8, compression=1, palette=palette)) == "truncated"
    assert code_of(bmp(b"\0\0" * 100, 8, compression=1, palette=palette)) == "corrupt"
    assert code_of(bmp(b"\0\1", 8, compression=1, palette=palette)) in ("truncated", "corrupt")
    wide = bmp(b"\0\0" * 5000, 8, compression=1, palette=palette, width=65_000, height=2_300)
    assert lines_run(lambda: code_of(wide)) < 100_000


@pytest.mark.parametrize(
    ("depth", "compression", "header"), [(8, 4, 40), (24, 5, 40), (1, 3, 64), (24, 4, 64), (32, 11, 124), (3, 0, 40)]
)
def test_other_kinds_are_named(depth: int, compression: int, header: int) -> None:
    assert code_of(bmp(bytes(100_000), depth, compression=compression, header=header)) == "unsupported_format"


def test_gaps_in_bit_fields_are_refused() -> None:
    data = bmp(bytes(WIDTH * HEIGHT * 4), 32, compression=3, masks=(0xF0F000, 0xFF, 0xF00))
    assert code_of(data) == "unsupported_format"


def test_pixels_that_begin_beyond_the_end_cost_nothing() -> None:
    data = bytearray(bmp(rows(quadrants([0, 1, 1, 0]), 8), 8, palette=[*COLOURS]))
    struct.pack_into("<I", data, 10, 2**31)
    for accept in (False, True):
        with pytest.raises(ImageError) as refused:
            decode(bytes(data), 36, 40, accept_truncated=accept)
        assert refused.value.code == "truncated"


def test_the_last_rows_padding_may_be_missing() -> None:
    values = quadrants([red << 16 | green << 8 | blue for red, green, blue in COLOURS], 61)
    data = bmp(rows(values, 24), 24, width=61)
    assert decode(data[:-1], 36, 40).width == 61
    assert code_of(data[:-2]) == "truncated"
