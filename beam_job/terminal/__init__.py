"""What reaches a person while the job runs."""
