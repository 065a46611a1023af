"""Turns an image file's bytes into pixels of the model's size, for training and for captioning.

from beam_job.images.pixels import decode
"""

from beam_job.images.pixels.decode_image import MAX_PIXELS, MIN_SCALE, decode
from beam_job.images.pixels.image_error import ERRORS, ImageError
from beam_job.images.pixels.resize import RESIZE, Pixels

__all__ = ["ERRORS", "MAX_PIXELS", "MIN_SCALE", "RESIZE", "ImageError", "Pixels", "decode"]
