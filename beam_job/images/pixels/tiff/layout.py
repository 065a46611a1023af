"""The layouts of samples in a TIFF that are supported.

The supported layouts are listed here; every other one is `unsupported_format`, never a guess.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from beam_job.images.pixels.image_error import ImageError
from beam_job.images.pixels.tiff import tags
from beam_job.images.pixels.tiff.compression import BYTE_WISE, FAX, JPEG, NONE, PREDICTED

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB, ICCLAB = 0, 1, 2, 3, 5, 6, 8, 9
_COLOURS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, RGB: 3, PALETTE: 1, CMYK: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}
GREYS = (WHITE_IS_ZERO, BLACK_IS_ZERO)
_UNSIGNED, _SIGNED, _FLOAT = 1, 2, 3
_ASSOCIATED, _UNASSOCIATED, _COREL = 1, 2, 999  # kinds of alpha
_INKS_ARE_CMYK = 1
_PREDICTORS = (1, 2, 3)  # none, differences, differences of floats' bytes


@dataclass(frozen=True)
class Layout:
    """The meaning of a picture's samples, and where they are stored."""

    width: int
    height: int
    photometric: int
    bits: int  # of a sample
    form: int  # of a sample: unsigned, signed or float
    samples: int  # of a pixel
    alpha: int | None  # which of them is alpha
    premultiplied: bool
    compression: int
    predictor: int
    planar: bool  # each sample has a plane of its own
    order: str  # of the bytes of a sample
    tiled: bool
    segment_width: int  # pixels of a strip or tile
    segment_height: int
    across: int  # segments side by side
    down: int

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Of a sample of whole bytes."""
        kind = {_UNSIGNED: "u", _SIGNED: "i", _FLOAT: "f"}[self.form]
        return np.dtype(f"{kind}{self.stored_bits // 8}")

    @property
    def stored_dtype(self) -> np.dtype[np.generic]:
        """The same, in the byte order of the file."""
        return np.dtype(f"{self.order}{self.dtype.kind}{self.dtype.itemsize}")

    @property
    def stored_bits(self) -> int:
        """Bits of a sample after decompression."""
        return 8 if self.compression in (JPEG, *FAX) else self.bits

    @property
    def stride(self) -> int:
        """Bytes of a strip's or tile's row."""
        return -(-self.segment_width * (1 if self.planar else self.samples) * self.stored_bits // 8)

    @property
    def colours(self) -> int:
        return _COLOURS[self.photometric]

    @property
    def wide(self) -> bool:
        """Whether the range of the samples is unspecified."""
        return self.form != _UNSIGNED or self.bits > 16

    @property
    def mode(self) -> str:
        """Pillow's mode of the picture in 8 bits."""
        if self.photometric in GREYS:
            return "L" if self.alpha is None else "RGBa" if self.premultiplied else "LA"
        if self.photometric in (CIELAB, ICCLAB):
            return "LAB"
        if self.photometric == CMYK:
            return "CMYK"
        return "RGB" if self.alpha is None else "RGBa" if self.premultiplied else "RGBA"


