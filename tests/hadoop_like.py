"""File systems like Hadoop's: files can be seen while they are written, and none is put in the place of another."""

import os

from apache_beam.io.filesystem import BeamIOError, FileMetadata
from apache_beam.io.localfilesystem import LocalFileSystem


class HadoopLike(LocalFileSystem):
    """``like-hadoop:///folder/file`` lies on the local disk; ``on_write`` is called while a file is open."""

    on_write = staticmethod(lambda path: None)

    @classmethod
    def scheme(cls):
        return "like-hadoop"

    @classmethod
    def local(cls, path):
        return path.removeprefix(f"{cls.scheme()}://")

    def _url_dirname(self, url):
        return f"{self.scheme()}://{os.path.dirname(self.local(url))}"

    def split(self, path):
        head, tail = os.path.split(self.local(path))
        return f"{self.scheme()}://{head}", tail

    def join(self, base, *paths):
        return "/".join([base.rstrip("/"), *paths])

    def mkdirs(self, path):
        super().mkdirs(self.local(path))

    def exists(self, path):
        return super().exists(self.local(path))

    def _list(self, path):
        for found in super()._list(self.local(path)):
            yield FileMetadata(f"{self.scheme()}://{found.path}", found.size_in_bytes)

    def metadata(self, path):
        return FileMetadata(path, os.path.getsize(self.local(path)))

    def open(self, path, *arguments, **more):
        return super().open(self.local(path), *arguments, **more)

    def create(self, path, *arguments, **more):
        file = super().create(self.local(path), *arguments, **more)
        type(self).on_write(self.local(path))
        return file

    def rename(self, sources, destinations):
        for source, destination in zip(sources, destinations, strict=True):
            if self.exists(destination):
                raise BeamIOError("Rename operation failed", {(source, destination): FileExistsError(destination)})
            os.rename(self.local(source), self.local(destination))

    def delete(self, paths):
        for path in paths:
            os.remove(self.local(path))


class Rigid(HadoopLike):
    """Renames nothing."""

    @classmethod
    def scheme(cls):
        return "rigid"

    def rename(self, sources, destinations):
        raise BeamIOError("Rename operation failed", {sources[0]: NotImplementedError()})
