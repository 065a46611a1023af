"""A step on several devices is the step of one; see ``two_devices``, which runs in a process of its own."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import tensorflow as tf

from train.fitting.replicas import in_words, strategy_for
from train.recipe import DEFAULT

ROOT = Path(__file__).parents[3]


def test_on_two_devices() -> None:
    """All checks in one test, so that one process runs them."""
    command = [sys.executable, "-m", "tests.train.two_devices"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=900, check=True)
    failed = json.loads(done.stdout.splitlines()[-1])
    assert not failed, "\n".join(f"{check}: {trace}" for check, trace in failed.items())


def test_one_device_is_used_as_without_a_strategy() -> None:
    for devices in ([], ["CPU:0"]):
        strategy = strategy_for(DEFAULT, devices)
        assert strategy is tf.distribute.get_strategy()
    assert in_words(strategy) in ("one CPU", "one GPU")


def test_no_more_devices_than_a_step_has_examples() -> None:
    recipe = replace(DEFAULT, batch_size=8, self_critical_samples_per_image=5, self_critical_epochs=1)
    assert strategy_for(recipe, ["CPU:0", "CPU:1"]) is tf.distribute.get_strategy()
