"""Mutation testing: small faults are put into the code, one at a time, and the tests should notice each.

python -m tests.mutants                      # a sample of each module, up to an hour
python -m tests.mutants --all runs/shards    # all mutants of one module

mutmut makes the mutants and runs the tests; pyproject.toml says of which modules, and with which tests. This program
draws the sample, keeps the tests of each function to the fastest ones of its room, and adds up.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).parents[1]
WORK = ROOT / "mutants"
STATISTICS = "mutmut-stats.json"
SURVIVORS = WORK / "survivors.txt"
MEMORY = 6 << 30  # bytes: a mutant that never stops collecting ends by itself
TESTS = 250  # of one function
EXAMPLES = 40  # of a property test: a fault that shows is in most of them
GOAL = 0.9
NOTICED = ("killed", "timeout", "segfault", "suspicious")  # the last two: the process of the tests crashed


def pytest_collection_modifyitems(items):
    """mutmut loads this module as a plugin of pytest: the fastest tests come first, as the first failure is enough."""
    for item in items:
        found = getattr(item.obj, "_hypothesis_internal_use_settings", None)
        if found is not None and found.max_examples > EXAMPLES:
            item.obj._hypothesis_internal_use_settings = settings(found, max_examples=EXAMPLES)
    if os.path.exists(STATISTICS):
        with open(STATISTICS) as file:
            seconds = json.load(file)["duration_by_test"]
        items.sort(key=lambda item: seconds.get(item.nodeid, 0.0))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", help="parts of modules' paths, such as runs/shards (default: all)")
    parser.add_argument("--each", type=int, default=12, help="mutants of each module (default: %(default)s)")
    parser.add_argument("--all", action="store_true", help="all mutants, in place of a sample: many hours")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--seconds", type=float, default=30.0, help="of tests for a mutant (default: %(default)s)")
    arguments = parser.parse_args()

    (WORK / STATISTICS).unlink(missing_ok=True)  # the tests may be others now, and their number is cut below
    WORK.mkdir(exist_ok=True)  # Python would look for nothing in a folder of PYTHONPATH that is not there yet
    mutmut("run", "beam_job.runs.digest.*__mutmut_1")  # makes all mutants, and looks which tests run which function
    keep_near_tests(arguments.seconds)
    drawn = []
    for module, names in sorted(made(arguments.modules).items()):
        count = len(names) if arguments.all else min(arguments.each, len(names))
        drawn += random.Random(f"{arguments.seed} {module}").sample(names, count)
    if not drawn:
        sys.exit(f"No module's path holds one of {arguments.modules}.")
    mutmut("run", "--max-children", "1", *drawn, memory=MEMORY)
    found = results()
    if hung := [name for name in drawn if found[name] == "timeout"]:  # a busy machine may be the reason
        mutmut("run", "--max-children", "1", *hung, memory=MEMORY)
    sys.exit(tell(drawn))


def mutmut(*command, memory=resource.RLIM_INFINITY):
    environment = {**os.environ, "PYTHONPATH": str(WORK)}  # programs that tests start run the mutants, too
    program = Path(sys.executable).with_name("mutmut")
    limit = lambda: resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))  # noqa: E731
    return subprocess.run([program, *command], cwd=ROOT, env=environment, preexec_fn=limit, check=True)


def results():
    """How it went with each mutant, by its name."""
    listed = subprocess.run(
        [Path(sys.executable).with_name("mutmut"), "results", "--all", "true"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return dict(line.strip().rsplit(": ", 1) for line in listed.splitlines() if ": " in line)


def module_of(name):
    return name.rpartition(".")[0]


def made(wanted):
    """The names of all mutants by module."""
    names = defaultdict(list)
    for name in results():
        if not wanted or any(part in module_of(name).replace(".", "/") for part in wanted):
            names[module_of(name)].append(name)
    return names


def keep_near_tests(seconds):
    """Leaves each function the tests of its room, its module's own first, as many as take so long together.

    A function that none of them runs keeps those of other rooms.
    """
    path = WORK / STATISTICS
    statistics = json.loads(path.read_text())
    durations = statistics["duration_by_test"]
    for function, tests in statistics["tests_by_mangled_function_name"].items():
        *room, module = module_of(function).split(".")[1:]
        near = [test for test in tests if test.startswith("/".join(["tests", "beam_job", *room[:1], ""]))] or tests
        kept, total = [], 0.0
        for test in sorted(near, key=lambda test: (f"test_{module}.py::" not in test, durations[test])):
            if len(kept) < TESTS and (not kept or total + durations[test] <= seconds):
                kept.append(test)
                total += durations[test]
        statistics["tests_by_mangled_function_name"][function] = kept
    path.write_text(json.dumps(statistics))


def tell(drawn):
    """Prints the scores; returns the exit status."""
    found = results()
    counts = defaultdict(Counter)
    for name in drawn:
        counts[module_of(name)][found[name]] += 1
    for module, count in counts.items():
        print(f"{module:<45} {told(count)}")
    total = sum(counts.values(), Counter())
    print(f"{'all':<45} {told(total)}")
    alive = [name for name in drawn if found[name] not in NOTICED]
    with SURVIVORS.open("w") as file:
        for name in alive:
            shown = [Path(sys.executable).with_name("mutmut"), "show", name]
            print(subprocess.run(shown, cwd=ROOT, capture_output=True, text=True, check=True).stdout, file=file)
    print(f"The {len(alive)} that no test noticed: {SURVIVORS}")
    return score(total) < GOAL


def told(count):
    rest = ", ".join(f"{number} {result}" for result, number in sorted(count.items()))
    return f"{score(count):6.1%} of {count.total()}: {rest}"


def score(count):
    return sum(count[result] for result in NOTICED) / count.total()


if __name__ == "__main__":
    main()
