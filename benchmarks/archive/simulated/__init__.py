"""A simulated archive: its photos, and the disk or the bucket that has them."""
