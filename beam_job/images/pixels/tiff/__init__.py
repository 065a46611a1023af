"""TIFF files to pictures."""
