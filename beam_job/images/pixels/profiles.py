"""Converts pictures of the model's size from their ICC colour profiles to sRGB.

Every profile is applied that fits its picture's colours: of a display, a camera, a scanner or a printer, in RGB, grey
or CMYK. A profile that does not fit, is broken, or is unreasonably large is ignored, as in browsers.
"""

from __future__ import annotations

import hashlib
import io
import threading
import zlib
from collections import OrderedDict

import numpy as np
from PIL import Image, ImageCms

_LARGEST = 4_000_000  # bytes of a profile; those of printers have one or two million
_KEPT = 32  # transforms; an archive knows a few profiles
_SPACES = {"RGB": b"RGB ", "L": b"GRAY", "CMYK": b"CMYK"}
_CLASSES = (b"mntr", b"scnr", b"prtr", b"spac")
_UNSEEN = 1.0  # mean difference of 255 that a transform may make and still count as none

_transforms: OrderedDict[tuple[bytes, str], ImageCms.ImageCmsTransform | None] = OrderedDict()
_lock = threading.Lock()


def to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts a picture to sRGB; returns it unchanged if the profile is sRGB or cannot be applied to it.

    Args:
      image: mode L, RGB or CMYK.

    Returns:
      Mode RGB if the profile was applied.
    """
    transform = _transform(profile, image.mode)
    if transform is None:
        return image
    try:
        return transform.apply(image)
    except (ValueError, RuntimeError):
        return image


def of_png(chunk: bytes) -> bytes | None:
    """The profile in a PNG's iCCP chunk; None if it is broken or too large."""
    _, _, rest = chunk[:81].partition(b"\0")
    if rest[:1] != b"\0":
        return None
    compressed = chunk[chunk.index(b"\0") + 2 :]
    try:
        decompressor = zlib.decompressobj()
        profile = decompressor.decompress(compressed, _LARGEST)
    except zlib.error:
        return None
    return profile if decompressor.eof else None


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The way from a profile to sRGB, kept by the profile's digest."""
    if len(profile) > _LARGEST or profile[12:16] not in _CLASSES or profile[16:20] != _SPACES.get(mode):
        return None
    key = hashlib.blake2b(profile, digest_size=16).digest(), mode
    with _lock:
        if key in _transforms:
            _transforms.move_to_end(key)
            return _transforms[key]
    made = _made(profile, mode)  # two threads may make it; one is kept
    with _lock:
        _transforms[key] = made
        if len(_transforms) > _KEPT:
            _transforms.popitem(last=False)
    return made


def _made(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, mode, "RGB")
        if _changes_nothing(transform, mode):
            return None
    except Exception:  # whatever is wrong with it, the picture is still worth a caption
        return None
    return transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Whether the profile is sRGB, or a grey of the same curve, by whatever name."""
    steps = np.linspace(0, 255, 9).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)
    chart = Image.fromarray(colours).convert(mode)
    before, after = (np.asarray(each.convert("RGB")).astype(int) for each in (chart, transform.apply(chart)))
    return float(np.abs(after - before).mean()) < _UNSEEN
