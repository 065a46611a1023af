"""Colour profiles: applied where they fit, passed over where they don't."""

from __future__ import annotations

import io
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from beam_job.images.pixels import decode
from beam_job.images.pixels import profiles as applied
from tests import images, profiles
from tests.images import COLOURS, Colour

WIDE = {
    "Display P3": (profiles.DISPLAY_P3, 2.2),
    "Adobe RGB": (profiles.ADOBE_RGB, 2.19921875),
    "gamma 1": (profiles.SRGB, 1.0),
}
FORMATS = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
}


def shown(colour: Colour, matrix: profiles.Matrix, gamma: float) -> Colour:
    """What a colour of those primaries and that gamma is in sRGB."""
    linear = np.clip(profiles.to_linear_srgb(matrix) @ (np.array(colour) / 255) ** gamma, 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.rint(255 * encoded).astype(int).tolist()
    return red, green, blue


def seen(data: bytes) -> np.ndarray:
    return np.array(images.quadrants(decode(data, 36, 40).array))


@pytest.mark.parametrize("name", WIDE)
@pytest.mark.parametrize("image_format", FORMATS)
@pytest.mark.parametrize("version", [2, 4])
def test_profiles_of_displays_are_applied(name: str, image_format: str, version: int) -> None:
    matrix, gamma = WIDE[name]
    profile = profiles.display(matrix, gamma, version=version)
    data = images.encode(images.picture(), image_format, icc_profile=profile, **FORMATS[image_format])
    expected = [shown(colour, matrix, gamma) for colour in COLOURS]
    assert np.abs(np.array(expected) - COLOURS).max() > 8
    np.testing.assert_allclose(seen(data), expected, atol=8 if image_format in ("JPEG", "AVIF") else 2)


def test_heic() -> None:
    pytest.importorskip("pillow_heif").register_heif_opener()
    matrix, gamma = WIDE["Display P3"]
    data = images.encode(images.picture(), "HEIF", quality=95, icc_profile=profiles.display(matrix, gamma))
    np.testing.assert_allclose(seen(data), [shown(colour, matrix, gamma) for colour in COLOURS], atol=14)


def test_jpeg_2000() -> None:
    matrix, gamma = WIDE["Adobe RGB"]
    profile = profiles.display(matrix, gamma)
    data = images.encode(images.picture(), "JPEG2000")
    header = data.index(b"jp2h") - 4
    colours = data.index(b"colr") - 4
    end = colours + int.from_bytes(data[colours : colours + 4], "big")
    box = struct.pack(">I4sBBB", 11 + len(profile), b"colr", 2, 0, 0) + profile
    size = int.from_bytes(data[header : header + 4], "big") + len(box) - (end - colours)
    with_profile = data[:header] + struct.pack(">I", size) + data[header + 4 : colours] + box + data[end:]
    np.testing.assert_allclose(seen(with_profile), [shown(colour, matrix, gamma) for colour in COLOURS], atol=2)


@pytest.mark.parametrize("mode", ["RGBA", "P", "16 bits"])
def test_other_kinds_of_png(mode: str) -> None:
    matrix, gamma = WIDE["Adobe RGB"]
    profile = profiles.display(matrix, gamma)
    expected = [shown(colour, matrix, gamma) for colour in COLOURS]
    if mode == "16 bits":
        whole = images.kinds()["png-rgb-16"].data
        content = b"iCCPname\0\0" + zlib.compress(profile)
        chunk = struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))
        data = whole[:33] + chunk + whole[33:]  # behind the header
    elif mode == "P":
        data = images.encode(images.picture().quantize(8, dither=Image.Dither.NONE), "PNG", icc_profile=profile)
    else:
        half = images.picture([(*colour, 128) for colour in COLOURS], "RGBA")
        data = images.encode(half, "PNG", icc_profile=profile)
        expected = [tuple(round(sample * 128 / 255 + 127) for sample in colour) for colour in expected]
    np.testing.assert_allclose(seen(data), expected, atol=3)


def test_grey() -> None:
    grey = images.picture([0, 60, 128, 255], "L")
    expected = [shown((value, value, value), profiles.SRGB, 1.0) for value in (0, 60, 128, 255)]
    for image in (grey, Image.merge("LA", [grey, Image.new("L", grey.size, 255)])):
        data = images.encode(image, "PNG", icc_profile=profiles.grey(1.0))
        np.testing.assert_allclose(seen(data), expected, atol=3)


@pytest.mark.parametrize("image_format", ["JPEG", "TIFF"])
def test_cmyk(image_format: str) -> None:
    image = images.picture(images.INKS, "CMYK")
    data = images.encode(image, image_format, icc_profile=profiles.printer())
    found = seen(data)
    assert np.ptp(found, axis=1).max() <= 3  # greys, as this printer prints everything
    assert np.abs(found[:3] - 119).max() < 30  # half of the light is left by two inks of three
    np.testing.assert_allclose(seen(images.encode(image, image_format)), images.INKS_ON_PAPER, atol=6)


