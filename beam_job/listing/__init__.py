"""What is to be captioned: image URIs from globs and lists."""
