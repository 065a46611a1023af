"""Files on every file system that Beam knows."""
