"""The model directory, written and read again."""
