"""The job over a simulated archive, from a thousand photos to a million: ``python -m benchmarks.archive --help``."""
