"""What stands in for parts of the job, so that a run can be observed and killed."""
