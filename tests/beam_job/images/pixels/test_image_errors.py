"""What becomes of images over a limit, damaged images, other files, and files broken at random."""

from __future__ import annotations

import contextlib
import io
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile

from beam_job.images.pixels import ERRORS, MAX_PIXELS, ImageError, decode
from beam_job.images.pixels.formats import heif
from beam_job.images.pixels.image_error import described
from tests import images, profiles
from tests.images import HEIGHT, WIDTH
from tests.mutations import mutated
from tests.tiffs import COMPRESSIONS, tiff

KINDS = images.kinds()


@pytest.fixture(autouse=True)
def decoding_is_strict_again_afterwards() -> Iterator[None]:
    yield
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def code_of(data: bytes, accept_truncated: bool = False) -> str:
    """The error code that a file is refused with."""
    with pytest.raises(ImageError) as caught:
        decode(data, 32, 32, accept_truncated=accept_truncated)
    assert caught.value.code in ERRORS
    assert str(caught.value) == caught.value.message
    return caught.value.code


# Limits


def test_a_bomb_is_refused_from_its_header() -> None:
    data = images.bomb()
    assert len(data) < 10_000
    assert code_of(data) == "too_many_pixels"
    assert code_of(images.png_file(30_000, 30_000, depth=1, colour_type=0, compressed=b"")) == "too_many_pixels"


@pytest.mark.parametrize(
    ("image_format", "bytes_per_pixel"),
    [("JPEG", 12), ("PNG", 12), ("GIF", 12), ("BMP", 12), ("TIFF", 12), ("AVIF", 19), ("WEBP", 18), ("JPEG2000", 20)],
)
def test_the_pixel_limit_holds_for_every_format(image_format: str, bytes_per_pixel: int) -> None:
    """It is meant for pictures of 12 bytes per pixel while they are decoded, and lower for formats that take more."""
    data = images.encode(images.picture(), image_format)
    least = -(-WIDTH * HEIGHT * bytes_per_pixel // 12)
    assert decode(data, 8, 8, max_pixels=least).width == WIDTH
    with pytest.raises(ImageError) as caught:
        decode(data, 8, 8, max_pixels=least - 1)
    why = "" if bytes_per_pixel == 12 else f" for its format, which takes {bytes_per_pixel} bytes per pixel"
    assert str(caught.value) == f"The image has 64 x 48 pixels, over the limit of 3,071{why}."
    assert caught.value.code == "too_many_pixels"


def test_the_limit_can_be_raised_above_pillows_own() -> None:
    assert Image.MAX_IMAGE_PIXELS is not None
    width, height = 20_000, 10_000
    assert width * height > max(MAX_PIXELS, 2 * Image.MAX_IMAGE_PIXELS)
    data = images.encode(Image.new("L", (width, height)), "JPEG")
    assert code_of(data) == "too_many_pixels"
    assert decode(data, 8, 8, max_pixels=width * height).width == width


def test_a_progressive_jpeg_of_many_scans_is_refused() -> None:
    assert code_of(images.scan_bomb(101)) == "corrupt"
    assert decode(images.scan_bomb(20), 32, 32).width == WIDTH


def test_scan_markers_behind_the_picture_do_not_count() -> None:
    """A telephone's moving photo carries a film behind its JPEG, in which any bytes may stand."""
    data = images.encode(images.picture(), "JPEG", progressive=True)
    assert decode(data + b"\xff\xda" * 1000, 32, 32).width == WIDTH


# Files that are no images, or damaged


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"\n", "not_an_image"),
        (b"<!DOCTYPE html><html><body>404 <svg></svg></body></html>", "not_an_image"),
        (b"hello, I am a text", "not_an_image"),
        (bytes(1000), "not_an_image"),
        (b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isommp42" + bytes(100), "not_an_image"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100), "not_an_image"),
        (b"%PDF-1.7\n", "unsupported_format"),
        (b"8BPS\x00\x01" + bytes(100), "unsupported_format"),
        (b"\xff\x0a" + bytes(100), "unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
        (b"\xff\xd8\xff", "truncated"),
        (b"\x89PNG\r\n\x1a\n", "truncated"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "corrupt"),
        (b"GIF89a", "truncated"),
        (b"II*\x00" + bytes(100), "corrupt"),
        (b"BM" + bytes(100), "corrupt"),
    ],
)
def test_codes(data: bytes, code: str) -> None:
    assert code_of(data) == code
    assert code_of(data, accept_truncated=True) == code


def test_no_other_plug_in_of_pillow_is_asked() -> None:
    Image.init()  # now Pillow itself would read all of these
    for image_format in ("PPM", "PCX", "TGA", "ICO", "DDS", "EPS", "SGI"):
        image = images.picture().resize((16, 16))
        assert code_of(images.encode(image, image_format)) in {"unsupported_format", "not_an_image"}


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_plug_in_says_what_to_install(monkeypatch: pytest.MonkeyPatch, brand: bytes) -> None:
    monkeypatch.setattr(heif, "pillow_heif", None)
    file = b"\x00\x00\x00\x18ftyp" + brand + b"\x00\x00\x00\x00mif1heic" + bytes(100)
    with pytest.raises(ImageError, match="pip install pillow-heif") as caught:
        decode(file, 32, 32)
    assert caught.value.code == "unsupported_format"


def test_errors_keep_code_and_sentence_across_processes() -> None:
    with pytest.raises(ImageError) as caught:
        decode(b"", 8, 8)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (copy.code, str(copy)) == ("empty", "The file is empty.")


