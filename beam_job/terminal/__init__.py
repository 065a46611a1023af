"""The terminal and signals while the job runs."""
