"""Where image URIs come from: globs over images, and lists of URIs."""

from collections.abc import Sequence

import apache_beam as beam
from apache_beam.io import ReadAllFromText, fileio
from apache_beam.io.filesystems import FileSystems


class ReadUris(beam.PTransform):
    """Reads image URIs, duplicates included.

    Args:
      images: globs over image files.
      lists: text files with one URI a line; blank lines are passed over.
    """

    def __init__(self, images: Sequence[str], lists: Sequence[str]) -> None:
        super().__init__()
        self._images = images
        self._lists = lists

    def expand(self, pbegin: beam.pvalue.PBegin) -> beam.PCollection[str]:
        found = (
            pbegin
            | "Globs" >> beam.Create(self._images)
            | "MatchImages" >> fileio.MatchAll()
            | "Paths" >> beam.Map(lambda match: match.path).with_output_types(str)
        )
        listed = (
            pbegin
            | "Lists" >> beam.Create(self._lists)
            | "ReadLines" >> ReadAllFromText()
            | "Strip" >> beam.Map(str.strip).with_output_types(str)
            | "DropBlankLines" >> beam.Filter(bool)
        )
        return (found, listed) | beam.Flatten()


def check_images(glob: str) -> None:
    """Raises ``ValueError`` where no image matches a glob."""
    if not any(result.metadata_list for result in _match(glob)):
        raise ValueError(f"--images {glob}: no image matches.")


def check_list(path: str) -> None:
    """Raises ``ValueError`` where a list of URIs is missing, is not text, or holds nothing."""
    try:
        with FileSystems.open(path) as file:
            while line := file.readline():
                if line.decode("utf-8").strip():
                    return
    except UnicodeDecodeError as error:
        raise ValueError(f"--uris {path}: this is not text in UTF-8; it takes files with one image URI a line.") from error
    except Exception as error:  # file systems raise what they like
        raise ValueError(f"--uris {path}: the list cannot be read ({error}).") from error
    raise ValueError(f"--uris {path}: the list holds no URI.")


def _match(glob: str) -> list:
    try:
        return FileSystems.match([glob], limits=[1])
    except Exception as error:
        raise ValueError(f"--images {glob}: cannot be listed ({error}).") from error
