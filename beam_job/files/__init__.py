"""Files that others may write, too."""
