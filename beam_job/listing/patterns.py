"""Glob patterns, matched folder by folder, so that only folders that can match are listed.

    patterns = Patterns(parse_object("photos/**/*.{jpg,png}"))
    photos = patterns.folder(patterns.start, "photos")
    patterns.file(photos, "cat.jpg")                              # True
    patterns.file(patterns.folder(photos, "2019"), "dog.png")     # True

``*`` and ``?`` match characters of a name, ``[ab]`` matches one of these characters, ``[!ab]`` and ``[^ab]`` any other
one, ``{a,b}`` either alternative, ``**`` anything including slashes, and ``**/`` any number of folders, including none.
All other characters match themselves, including backslashes. Brackets and braces before the first wildcard also match
themselves if a file or folder of that name exists.
"""

import fnmatch
import os
import re
from collections.abc import Callable, Sequence
from itertools import islice, product
from typing import NamedTuple, TypeAlias

_MOST = 1000  # patterns that one glob may stand for


class Segment(NamedTuple):
    """One name of a path, or a pattern of names; ``matches`` is ``None`` if ``text`` is to be matched literally."""

    text: str
    matches: Callable[[str], object] | None = None

    def match(self, name: str) -> bool:
        return name == self.text if self.matches is None else self.matches(name) is not None

    def means(self, name: str) -> bool:
        """Whether it asks for ``name`` even if such names are left out: by the whole name, or by its leading dot."""
        return self.matches is None or (name.startswith(".") and self.text.startswith("."))


ANY_FOLDERS = Segment("**", lambda name: True)
"""Any number of folders, none included."""

Exists: TypeAlias = Callable[[Sequence[str], bool], bool]
"""Whether there is a folder at a path of names; a file, where the second argument is true."""

States: TypeAlias = frozenset[tuple[int, int]]
"""How far patterns are matched: the numbers of patterns, each with the number of its segment that comes next."""


def parse_path(glob: str, *, folders: bool = False) -> list[list[Segment]]:
    """The patterns of a glob over local files, from the root on; ``~`` is a home folder. Raises ``ValueError``.

    ``folders``: it may also name a folder.
    """
    if glob.endswith("/"):
        return []  # folders only
    if not os.path.lexists(glob.partition("/")[0]):
        glob = os.path.expanduser(glob)
    base = [] if glob.startswith("/") else _names(os.getcwd())

    def exists(names: Sequence[str], last: bool) -> bool:
        path = "/" + "/".join([*base, *names])
        return (os.path.isdir(path) != last or (folders and last)) and os.path.lexists(path)

    start, rest = _start(_names(glob), exists)
    patterns = []
    for choice in _choices("/".join(rest)):
        if choice.endswith("/"):
            continue
        if not start:  # the glob starts with the choice, as {/photos,~/pictures}/*.jpg does
            choice = os.path.expanduser(choice)
        head = [*map(Segment, [] if not start and choice.startswith("/") else base), *start]
        patterns += [[*_without_parents(head), *tail] for tail in _spread(_names(choice))]
    return _bounded(patterns)


def parse_object(glob: str, exists: Exists = lambda names, last: False) -> list[list[Segment]]:
    """The patterns of a glob over the names of a bucket's objects; raises ``ValueError``."""
    if not glob or glob.endswith("/"):
        return []  # folders only
    start, rest = _start(glob.split("/"), exists)
    tails = [tail for choice in _choices("/".join(rest)) for tail in _spread(choice.split("/") if rest else [])]
    return _bounded([[*start, *tail] for tail in tails])


def parse_name(glob: str) -> list[Segment]:
    """The patterns of a single name; raises ``ValueError``."""
    return [_segment(choice) for choice in _choices(glob)]


def _start(texts: Sequence[str], exists: Exists) -> tuple[list[Segment], Sequence[str]]:
    """The segments before the first wildcard, and the texts of the others."""
    start: list[Segment] = []
    for at, text in enumerate(texts):
        if not set(text) & set("*?[{"):
            start.append(Segment(text))
        elif set(text) & set("[{") and exists(texts[: at + 1], at + 1 == len(texts)):
            start.append(_segment(text, brackets=False))
            if start[-1].matches is not None:
                return start, texts[at + 1 :]
        else:
            return start, texts[at:]
    return start, []


def _names(path: str) -> list[str]:
    return [name for name in path.split("/") if name not in ("", ".")]


def _without_parents(head: list[Segment]) -> list[Segment]:
    """Resolves ``..`` where the folder before it is no link, so that a file has one name."""
    if any(segment.matches is not None for segment in head) or Segment("..") not in head:
        return head
    path = "/" + "/".join(segment.text for segment in head)
    if os.path.realpath(path) != os.path.realpath(os.path.abspath(path)):
        return head
    return [Segment(name) for name in _names(os.path.abspath(path))]


def _segment(text: str, *, brackets: bool = True) -> Segment:
    if text == "**":
        return ANY_FOLDERS
    if not set(text) & set("*?[" if brackets else "*?"):
        return Segment(text)
    pattern = text.replace("[^", "[!") if brackets else text.replace("[", "[[]")
    return Segment(text, re.compile(fnmatch.translate(pattern)).match)


