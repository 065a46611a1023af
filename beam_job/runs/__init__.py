"""The output folder: what runs write, and what later runs read."""
