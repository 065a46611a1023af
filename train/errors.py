"""Errors with a message for the user: one sentence with the reason and a remedy."""


class TrainError(ValueError):
    """A command that is refused: its options or its input are wrong."""


class StoppedError(RuntimeError):
    """Work that cannot go on: the disk is full, or the loss is not a number."""
