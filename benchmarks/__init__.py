"""Benchmarks of the job: ``python -m benchmarks`` measures, prints ratios and draws a page.

Each module on this level is a command, and so is ``archive``. The other folders have what these commands are made of.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reads it when it is imported
