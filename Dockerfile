# syntax=docker/dockerfile:1
# One image for a job's launcher and its workers: what a worker runs is what the launcher checked.
#   gpu: CUDA and cuDNN come as NVIDIA's Python wheels, in versions that this TensorFlow takes; the driver is Dataflow's,
#        which mounts it under /usr/local/nvidia.
#   cpu: the same without CUDA.
# Everything that is installed has its exact version and digest in image/requirements*.txt; image/lock.py writes them.

# These three equal the launcher's; tests/test_container.py compares them, run_dataflow.sh checks them before a job.
ARG PYTHON_VERSION=3.11
ARG BEAM_VERSION=2.77.0
ARG TENSORFLOW_VERSION=2.21.0
ARG VARIANT=gpu

FROM apache/beam_python${PYTHON_VERSION}_sdk:${BEAM_VERSION} AS beam
# flex_templates_base_image_release_20260720_RC00, by its digest.
FROM gcr.io/dataflow-templates-base/python311-template-launcher-base@sha256:35e7280471e19e0dfa4399944978569f5f4adee51d6d10191d613295cae8b75d AS launcher

FROM python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3 AS common
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    TF_CPP_MIN_LOG_LEVEL=2 \
    # Workers use the packages of this image instead of making a virtual environment first.
    RUN_PYTHON_SDK_IN_DEFAULT_ENVIRONMENT=1
COPY --from=beam /opt/apache/beam /opt/apache/beam
COPY --from=launcher /opt/google/dataflow/python_template_launcher /opt/google/dataflow/python_template_launcher

# The large layers, which change with the versions alone. One package comes as source: it is built with the tools of the
# base image, whose versions are fixed as well.
FROM common AS libraries-cpu
COPY image/requirements.txt /requirements/
RUN pip install --require-hashes --no-deps --no-build-isolation -r /requirements/requirements.txt

FROM libraries-cpu AS libraries-gpu
COPY image/requirements-cuda.txt /requirements/
RUN pip install --require-hashes --no-deps -r /requirements/requirements-cuda.txt
ENV PATH=/usr/local/nvidia/bin:${PATH} \
    LD_LIBRARY_PATH=/usr/local/nvidia/lib64

# hadolint ignore=DL3006
FROM libraries-${VARIANT} AS image
ARG PYTHON_VERSION
ARG BEAM_VERSION
ARG TENSORFLOW_VERSION
WORKDIR /template
COPY setup.py pyproject.toml README.md LICENSE ./
COPY beam_job beam_job
COPY train train
# The package brings its default model. What it asks for must be there already.
RUN pip install --no-cache-dir --no-deps --no-build-isolation . \
    && pip check \
    && python -c "import platform, sys; from importlib.metadata import version; \
found = (platform.python_version().rsplit('.', 1)[0], version('apache-beam'), version('tensorflow')); \
wanted = ('${PYTHON_VERSION}', '${BEAM_VERSION}', '${TENSORFLOW_VERSION}'); \
sys.exit(0 if found == wanted else f'found {found}, wanted {wanted}')" \
    && rm -rf beam_job train build ./*.egg-info
COPY flex_template/main.py ./

# The launcher gives its workers this very image.
ARG IMAGE=""
ENV CAPTION_IMAGE=${IMAGE} \
    FLEX_TEMPLATE_PYTHON_PY_FILE=/template/main.py

# Root, as in Beam's own images: Dataflow mounts the folders for logs and staged files with root as their owner, and the
# entry point writes there before any of our code runs.
# Dataflow starts the launcher by its own path, and workers by this entry point.
ENTRYPOINT ["/opt/apache/beam/boot"]
