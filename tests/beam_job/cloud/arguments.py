"""The options of a job on Dataflow."""

IMAGE = "europe-west4-docker.pkg.dev/project/captioner/captioner:1"
MODEL = "gs://bucket/models/tiny"


def arguments(*more, service=None, image=IMAGE, model=MODEL):
    """A job's options: those that every job has, and more."""
    found = ["--runner=DataflowRunner", "--project=project", "--region=europe-west4", "--no_auth"]
    found += ["--temp_location=gs://bucket/temp", "--staging_location=gs://bucket/staging"]
    found += ["--uris=gs://bucket/list.txt", "--output=gs://bucket/captions"]
    found += [f"--sdk_container_image={image}"] if image else []
    found += [f"--model={model}"] if model else []
    found += [f"--dataflow_endpoint={service.url}"] if service else []
    return [*found, *more]
