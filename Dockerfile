# The job as one image.  `docker build -t finetune-job .` takes torch's CUDA build; `--build-arg EXTRAS=cpu` with the address of
# torch's index for processors as `TORCH_INDEX` takes the small one.  A private package index is given by
# `--secret id=uv,src=uv.toml`.  docs/docker.md has the rest.

# Any Debian or Ubuntu image with Python 3.11 as `python`, for example one that brings CUDA's compiler.
ARG BASE_IMAGE=python:3.11-slim

# What makes the image and is not in it: the installer, the bill of materials' writer, this package as a wheel.
FROM ${BASE_IMAGE} AS tools
RUN python -m venv /opt/tools \
    && /opt/tools/bin/pip install --no-cache-dir --no-compile uv==0.13.8 cyclonedx-bom==7.5.0 setuptools==84.2.1
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY job ./job
# What `job submit` fills in: links in job/submit lead here, and the wheel gets the files.
COPY k8s ./k8s
COPY slurm ./slurm
RUN /opt/tools/bin/uv build --wheel --no-build-isolation --python /opt/tools/bin/python --out-dir /wheels

FROM ${BASE_IMAGE} AS runtime
ARG EXTRAS=gpu
# System packages are those of the base image's release: whoever needs them fixed names the base image by its digest.
# hadolint ignore=DL3008
RUN case "${EXTRAS}" in \
        cpu) set -- tini ;; \
        gpu) set -- tini gcc libc6-dev libibverbs1 ibverbs-providers ;; \
        *) echo "EXTRAS is cpu or gpu" >&2; exit 1 ;; \
    esac \
    && apt-get update \
    && apt-get install --yes --no-install-recommends "$@" \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/* /var/log/*
RUN python -m venv --without-pip /opt/venv
# Byte code is made here: at run time nobody may write it, and without it torch takes seconds longer to import.
ENV PATH=/opt/venv/bin:${PATH} \
    VIRTUAL_ENV=/opt/venv \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy
# torch by itself and first: a layer of its own, which stays when another requirement changes. The version is the lock file's.
ARG TORCH_VERSION=2.13.0
ARG TORCH_INDEX=
RUN --mount=type=bind,from=tools,source=/opt/tools/bin/uv,target=/usr/local/bin/uv \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=uv,target=/etc/uv/uv.toml \
    uv pip install ${TORCH_INDEX:+--index "${TORCH_INDEX}"} "torch==${TORCH_VERSION}"
COPY requirements.lock /opt/requirements.lock
RUN --mount=type=bind,from=tools,source=/opt/tools/bin/uv,target=/usr/local/bin/uv \
    --mount=type=cache,target=/root/.cache/uv \
    --mount=type=secret,id=uv,target=/etc/uv/uv.toml \
    uv pip install --requirement /opt/requirements.lock
# Copied, not mounted: buildah mounts an older layer of a stage that it has in its cache.
COPY --from=tools /wheels /opt/wheels
RUN --mount=type=bind,from=tools,source=/opt/tools/bin/uv,target=/usr/local/bin/uv \
    uv pip install --no-cache --no-index --no-deps /opt/wheels/*.whl

# Everything of /opt/venv with its licences, as CycloneDX.
FROM runtime AS materials
RUN --mount=type=bind,from=tools,source=/opt/tools,target=/opt/tools \
    /opt/tools/bin/cyclonedx-py environment --output-reproducible --output-file /sbom.cdx.json /opt/venv

FROM runtime
# Like /tmp, /work is for any user: some clusters choose one of their own.
RUN groupadd --gid 10001 job \
    && useradd --uid 10001 --gid 10001 --home-dir /work --no-create-home --shell /usr/sbin/nologin job \
    && install --directory --owner=10001 --group=10001 --mode=1777 /work
COPY --from=materials /sbom.cdx.json /usr/share/sbom/finetune-job.cdx.json
# Only /work, /tmp and /dev/shm are written: HOME and every cache lie below /work.
ENV HOME=/work \
    USER=job \
    XDG_CACHE_HOME=/work/.cache \
    HF_HOME=/work/.cache/huggingface \
    TORCH_HOME=/work/.cache/torch \
    TORCH_EXTENSIONS_DIR=/work/.cache/torch_extensions \
    TORCHINDUCTOR_CACHE_DIR=/work/.cache/inductor \
    TRITON_CACHE_DIR=/work/.cache/triton \
    HF_HUB_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
WORKDIR /work
USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["tini", "--", "python", "-m", "job"]
CMD ["run"]
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="finetune-job" \
      org.opencontainers.image.description="The fine-tuning job you can hand to a cluster and forget." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
