"""Errors that people can do something about; each message is one sentence that says why and what to do."""


class TrainError(ValueError):
    """A command that cannot be carried out as it was given."""


class StoppedError(RuntimeError):
    """Work that cannot go on: the disk is full, or the loss is not a number."""
