"""Standard input, output and error of a program, which works in whatever state they are.

    streams.prepare()  # first of all
    streams.say("5 images: 5 captioned")
    streams.finish()  # last of all

They may be closed, full, a pipe that nobody reads, or have an encoding that lacks some characters.
"""

import errno
import io
import os
import re
import sys
from collections.abc import Callable
from typing import NoReturn, TextIO

# Control characters, line ends, surrogates (bytes of names that are not UTF-8), and what changes the direction of the
# text around it.
_NOT_SHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def prepare() -> None:
    """Opens closed streams, and makes Python read file names as UTF-8 in every locale.

    A closed descriptor below 3 would be reused for the next opened file, and TensorFlow's messages would go into it.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            _discard(descriptor)
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    if sys.getfilesystemencoding() != "utf-8":
        _start_again_in_utf8()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def run(main: Callable[[], int]) -> NoReturn:
    """Runs the main function of a small program, and ends the process with the status that it returns."""
    prepare()
    try:
        status = main()
    finally:
        finish()
    sys.exit(status)


def _start_again_in_utf8() -> None:
    """The encoding of names cannot be changed once the interpreter runs. What is printed keeps that of the locale."""
    encoding = os.environ.get("PYTHONIOENCODING") or sys.stdout.encoding
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": encoding}  # for child processes, too
    os.execve(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]], environment)


def escaped(text: str) -> str:
    """The text with characters escaped, as Python writes them, that would control a terminal or break a line."""
    return _NOT_SHOWN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def show(line: str) -> None:
    """Prints a line on standard output."""
    write(sys.stdout, f"{line}\n")


def say(line: str) -> None:
    """Prints a line on standard error."""
    write(sys.stderr, f"{line}\n")


def write(stream: TextIO, text: str) -> None:
    """Writes to a standard stream. If that fails, this and all later output is dropped."""
    try:
        stream.write(text)
        if stream is not sys.stdout:
            stream.flush()
    except OSError as error:
        _give_up(stream, text, error)


def finish() -> None:
    """Flushes the streams, so that the interpreter does not complain at its end if that fails."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError as error:
            _give_up(stream, "", error)


def fall_back(descriptor: int | None) -> None:
    """Names the descriptor that takes standard error's place when whoever reads it has died; ``None``: no other."""
    global _fallback
    _fallback = descriptor


_fallback: int | None = None


def last_words(descriptor: int, text: str) -> None:
    """Writes to a descriptor of standard error, or else to the one that takes its place."""
    for tried in (descriptor, _fallback):
        if tried is not None:
            try:
                os.write(tried, text.encode(errors="backslashreplace"))
            except OSError:
                continue
            return


def _give_up(stream: TextIO, text: str, error: OSError) -> None:
    if stream is sys.stderr and _fallback is not None:
        os.dup2(_fallback, stream.fileno())
        fall_back(None)
        write(stream, text)
        return
    _discard(stream.fileno())
    if stream is sys.stdout and error.errno != errno.EPIPE:  # who reads no further wants no more
        say(f"beam_job: standard output cannot be written: {error.strerror}")


def _discard(descriptor: int) -> None:
    """Makes what is written to it go nowhere."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)
    os.set_inheritable(descriptor, True)
