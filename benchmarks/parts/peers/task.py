"""What each of the compared programs is to do: which photos, which model, and where its output goes."""

import argparse
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """The command line of a compared program.

    Attributes:
      photos: a list of the photos' paths, one a line.
      output: the folder for captions.
      ends: the file that tells when each batch ended.
      model: the exported model directory.
      height, width: of the model's images in pixels.
      batch_size: images that the model takes at a time.
    """

    photos: Path
    output: Path
    ends: Path
    model: Path
    height: int
    width: int
    batch_size: int

    @classmethod
    def from_command_line(cls) -> "Task":
        parser = argparse.ArgumentParser()
        for field in fields(cls):
            parser.add_argument(f"--{field.name}", required=True, type=int if field.type is int else Path)
        return cls(**vars(parser.parse_args()))

    def to_arguments(self) -> list[str]:
        return [f"--{field.name}={getattr(self, field.name)}" for field in fields(self)]

    def paths(self) -> list[str]:
        """The photos' paths, in the list's order."""
        return self.photos.read_text().splitlines()
