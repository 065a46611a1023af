"""A program that embeds this package may change settings of Pillow: nothing changes here, nor for the program."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import BmpImagePlugin, GifImagePlugin, Image, ImageFile, PngImagePlugin, TiffImagePlugin

from beam_job.images.pixels import ImageError, decode
from tests import images
from tests.beam_job.images.pixels.formats.test_png import chunk, with_chunks

KINDS = images.kinds()
PHOTO = images.photo(400, 300)
CUT = {
    image_format: images.encode(PHOTO, image_format, **options)
    for image_format, options in {"JPEG": {}, "PNG": {}, "GIF": {}, "BMP": {}, "TIFF": {}, "WEBP": {}}.items()
}
SETTINGS = [
    (ImageFile, "LOAD_TRUNCATED_IMAGES", True),
    (ImageFile, "MAXBLOCK", 512),
    (Image, "MAX_IMAGE_PIXELS", 100),
    (Image, "MAX_IMAGE_PIXELS", None),
    (PngImagePlugin, "MAX_TEXT_CHUNK", 1),
    (PngImagePlugin, "MAX_TEXT_MEMORY", 1),
    (GifImagePlugin, "LOADING_STRATEGY", GifImagePlugin.LoadingStrategy.RGB_ALWAYS),
    (BmpImagePlugin, "USE_RAW_ALPHA", True),
    (TiffImagePlugin, "READ_LIBTIFF", True),
]


def outcome(data: bytes) -> str | bytes:
    try:
        return decode(data, 32, 32).array.tobytes()
    except ImageError as error:
        return error.code


def everything() -> Iterator[tuple[str, bytes]]:
    for name, made in KINDS.items():
        yield name, made.data
    for name, data in CUT.items():
        yield f"cut {name}", data[: len(data) * 3 // 4]
    whole = CUT["JPEG"]
    yield "JPEG, damaged", whole[:5000] + b"\xff\xc0" + whole[5002:]
    yield "PNG, damaged", CUT["PNG"][:5000] + bytes(100) + CUT["PNG"][5100:]
    yield "PNG, much text", with_chunks(chunk(b"tEXt", b"a\0" + bytes(10_000)))
    yield "JPEG 2000, cut", KINDS["jpeg2000"].data[:-300]


@pytest.mark.parametrize(("module", "name", "value"), SETTINGS)
def test_settings_of_the_host_change_nothing_here(
    monkeypatch: pytest.MonkeyPatch, module: object, name: str, value: object
) -> None:
    expected = {kind: outcome(data) for kind, data in everything()}
    monkeypatch.setattr(module, name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind, data in everything():
            assert outcome(data) == expected[kind], kind
    assert getattr(module, name) is value


def test_a_setting_from_before_the_import_changes_nothing() -> None:
    program = (
        "import sys; from PIL import ImageFile; ImageFile.LOAD_TRUNCATED_IMAGES = True\n"
        "from beam_job.images.pixels import ImageError, decode\n"
        "data = sys.stdin.buffer.read()\n"
        "try: decode(data, 32, 32)\n"
        "except ImageError as error: print(error.code, ImageFile.LOAD_TRUNCATED_IMAGES)\n"
    )
    cut = CUT["JPEG"][: len(CUT["JPEG"]) // 2]
    done = subprocess.run([sys.executable, "-c", program], input=cut, capture_output=True, check=True, timeout=600)
    assert done.stdout.split() == [b"truncated", b"True"]


def test_the_import_changes_nothing_for_the_host() -> None:
    program = (
        "from PIL import Image, ImageFile; Image.init()\n"
        "before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, dict(Image.OPEN), list(Image.ID)\n"
        "import beam_job.images.pixels\n"
        "after = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS, dict(Image.OPEN), list(Image.ID)\n"
        "assert before == after\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=600)


def test_no_warning_comes_from_odd_files() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in (images.encode(PHOTO, "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff"), *CUT.values()):
            assert np.asarray(decode(data, 32, 32).array).shape == (32, 32, 3)
