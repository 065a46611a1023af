"""Batch image captioning on Apache Beam: image URIs in, JSONL captions out."""

__version__ = "0.1.0"
