"""Copies records of earlier runs for images whose version or name is new but whose bytes are the same."""

import json

from apache_beam.io.filesystems import FileSystems

from beam_job.records import CopiedCaption, Unchanged


class LostRecordError(RuntimeError):
    """A record of an earlier run is no longer where it was when this run began."""


def copy_caption(found: Unchanged) -> CopiedCaption:
    """The record that an earlier run wrote for the same bytes, with the current name, version and carried fields.

    Raises:
      LostRecordError: the record is gone; starting the job again captions the image.
    """
    place = found.caption
    try:
        with FileSystems.open(place.path) as file:
            file.seek(place.offset)
            record = json.loads(file.read(place.length))
        if record["uri"] != (place.uri or found.uri):
            raise ValueError("it belongs to another image")
    except Exception as error:  # file systems raise what they like
        raise LostRecordError(
            f"{place.path} was changed while this run read it, at byte {place.offset} ({error}); start the job again."
        ) from error
    return CopiedCaption({**record, "uri": found.uri, "version": found.version, **(found.carried or {})})