def _choices(text: str) -> list[str]:
    """Each text that ``{a,b}`` stands for, nested ones too. Braces without a comma or a partner are characters."""
    done: list[str] = []
    pending = [text]
    while pending:
        _bounded([*done, *pending])
        text = pending.pop()
        group = next(filter(None, (_group(text, at) for at, character in enumerate(text) if character == "{")), None)
        if group is None:
            done.append(text)
        else:
            start, parts, end = group
            pending += [text[:start] + part + text[end:] for part in reversed(parts)]
    return done


def _group(text: str, start: int) -> tuple[int, list[str], int] | None:
    """The alternatives in the braces that open at ``start``, between the ends of the group."""
    depth, begin = 0, start + 1
    parts: list[str] = []
    for at in range(start, len(text)):
        if text[at] == "}" and depth == 1 and not parts:
            continue  # closes nothing, as in bash: {2019},{2020}
        depth += (text[at] == "{") - (text[at] == "}")
        if depth == 0 or (depth == 1 and text[at] == ","):
            parts.append(text[begin:at])
            begin = at + 1
        if depth == 0:
            return start, parts, at + 1
    return None


def _spread(texts: Sequence[str]) -> list[list[Segment]]:
    """Segments for one choice; several where ``**`` stands beside other characters."""
    ways = [_ways(text, last=at + 1 == len(texts)) for at, text in enumerate(texts)]
    return _bounded(
        [[_segment(text) for part in parts for text in part] for parts in islice(product(*ways), _MOST + 1)]
    )


def _ways(text: str, last: bool) -> list[list[str]]:
    """``a**b`` is ``a*b`` or ``a*/**/*b``, ``**b`` is ``**/*b``, and a last ``**`` is ``**/*``."""
    before, double, after = re.sub(r"\*{2,}", "**", text).partition("**")
    if not double:
        return [[text]]
    if not before and not after:
        return [["**", "*"] if last else ["**"]]
    deep = [["**", *way] for way in _ways(f"*{after}", last)]
    if not before:
        return deep
    return [*_ways(f"{before}*{after}", last), *([f"{before}*", *way] for way in deep)]


def _bounded(patterns: list) -> list:
    if len(patterns) > _MOST:
        raise ValueError(f"it expands to more than {_MOST:,} patterns; use fewer braces and **, or list the images")
    return patterns


class Patterns:
    """Several patterns that are matched together; a path that several of them match is found once."""

    def __init__(self, patterns: Sequence[Sequence[Segment]]) -> None:
        self._known: dict[States, States] = {}
        self._patterns = [pattern for pattern in patterns if pattern]
        self.start = self._closed({(number, 0) for number in range(len(self._patterns))})

    def folder(self, states: States, name: str, *, meant: bool = False) -> States:
        """The states within a folder; empty if no pattern leads into it.

        ``meant``: use only patterns that ask for the name even if such names are left out.
        """
        found = set()
        for number, at in states:
            segment = self._patterns[number][at]
            if segment is ANY_FOLDERS:
                if not meant:
                    found.add((number, at))
            elif at + 1 < len(self._patterns[number]) and segment.match(name) and (segment.means(name) or not meant):
                found.add((number, at + 1))
        return self._closed(found)

    def file(self, states: States, name: str, *, meant: bool = False) -> bool:
        """Whether a pattern matches the file; ``meant`` as for ``folder``."""
        last = (self._patterns[number][at] for number, at in states if at + 1 == len(self._patterns[number]))
        return any(segment.match(name) and (segment.means(name) or not meant) for segment in last)

    def passed(self, path: Sequence[str]) -> States:
        """The states at the end of a path, of the patterns that match nothing on it and do not start with ``**/``."""
        states = frozenset(state for state in self.start if self._patterns[state[0]][0] is not ANY_FOLDERS)
        for name in path:
            matched = {state[0] for state in states if self.file(frozenset({state}), name)}
            states = frozenset(state for state in self.folder(states, name) if state[0] not in matched)
        return states

    def names(self, states: States) -> set[str] | None:
        """The only names that can match here; ``None`` if there is a wildcard."""
        segments = [self._patterns[number][at] for number, at in states]
        return None if any(segment.matches for segment in segments) else {segment.text for segment in segments}

    def prefixes(self) -> list[tuple[str, bool]]:
        """Prefixes of the paths that match, each path starts with one of them; ``True`` for one that is a whole path.

        Only the path itself belongs to a whole path, and no longer one.
        """
        found: list[tuple[str, bool]] = []
        covered = None
        for prefix, is_whole in sorted(set(map(_prefix, self._patterns))):
            if covered is None or not prefix.startswith(covered):
                found.append((prefix, is_whole))
                covered = covered if is_whole else prefix
        return found

    def _closed(self, states: set[tuple[int, int]]) -> States:
        for number, at in list(states):
            while self._patterns[number][at] is ANY_FOLDERS:
                at += 1
                states.add((number, at))
        return self._known.setdefault(frozenset(states), frozenset(states))  # thousands of folders share a few


def _prefix(pattern: Sequence[Segment]) -> tuple[str, bool]:
    """The start of all paths that match, and whether it is the only one."""
    prefix = ""
    for segment in pattern:
        if segment.matches is not None:
            return prefix + re.split(r"[*?[]", segment.text, maxsplit=1)[0], False
        prefix += f"{segment.text}/"
    return prefix[:-1], True