def broken() -> dict[str, bytes]:
    whole = profiles.display(profiles.DISPLAY_P3, 2.2)
    return {
        "no profile": b"no profile at all" * 20,
        "cut": whole[:200],
        "of another space": profiles.printer(),
        "grey": profiles.grey(1.0),
        "a link": profiles.display(profiles.DISPLAY_P3, 2.2, kind=b"link"),
        "no tags": whole[:128] + bytes(4),
        "a tag beyond the end": whole.replace(
            whole[whole.index(b"rXYZ") : whole.index(b"rXYZ") + 12], b"rXYZ" + b"\x7f\0\0\0" * 2
        ),
        "huge": whole + bytes(5_000_000),
        "empty": b"",
    }


@pytest.mark.parametrize("kind", broken())
@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "TIFF"])
def test_a_profile_that_does_not_fit_is_passed_over(kind: str, image_format: str) -> None:
    data = images.encode(images.picture(), image_format, icc_profile=broken()[kind])
    plain = images.encode(images.picture(), image_format)
    np.testing.assert_array_equal(decode(data, 36, 40).array, decode(plain, 36, 40).array)


def test_srgb_changes_no_pixel() -> None:
    plain, named = (
        images.encode(images.photo(400, 300), "JPEG", **options) for options in ({}, {"icc_profile": profiles.srgb()})
    )
    np.testing.assert_array_equal(decode(plain, 32, 32).array, decode(named, 32, 32).array)


def test_parts_of_a_profile_that_are_not_all_there() -> None:
    profile = profiles.display(*WIDE["gamma 1"])
    plain = images.encode(images.picture(), "JPEG", quality=95)

    def with_parts(*parts: tuple[int, int, bytes]) -> bytes:
        made = b"".join(
            struct.pack(">BBH", 0xFF, 0xE2, 16 + len(part)) + b"ICC_PROFILE\0" + bytes([number, count]) + part
            for number, count, part in parts
        )
        return plain[:2] + made + plain[2:]

    expected = [shown(colour, *WIDE["gamma 1"]) for colour in COLOURS]
    first, second = profile[:300], profile[300:]
    for whole in (with_parts((1, 2, first), (2, 2, second)), with_parts((2, 2, second), (1, 2, first))):
        np.testing.assert_allclose(seen(whole), expected, atol=6)
    for lacking in (
        with_parts((1, 2, first)),
        with_parts((1, 3, first), (3, 3, second)),
        with_parts((0, 0, profile)),
        with_parts((1, 2, b""), (2, 2, profile)),
    ):
        np.testing.assert_array_equal(decode(lacking, 36, 40).array, decode(plain, 36, 40).array)


def test_it_is_applied_after_turning_and_resizing() -> None:
    matrix, gamma = WIDE["Display P3"]
    exif = Image.Exif()
    exif[0x0112] = 6
    data = images.encode(images.picture(), "PNG", icc_profile=profiles.display(matrix, gamma), exif=exif)
    red, green, blue, grey = (shown(colour, matrix, gamma) for colour in COLOURS)
    np.testing.assert_allclose(seen(data), [blue, red, grey, green], atol=2)


def test_transforms_are_kept_for_the_last_profiles_alone() -> None:
    data = [
        images.encode(images.picture(), "PNG", icc_profile=profiles.display(profiles.SRGB, 1 + number / 256))
        for number in range(40)
    ]
    with ThreadPoolExecutor(8) as pool:
        first = list(pool.map(lambda each: decode(each, 16, 16).array, data * 2))
    for number in range(40):
        np.testing.assert_array_equal(first[number], first[number + 40])
    assert len(applied._transforms) == applied._KEPT
    assert all(isinstance(key[0], bytes) and len(key[0]) == 16 for key in applied._transforms)


def test_one_transform_serves_many_threads() -> None:
    profile = profiles.display(*WIDE["Adobe RGB"])
    data = [images.encode(images.photo(200, 160, seed=seed), "PNG", icc_profile=profile) for seed in range(8)]
    alone = [decode(each, 64, 64).array for each in data]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda each: decode(each, 64, 64).array, data * 20))
    for number, found in enumerate(together):
        np.testing.assert_array_equal(found, alone[number % 8])


def test_adobe_rgb_that_exif_alone_names_is_not_applied() -> None:
    """As in browsers: without a profile, colours are sRGB."""
    exif = Image.Exif()
    exif.get_ifd(0x8769).update({0xA001: 65535, 0xA005: {1: "R03"}})
    file = io.BytesIO()
    images.picture().save(file, "JPEG", quality=95, exif=exif)
    np.testing.assert_allclose(seen(file.getvalue()), COLOURS, atol=4)
