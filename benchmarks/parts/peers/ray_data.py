"""Ray Data as one would use it first: reads images, maps batches with an actor that holds the model, writes JSON."""

import os
import tempfile

import numpy as np

from benchmarks.parts.peers.batch_ends import note_end
from benchmarks.parts.peers.captions import best
from benchmarks.parts.peers.task import Task

_OBJECT_STORE = 500_000_000  # bytes of shared memory: Ray would take a third of the machine's


class Actor:
    """Holds the model and captions batches; the driver imports neither Beam nor TensorFlow, which takes seconds."""

    def __init__(self, task: Task):
        from beam_job.model.captioner import Captioner
        from beam_job.model.decoding import Decoding
        from beam_job.model.directory import open_model

        self._captioner = Captioner(open_model(task.model), Decoding(), task.batch_size)
        self._ends = task.ends

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = self._captioner.caption(list(batch["image"]), list(batch["path"]))
        note_end(self._ends, len(found))
        return {"uri": batch["path"], "caption": np.array([best(captions) for captions in found], object)}


def caption(task: Task, blocks: int | None = None) -> None:
    """Captions the photos into JSON lines; ``blocks`` of about the same size are read, or as many as Ray chooses."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # Ray would report its use over the network
    import ray

    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        ray.init(num_cpus=os.cpu_count(), include_dashboard=False, object_store_memory=_OBJECT_STORE, _temp_dir=folder)
        photos = ray.data.read_images(
            task.paths(),
            size=(task.height, task.width),
            mode="RGB",
            include_paths=True,
            override_num_blocks=blocks,
        )
        captions = photos.map_batches(
            Actor,
            batch_size=task.batch_size,
            compute=ray.data.ActorPoolStrategy(size=1),
            num_gpus=min(1, ray.cluster_resources().get("GPU", 0)),
            fn_constructor_kwargs={"task": task},
        )
        captions.write_json(str(task.output))
        ray.shutdown()


if __name__ == "__main__":
    caption(Task.from_command_line())
