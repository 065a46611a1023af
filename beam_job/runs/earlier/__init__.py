"""What earlier runs left, and what is new beside it."""
