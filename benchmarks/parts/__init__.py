"""The parts of ``python -m benchmarks``: each measures one side of the job."""
