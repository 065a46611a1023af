"""Photos and captions."""
