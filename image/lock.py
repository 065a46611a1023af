"""Writes what the image installs: each package in this environment's version, with the digest of its file.

    python image/lock.py

Run it with the environment that the tests run in: CPython 3.11 on x86-64 Linux, as in the image. ``requirements.txt``
holds what the job needs anywhere, ``requirements-cuda.txt`` NVIDIA's libraries, in versions that TensorFlow takes.
"""

import json
import platform
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PACKAGE = "beam-captioner"
HEAD = "# Made by `python image/lock.py`, for CPython 3.11 on x86-64 Linux. Do not edit.\n"


def resolve() -> list[str]:
    """``name==version --hash=...`` of everything that the package and CUDA need, the package itself left out."""
    pip = [sys.executable, "-m", "pip"]
    installed = subprocess.run(
        [*pip, "freeze", "--exclude-editable"], capture_output=True, text=True, check=True
    ).stdout
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write(installed)
        constraints.flush()
        wanted = ["--constraint", constraints.name, str(HERE.parent), "tensorflow[and-cuda]"]
        command = [*pip, "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-", *wanted]
        report = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    lines = []
    for found in json.loads(report)["install"]:
        if found["metadata"]["name"] != PACKAGE:
            digest = found["download_info"]["archive_info"]["hashes"]["sha256"]
            lines.append(f"{found['metadata']['name']}=={found['metadata']['version']} --hash=sha256:{digest}\n")
    return sorted(lines, key=str.lower)


def main() -> None:
    if sys.version_info[:2] != (3, 11) or sysconfig.get_platform() != "linux-x86_64":
        sys.exit(f"The image has Python 3.11 on x86-64 Linux; this is {platform.python_version()}, {sys.platform}.")
    lines = resolve()
    cuda = [line for line in lines if line.startswith("nvidia-")]
    (HERE / "requirements.txt").write_text(HEAD + "".join(line for line in lines if line not in cuda))
    (HERE / "requirements-cuda.txt").write_text(HEAD + "".join(cuda))


if __name__ == "__main__":
    main()