@pytest.mark.parametrize(
    ("image_format", "options", "tolerance"),
    [
        ("JPEG", {}, 1),
        ("JPEG", {"progressive": True}, 30),  # loses detail everywhere rather than its last rows
        ("PNG", {}, 1),
        ("GIF", {"interlace": False}, 1),
        ("BMP", {}, 1),
        ("TIFF", {}, 1),
    ],
)
def test_truncated_is_refused_or_on_request_accepted(
    image_format: str, options: dict[str, bool], tolerance: int
) -> None:
    data = images.encode(images.photo(400, 300), image_format, **options)
    cut = data[: len(data) * 3 // 4]
    assert code_of(cut) == "truncated"
    rows = slice(16, 32) if image_format == "BMP" else slice(0, 16)  # a bitmap begins at the bottom
    whole = decode(data, 32, 32).array[rows].astype(int)
    assert np.abs(decode(cut, 32, 32, accept_truncated=True).array[rows] - whole).mean() < tolerance
    assert code_of(cut) == "truncated"  # nothing stays switched on


@pytest.mark.parametrize("kind", ["webp", "webp-lossless", "webp-animated"])
def test_a_truncated_webp_has_nothing_to_show(kind: str) -> None:
    cut = KINDS[kind].data[:-10]
    assert code_of(cut) == code_of(cut, accept_truncated=True) == "truncated"


@pytest.mark.parametrize("kind", ["webp-lossless", "webp-alpha", "webp-animated"])
def test_a_webp_of_its_full_length_whose_picture_is_damaged_is_corrupt(kind: str) -> None:
    data = KINDS[kind].data
    assert code_of(data[:40] + bytes(len(data) - 40)) == "corrupt"


def test_nothing_is_made_up_for_a_picture_that_is_missing_altogether() -> None:
    data = KINDS["png-rgb"].data
    cut = data[: data.index(b"IDAT") + 6]
    assert code_of(cut) == code_of(cut, accept_truncated=True) == "truncated"


def test_accepting_truncated_files_in_one_thread_leaves_the_others_strict() -> None:
    data = images.encode(images.photo(640, 480), "JPEG")
    cut = data[: len(data) // 2]

    def attempt(accept: bool) -> str:
        try:
            decode(cut, 32, 32, accept_truncated=accept)
        except ImageError as error:
            return error.code
        return "decoded"

    wanted = [bool(turn % 2) for turn in range(200)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(attempt, wanted))
    assert found == ["decoded" if accept else "truncated" for accept in wanted]
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_running_out_of_memory_is_a_failure_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", no_memory)
    assert code_of(KINDS["png-rgb"].data) == "out_of_memory"


# Files broken at random


FILES = [made.data for made in KINDS.values()]
FILES += [
    tiff(np.asarray(images.photo(32, 24)), 2, compression=compression, planar=planar, tile=tile, rows_per_strip=5)
    for compression in COMPRESSIONS
    for planar in (False, True)
    for tile in (None, (16, 16))
]
FILES += [
    images.encode(images.photo(100, 80), "JPEG")[:-2],
    images.encode(images.photo(100, 80), "JPEG", progressive=True)[:-2] + b"trailer" * 9,
    images.encode(images.photo(100, 80), "PNG", icc_profile=profiles.display(profiles.DISPLAY_P3, 2.2)),
]
with contextlib.suppress(ImportError):
    FILES.append(images.heic().data)


def check_any_bytes(data: bytes, accept_truncated: bool) -> None:
    """Whatever the bytes: valid pixels, or a documented code. Any other exception fails the test."""
    try:
        pixels = decode(data, 16, 16, max_pixels=4_000_000, accept_truncated=accept_truncated)
    except ImageError as error:
        refusal = error
    else:
        assert pixels.array.shape == (16, 16, 3)
        assert pixels.array.dtype == np.uint8
        assert min(pixels.width, pixels.height) > 0
        return
    assert refusal.code in ERRORS
    assert str(refusal)


FUZZING = settings(suppress_health_check=list(HealthCheck))
mutated_files = st.randoms(use_true_random=False).map(lambda dice: mutated(dice, FILES))
any_bytes = given(data=mutated_files, accept_truncated=st.booleans())
quiet = pytest.mark.filterwarnings("ignore")


@quiet
@settings(FUZZING, max_examples=500)
@any_bytes
def test_mutated_files(data: bytes, accept_truncated: bool) -> None:
    check_any_bytes(data, accept_truncated)


@quiet
@pytest.mark.slow
@settings(FUZZING, max_examples=5_000)
@any_bytes
def test_many_mutated_files(data: bytes, accept_truncated: bool) -> None:
    check_any_bytes(data, accept_truncated)


def test_what_a_library_says_is_told_without_what_it_quotes():
    assert described(ValueError("bad\n\ttag b'secret' at é~ 5")) == "bad tag ... at ~ 5"
    assert described(ValueError("x" * 101)) == "x" * 100
    assert described(ValueError()) == described(ValueError(" \n")) == "ValueError"
    assert described(ValueError("'" + "x" * 2_000)) == "'" + "x" * 99


@pytest.mark.parametrize(
    ("pillow", "name"),
    [("JPEG", "JPEG"), ("PNG", "PNG"), ("GIF", "GIF"), ("BMP", "BMP"), ("TIFF", "TIFF"), ("WEBP", "WebP"),
     ("JPEG2000", "JPEG 2000"), ("AVIF", "AVIF")],
)  # fmt: skip
def test_what_ends_too_early_is_called_by_its_name(pillow, name):
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)).save(file, pillow)
    whole = file.getvalue()
    with pytest.raises(ImageError, match=f"^The {name} ends before ") as caught:
        decode(whole[: len(whole) // 2], 8, 8)
    assert caught.value.code == "truncated"
