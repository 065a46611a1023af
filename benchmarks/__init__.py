"""Benchmarks of the job: ``python -m benchmarks`` measures, prints ratios and draws a page."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is imported
