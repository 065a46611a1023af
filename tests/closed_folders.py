"""Folders that this account may not read, as the system says so of other accounts' folders; tests may run as root."""

import os
from contextlib import ExitStack
from unittest import mock


def closed(*folders, refused=("listdir", "lstat", "stat")):
    """Until the context ends, nothing in these folders can be listed or looked at."""
    names = set(map(str, folders))

    def refusing(name, function):
        def called(path, *args, **more):
            looked_at = str(path)  # a number, where it is an open file's
            if (looked_at if name == "listdir" else os.path.dirname(looked_at)) in names:
                raise PermissionError(13, "Permission denied", path)
            return function(path, *args, **more)

        return called

    stack = ExitStack()
    for name in refused:
        stack.enter_context(mock.patch.object(os, name, refusing(name, getattr(os, name))))
    return stack
