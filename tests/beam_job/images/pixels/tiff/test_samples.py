"""TIFF: each layout of samples is read right or refused, and which picture of a file is taken."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from beam_job.images.pixels import ImageError, decode
from tests import images, tiffs
from tests.images import COLOURS, HEIGHT, WIDTH, Colour
from tests.tiffs import tiff

FORMS = {"unsigned": "u", "signed": "i", "float": "f", "complex": "c"}
DEPTHS = (1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32, 64)
PHOTOMETRICS = {
    "white is zero": 0,
    "black is zero": 1,
    "RGB": 2,
    "palette": 3,
    "mask": 4,
    "CMYK": 5,
    "YCbCr": 6,
    "CIELab": 8,
    "ICCLab": 9,
    "ITULab": 10,
    "colour filters": 32803,
    "LogL": 32844,
    "LogLuv": 32845,
    "linear raw": 34892,
}
GREYS = (0, 85, 170, 255)  # of the quadrants


def quadrants(colours: list[tuple[int, ...]]) -> np.ndarray:
    """uint64 [HEIGHT, WIDTH, samples of a pixel]."""
    found = np.empty((HEIGHT, WIDTH, len(colours[0])), np.uint64)
    for place, colour in enumerate(colours):
        top, left = place // 2 * HEIGHT // 2, place % 2 * WIDTH // 2
        found[top : top + HEIGHT // 2, left : left + WIDTH // 2] = colour
    return found


def coarse(sample: int, bits: int) -> int:
    """What is left of 8 bits in so many."""
    return sample if bits >= 8 else sample * (2**bits - 1) // 255 * 255 // (2**bits - 1)


def drawn(photometric: str, bits: int) -> tuple[np.ndarray, list[Colour], dict[int, object]]:
    """Whole samples of so many bits, what they look like, and the tags that they need."""
    top = 2**bits - 1
    greys: list[Colour] = [(coarse(grey, bits),) * 3 for grey in GREYS]

    def scaled(colours: list[tuple[int, ...]]) -> np.ndarray:
        return quadrants([tuple(sample * top // 255 for sample in colour) for colour in colours])

    if photometric == "RGB":
        colours = [(255, 0, 0), (0, 255, 0), (85, 85, 255), (170, 170, 170)]
        return scaled(colours), [tuple(coarse(sample, bits) for sample in colour) for colour in colours], {}
    if photometric == "palette":
        indices = [(number % (top + 1),) for number in range(4)]
        colours = np.zeros((3, 2 ** min(bits, 8)), np.uint64)
        colours[:, :4] = np.array([*COLOURS]).T[:, : colours.shape[1]]
        shown = [COLOURS[index] for (index,) in indices]
        return quadrants(indices), shown, {320: (3, (colours * 257).ravel().tolist())}
    if photometric == "CMYK":
        return scaled([*images.INKS]), [*images.INKS_ON_PAPER], {}
    if photometric in ("CIELab", "ICCLab"):
        zero = 0 if photometric == "CIELab" else 128
        lab = quadrants([(0, zero, zero), (255, zero, zero), (136, 80 + zero, 67 + zero), (0, zero, zero)])
        return lab << np.uint64(max(bits, 8) - 8), [(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 0)], {}
    if photometric in ("YCbCr", "ITULab", "LogLuv"):
        return scaled([(grey, 128, 128) for grey in GREYS]), greys, {}
    if photometric == "white is zero":
        return scaled([(255 - grey,) for grey in GREYS]), [(255 - coarse(255 - grey, bits),) * 3 for grey in GREYS], {}
    return scaled([(grey,) for grey in GREYS]), greys, {}


def is_read(form: str, bits: int, photometric: str) -> bool:
    """The list of layouts that are read, said once more."""
    if form == "unsigned" and photometric in ("white is zero", "black is zero"):
        return bits <= 16 or bits == 32
    if form == "unsigned" and photometric == "RGB":
        return bits <= 16
    if form == "unsigned" and photometric == "palette":
        return bits in (1, 2, 4, 8)
    if form == "unsigned" and photometric in ("CMYK", "CIELab", "ICCLab"):
        return bits in (8, 16)
    if photometric in ("white is zero", "black is zero"):
        return (form, bits) in {("signed", n) for n in (8, 16, 32)} | {("float", n) for n in (16, 32, 64)}
    return False


@pytest.mark.parametrize("photometric", PHOTOMETRICS)
@pytest.mark.parametrize("form", FORMS)
def test_every_layout_is_read_right_or_refused(form: str, photometric: str) -> None:
    for bits in DEPTHS:
        known = is_read(form, bits, photometric)
        samples, shown, more = drawn(photometric, bits if form == "unsigned" else 7)
        sizes = [size for size in (1, 2, 4, 8, 16) if 8 * size >= bits]
        kind = {"u": "u1 u2 u4 u8", "i": "i1 i2 i4 i8", "f": "f2 f4 f8", "c": "c8 c16"}[FORMS[form]].split()
        exact = next((each for each in kind if int(each[1:]) == sizes[0]), kind[-1])
        samples = samples.astype(exact)
        if form == "float":
            samples = samples / np.array(127, exact)
        if form == "signed":
            samples = (samples - 64).astype(exact)
        compressions = (tiffs.NONE, tiffs.DEFLATE) if known else (tiffs.NONE,)
        for order, planar, compression in itertools.product("<>", (False, True), compressions):
            data = tiff(
                samples,
                PHOTOMETRICS[photometric],
                bits=bits,
                order=order,
                planar=planar,
                compression=compression,
                rows_per_strip=20,
                more=more,
            )
            where = f"{form} {bits} {photometric} {order} planar={planar} compression={compression}"
            if not known:
                with pytest.raises(ImageError) as refused:
                    decode(data, 36, 40)
                assert refused.value.code == "unsupported_format", where
                continue
            found = images.quadrants(decode(data, 36, 40).array)
            tolerance = 14 if "Lab" in photometric else 6
            np.testing.assert_allclose(found, shown, atol=tolerance, err_msg=where)


@pytest.mark.parametrize("tile", [None, (16, 16), (48, 32), (80, 64)])
@pytest.mark.parametrize("compression", tiffs.COMPRESSIONS)
@pytest.mark.parametrize("reversed_bits", [False, True])
def test_tiles_strips_planes_and_the_order_of_bits(
    tile: tuple[int, int] | None, compression: int, reversed_bits: bool
) -> None:
    for bits, planar, order in itertools.product((1, 4, 8, 12, 16), (False, True), "<>"):
        samples, shown, _ = drawn("RGB", bits)
        samples = samples.astype("u1" if bits <= 8 else "u2")
        data = tiff(
            samples,
            2,
            bits=bits,
            order=order,
            planar=planar,
            compression=compression,
            tile=tile,
            rows_per_strip=7,
            reversed_bits=reversed_bits,
        )
        np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=2)


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "i2", "f2", "f4", "f8"])
@pytest.mark.parametrize("predictor", [2, 3])
def test_differences(kind: str, predictor: int) -> None:
    grey = np.asarray(images.photo(WIDTH, HEIGHT).convert("L"))[..., None]
    samples = grey.astype(kind) if kind != "u2" else grey.astype(kind) * 257
    known = kind != "f8" if predictor == 2 else kind[0] == "f"
    for order, compression, tile in itertools.product("<>", (tiffs.LZW, tiffs.DEFLATE), (None, (16, 16))):
        written = (
            samples.astype("f4") if predictor == 3 and kind[0] != "f" else samples
        )  # the tags below are what counts
        data = tiff(
            written,
            1,
            order=order,
            compression=compression,
            predictor=predictor,
            tile=tile,
            more={339: (3, [1])} if predictor == 3 and kind[0] != "f" else {},
        )
        if not known:
            with pytest.raises(ImageError) as refused:
                decode(data, HEIGHT, WIDTH)
            assert refused.value.code == "unsupported_format"
            continue
        found = decode(data, HEIGHT, WIDTH).array[..., 0].astype(int)
        assert np.abs(found - grey[..., 0]).max() <= 1, (kind, order, compression, tile)


def test_differences_of_colours() -> None:
    rgb = np.asarray(images.photo(WIDTH, HEIGHT))
    for depth, planar, tile in itertools.product(("u1", "u2"), (False, True), (None, (32, 16))):
        samples = rgb.astype(depth) * (257 if depth == "u2" else 1)
        data = tiff(samples, 2, planar=planar, compression=tiffs.LZW, predictor=2, tile=tile, order=">")
        np.testing.assert_array_equal(decode(data, HEIGHT, WIDTH).array, rgb)


# Alpha and further samples


@pytest.mark.parametrize("depth", ["u1", "u2"])
@pytest.mark.parametrize("planar", [False, True])
def test_alpha(depth: str, planar: bool) -> None:
    factor = 257 if depth == "u2" else 1
    plain = quadrants([*images.TRANSLUCENT]).astype(depth) * factor
    weighed = plain.copy()
    weighed[..., :3] = plain[..., :3].astype(np.uint64) * plain[..., 3:] // (255 * factor)
    for samples, extra in ((plain, (2,)), (weighed, (1,)), (plain, ())):
        found = images.quadrants(decode(tiff(samples, 2, planar=planar, extra=extra), 36, 40).array)
        np.testing.assert_allclose(found, images.TRANSLUCENT_OVER_WHITE, atol=3)
    ignored = decode(tiff(plain, 2, planar=planar, extra=(0,)), 36, 40).array
    np.testing.assert_allclose(images.quadrants(ignored), [each[:3] for each in images.TRANSLUCENT], atol=2)
    behind = np.concatenate((plain[..., :3], plain[..., :1], plain[..., 3:]), axis=-1)
    found = images.quadrants(decode(tiff(behind, 2, planar=planar, extra=(0, 2)), 36, 40).array)
    np.testing.assert_allclose(found, images.TRANSLUCENT_OVER_WHITE, atol=3)


@pytest.mark.parametrize("depth", ["u1", "u2"])
def test_grey_with_alpha(depth: str) -> None:
    factor = 257 if depth == "u2" else 1
    plain = quadrants([*images.GREY_ALPHA]).astype(depth) * factor
    weighed = plain.copy()
    weighed[..., 0] = plain[..., 0].astype(np.uint64) * plain[..., 1] // (255 * factor)
    for samples, extra in ((plain, (2,)), (weighed, (1,))):
        found = images.quadrants(decode(tiff(samples, 1, extra=extra), 36, 40).array)
        np.testing.assert_allclose(found, images.GREY_ALPHA_OVER_WHITE, atol=3)


def test_samples_of_several_kinds_are_refused() -> None:
    samples = quadrants([*COLOURS]).astype("u1")
    for more in ({258: (3, [5, 6, 5])}, {339: (3, [1, 2, 1])}):
        with pytest.raises(ImageError) as refused:
            decode(tiff(samples, 2, more=more), 36, 40)
        assert refused.value.code == "unsupported_format"


def test_inks_that_are_not_cmyk_are_refused() -> None:
    data = tiff(quadrants([*images.INKS]).astype("u1"), 5, more={332: (3, [2])})
    with pytest.raises(ImageError) as refused:
        decode(data, 36, 40)
    assert refused.value.code == "unsupported_format"


def test_a_palette_of_8_bit_values_is_read_as_it_is_meant() -> None:
    samples, shown, more = drawn("palette", 8)
    kind, values = more[320]
    data = tiff(samples.astype("u1"), 3, more={320: (kind, [value // 257 for value in values])})
    np.testing.assert_allclose(images.quadrants(decode(data, 36, 40).array), shown, atol=2)
