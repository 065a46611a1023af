"""What a run leaves, and what the next one knows."""