def layout_of(directory: tags.Directory) -> Layout:
    """The layout from a directory's tags.

    Raises:
      ImageError: `unsupported_format` for every layout that is not known to be read correctly.
    """
    width, height = directory.number(tags.WIDTH, 0), directory.number(tags.LENGTH, 0)
    if width < 1 or height < 1:
        raise ImageError("corrupt", "The TIFF is damaged: its picture has no size.")
    photometric = directory.number(tags.PHOTOMETRIC, -1)
    samples = directory.number(tags.SAMPLES, 1)
    if photometric not in _COLOURS:
        raise _unread(f"photometric interpretation {photometric}")
    extra = samples - _COLOURS[photometric]
    if extra < 0:
        raise ImageError("corrupt", "The TIFF is damaged: it has fewer samples than its colours need.")
    bits = _same(directory, tags.BITS, samples)
    form = _same(directory, tags.SAMPLE_FORMAT, samples)
    kinds = directory.numbers(tags.EXTRA_SAMPLES)[:extra]
    if not kinds and photometric == RGB and extra == 1:
        kinds = (_UNASSOCIATED,)  # as those mean it who leave the tag out
    alphas = [number for number, kind in enumerate(kinds) if kind in (_ASSOCIATED, _UNASSOCIATED, _COREL)]
    compression = directory.number(tags.COMPRESSION, NONE)
    predictor = directory.number(tags.PREDICTOR, 1) if compression in PREDICTED else 1
    planar = directory.number(tags.PLANAR, 1) == 2 and samples > 1
    tiled = tags.TILE_WIDTH in directory.entries
    segment_width = directory.number(tags.TILE_WIDTH, 0) if tiled else width
    segment_height = directory.number(tags.TILE_LENGTH if tiled else tags.ROWS_PER_STRIP, 0 if tiled else height)
    if not tiled:
        segment_height = min(segment_height, height)
    if segment_width < 1 or segment_height < 1:
        raise ImageError("corrupt", "The TIFF is damaged: its strips or tiles have no size.")
    layout = Layout(
        width,
        height,
        photometric,
        bits,
        form,
        samples,
        _COLOURS[photometric] + alphas[0] if alphas else None,
        bool(alphas) and kinds[alphas[0]] == _ASSOCIATED,
        compression,
        predictor,
        planar,
        directory.order,
        tiled,
        segment_width,
        segment_height,
        -(-width // segment_width),
        -(-height // segment_height),
    )
    _check_supported(layout, extra)
    if photometric == CMYK and directory.number(tags.INK_SET, _INKS_ARE_CMYK) != _INKS_ARE_CMYK:
        raise _unread("inks other than CMYK")
    return layout


def _check_supported(layout: Layout, extra: int) -> None:
    """The list of what is read; tests hold it against samples of every kind."""
    grey_alone = layout.photometric in GREYS and layout.samples == 1
    if layout.form == _UNSIGNED:
        known = layout.bits <= 16 or (layout.bits == 32 and grey_alone)
    elif layout.form == _SIGNED:
        known = layout.bits in (8, 16, 32) and grey_alone
    else:
        known = layout.form == _FLOAT and layout.bits in (16, 32, 64) and grey_alone
    if not known:
        forms = {_UNSIGNED: "unsigned", _SIGNED: "signed", _FLOAT: "floating-point"}
        raise _unread(f"{forms.get(layout.form, 'complex or undefined')} samples of {layout.bits} bits in its colours")
    if layout.photometric == PALETTE and layout.bits not in (1, 2, 4, 8):
        raise _unread(f"a palette of {layout.bits} bits")
    if layout.photometric in (CMYK, CIELAB, ICCLAB) and (layout.bits not in (8, 16) or layout.alpha is not None):
        raise _unread(f"{layout.bits} bits per sample, or alpha, in CMYK or Lab")
    if layout.photometric in (WHITE_IS_ZERO, PALETTE) and layout.alpha is not None:
        raise _unread("alpha in a palette or where white is zero")
    if layout.photometric == YCBCR and layout.compression != JPEG:
        raise _unread("YCbCr samples that are not compressed as JPEG")
    if layout.compression == JPEG:
        jpeg = layout.bits == 8 and not layout.planar and not extra
        if not jpeg or layout.photometric not in (*GREYS, RGB, CMYK, YCBCR):
            raise _unread("JPEG compression of such samples")
    elif layout.compression in FAX:
        if layout.bits != 1 or layout.samples != 1:
            raise _unread("fax compression of such samples")
    elif layout.compression != NONE and layout.compression not in BYTE_WISE:
        raise _unread(f"compression {layout.compression}")
    floating = layout.form == _FLOAT
    if layout.predictor not in _PREDICTORS or (layout.predictor == 3 and not floating):
        raise _unread(f"predictor {layout.predictor}")
    if layout.predictor == 2 and layout.bits not in (8, 16, 32):
        raise _unread(f"differences of {layout.bits} bits")


def _unread(what: str) -> ImageError:
    return ImageError("unsupported_format", f"TIFFs with {what} are not supported: convert the image to PNG.")


def _same(directory: tags.Directory, tag: int, samples: int) -> int:
    """The one number that a tag has for every sample."""
    found = directory.numbers(tag, (1,))
    if len(set(found)) > 1 or not 1 <= found[0] <= 64:
        raise _unread("samples of several kinds")
    if len(found) not in (1, samples) and len(found) < samples:
        raise ImageError("corrupt", "The TIFF is damaged: it does not say what each sample is.")
    return found[0]
