"""Folders of earlier runs, broken at random: what torn copies, other programs and hostile people leave there."""

import json
import os

from tests.earlier_runs import earlier_run

_NAMES = ["../canary/captions-1.jsonl", "../../canary.jsonl", "/etc/passwd", "captions-1.jsonl/../../x", "gs://other/x"]
_NAMES += [
    "",
    ".",
    "..",
    "captions-*.jsonl",
    "captions-\n.jsonl",
    "captions-\ud800.jsonl",
    "captions-1.jsonl\0",
    "C:\\x",
]
_VALUES = [
    None,
    True,
    -1,
    0,
    1e308,
    10**18,
    10**400,
    "",
    "5",
    "a" * 5000,
    "\ud800",
    "\0\x1b[31m\n",
    [],
    {},
    [[]],
    [None],
]
_VALUES += [{"a": 1}, [{"name": "../x"}], [{"name": "captions-1.jsonl", "records": "many", "sha256": 5}] * 3]
_TEXTS = [b"", b"\n\n\n", b"\xff\xfe\x00", b"null", b"[]", b'"x"', b"{", b"NaN", b"\x00" * 100, b'{"id": Infinity}']
_TEXTS += [
    b"[" * 100_000,
    b'{"a":' * 5000 + b"1" + b"}" * 5000,
    b"1" * 5000,
    b"\xef\xbb\xbf{}",
    b"%PDF-1.7",
    b"a,b\n1,2\n",
]


def broken_run(dice, folder, canary, **run):
    """Writes a run's folder in which one to three things are wrong; ``canary`` is a file outside it, of a record."""
    earlier_run(folder, finished=dice.random() < 0.8, **run)
    for _ in range(dice.randint(1, 3)):
        path = dice.choice(sorted(folder.iterdir()) or [folder / "run.json"])
        dice.choice([_value, _value, _value, _bytes, _text, _line, _file])(dice, path, canary)


def _value(dice, path, _):
    """Another value, a strange name or nothing at a random place of a random document in the file."""
    if not _is_plain(path):
        return
    documents = path.read_bytes().split(b"\n")
    number = dice.randrange(len(documents))
    try:
        document = json.loads(documents[number])
    except (ValueError, RecursionError):
        return
    at = document
    while isinstance(at, (dict, list)) and at:
        key = dice.choice(sorted(at)) if isinstance(at, dict) else dice.randrange(len(at))
        if isinstance(at[key], (dict, list)) and at[key] and dice.random() < 0.7:
            at = at[key]
            continue
        if dice.random() < 0.2:
            del at[key]
        else:
            at[key] = dice.choice(_NAMES) if key in ("name", "id", "output") else dice.choice(_VALUES)
        break
    documents[number] = json.dumps(document).encode()
    path.write_bytes(b"\n".join(documents))


def _bytes(dice, path, _):
    """Some bytes are others, or the file ends early."""
    if not _is_plain(path) or not path.stat().st_size:
        return
    data = bytearray(path.read_bytes())
    if dice.random() < 0.5:
        del data[dice.randrange(len(data)) :]
    else:
        for _ in range(dice.randint(1, 9)):
            data[dice.randrange(len(data))] = dice.randrange(256)
    path.write_bytes(data)


def _text(dice, path, _):
    if _is_plain(path):
        path.write_bytes(dice.choice(_TEXTS))


def _line(dice, path, _):
    """A line that is no record among others that are."""
    if _is_plain(path):
        lines = path.read_bytes().split(b"\n")
        lines.insert(dice.randrange(len(lines) + 1), dice.choice([*_TEXTS, b"x" * (5 << 20)]))
        path.write_bytes(b"\n".join(lines))


def _file(dice, path, canary):
    """Something else than a file."""
    if not _is_plain(path):
        return
    path.unlink()
    kind = dice.randrange(5)
    if kind == 0:
        path.symlink_to(canary)
    elif kind == 1:
        path.symlink_to(path)
    elif kind == 2:
        path.mkdir()
    elif kind == 3:
        os.mkfifo(path)


def _is_plain(path):
    return path.is_file() and not path.is_symlink()
