"""The input images of a run: image URIs from globs and lists."""
