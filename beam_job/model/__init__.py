"""From pixels to captions."""
