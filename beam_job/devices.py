"""The device that TensorFlow uses: a GPU, perhaps shared with other processes, or the CPU.

print(prepare())   # "Tesla T4, float16" or "CPU"
"""

import os
import re
from pathlib import Path
from typing import Any

from beam_job.messages.invocation import pip_install

# Images in a batch. At each word the decoder reads its weights once for all of them: with 32 a CPU captions a tenth
# fewer images a second. A batch for which memory runs out is halved.
BATCH_SIZE = 128

# From this compute capability on GPUs have tensor cores (Volta, 2017): float16 is several times faster there, and
# slower than float32 on what came before.
HALF_PRECISION_FROM = (7, 0)


class NoGpuError(RuntimeError):
    """A GPU is required and TensorFlow finds none; the message says what to do."""


def gpus() -> list[Any]:
    """The GPUs that TensorFlow can use."""
    import tensorflow as tf

    return tf.config.list_physical_devices("GPU")


def bfloat16_is_fast() -> bool:
    """Whether this CPU computes faster in bfloat16 than in float32: Intel's with AMX (since 2023), AMD's since Zen 4.

    Intel's CPUs without AMX, or with AMX hidden by a virtual machine, may multiply bfloat16 by AVX-512 alone. There the
    bundled encoder takes 1.5 times as long as in float32. On all others TensorFlow converts each factor first.
    """
    file = Path("/proc/cpuinfo")
    words = file.read_text(errors="replace").split() if file.exists() else []
    return "amx_bf16" in words or ("AuthenticAMD" in words and "avx512_bf16" in words)


def require_gpu() -> None:
    """Raises ``NoGpuError`` if TensorFlow finds no GPU, so that a paid GPU is never left idle."""
    if not gpus():
        raise NoGpuError(
            "--require_gpu: TensorFlow sees no GPU here. Look at `nvidia-smi`: if it lists none, add a GPU and its "
            "driver (on Dataflow by --accelerator); if it lists one, install TensorFlow with its CUDA libraries, "
            f"`{pip_install('tensorflow[and-cuda]')}`. To caption on the CPU, drop --require_gpu or pass "
            "--no_require_gpu."
        )


def prepare(*, full_precision: bool = False) -> str:
    """Sets up TensorFlow: GPU memory as needed, and half precision on GPUs that are fast at it.

    Without the first, one process takes all of a GPU's memory and the next one finds none. A process uses one GPU; of
    several on a machine, Beam's worker processes take one after the other by their numbers. For half precision
    TensorFlow rewrites its graphs: products in float16, what needs the range (softmax, sums) in float32.
    Both settings are for the whole process, and take effect only before its first computation.

    Args:
      full_precision: compute in float32 everywhere.

    Returns:
      The device's name and, on a GPU, its precision: ``CPU``, or such as ``Tesla T4, float16``.
    """
    import tensorflow as tf

    found = gpus()
    if not found:
        return "CPU, bfloat16" if bfloat16_is_fast() and not full_precision else "CPU"
    own = found[_worker_number() % len(found)]
    try:
        tf.config.set_visible_devices(own, "GPU")
        tf.config.experimental.set_memory_growth(own, True)
    except RuntimeError:  # this process has used the GPU before, in its own way
        pass
    details = tf.config.experimental.get_device_details(own)
    half = not full_precision and details.get("compute_capability", (0, 0)) >= HALF_PRECISION_FROM
    tf.config.optimizer.set_experimental_options({"auto_mixed_precision": half})
    return f"{details.get('device_name', 'GPU')}, {'float16' if half else 'float32'}"


def _worker_number() -> int:
    """Of this process among the worker processes of its machine: Beam names them such as ``sdk-0-3``."""
    numbers = re.findall(r"[0-9]+", os.environ.get("WORKER_ID", ""))
    return int(numbers[-1]) if numbers else 0
