# One image for every process: `docker run understudy router serve …`, `… registry serve …`.
# CI pins the base image by digest: --build-arg PYTHON_IMAGE=python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/understudy
WORKDIR /source
# The locks first: this layer changes only when a dependency does.
COPY requirements/ requirements/
RUN /opt/understudy/bin/pip install --no-deps --require-hashes -r requirements/runtime.lock
# What builds the wheels comes from a lock too, into an environment that is left behind.
RUN python -m venv /opt/build \
    && awk '/^[A-Za-z0-9]/ { keep = /^(hatchling|packaging|pathspec|pluggy|tomlkit|trove-classifiers)==/ } keep' \
        requirements/dev.lock > /tmp/build.lock \
    && /opt/build/bin/pip install --no-deps --require-hashes -r /tmp/build.lock \
    && /opt/build/bin/pip check
COPY . .
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./packaging/client . \
    && /opt/understudy/bin/pip install --no-deps /wheels/*.whl \
    && /opt/understudy/bin/pip check

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="understudy" \
      org.opencontainers.image.description="Champion/challenger scoring over gRPC"
# Operators on texts (StringNormalizer, of skl2onnx's vectorizers) ask for this locale and fail without it.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends locales \
    && echo 'en_US.UTF-8 UTF-8' > /etc/locale.gen \
    && locale-gen \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 understudy \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/understudy understudy \
    && install --directory --owner=10001 --group=10001 /var/lib/understudy
COPY --from=build /opt/understudy /opt/understudy
ENV PATH=/opt/understudy/bin:$PATH PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/understudy
VOLUME /var/lib/understudy
# router, registry; each serves grpc.health.v1 on the port it serves on
EXPOSE 8400 8500
STOPSIGNAL SIGTERM
ENTRYPOINT ["understudy"]
CMD ["--help"]
