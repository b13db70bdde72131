"""The choice whether a process makes spans, by the standard variables of OpenTelemetry."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from typing import Protocol
from urllib.parse import urlsplit

from understudy.domain.errors import Fault, InvalidInputError
from understudy.domain.loopback import is_loopback
from understudy.domain.spans import SpanSink

EXPORTER = "OTEL_TRACES_EXPORTER"
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_INSECURE = ("OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE")
_SAMPLER = "OTEL_TRACES_SAMPLER"
_SAMPLES_AS_CALLERS_DO = "parentbased_always_off"
_LIBRARIES = ("opentelemetry.sdk", "opentelemetry.exporter")
# Without those of OTEL_EXPORTER_OTLP_HEADERS, which are secrets: scorers run foreign models.
_OF_SCORERS = frozenset(
    {
        *(EXPORTER, _SAMPLER, "OTEL_SDK_DISABLED", "OTEL_RESOURCE_ATTRIBUTES"),
        *_ENDPOINTS,
        *_PROTOCOLS,
        *_INSECURE,
        *("OTEL_EXPORTER_OTLP_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"),
        *("OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"),
        *("OTEL_EXPORTER_OTLP_COMPRESSION", "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION"),
    }
)


class SpanExport(SpanSink, Protocol):
    """A sink as seen by its opener."""

    def close(self, limit_s: float) -> None:
        """Send the spans in the queue, for at most `limit_s`; the rest is dropped. It blocks."""
        ...


def check_span_export(environment: Mapping[str, str]) -> bool:
    """Return whether a process with this environment makes spans: off unless it is asked for.

    Raises:
        InvalidInputError: a variable has a value that would not act, the libraries are not
            installed, or other machines could read along.
    """
    exporter = environment.get(EXPORTER, "")
    if exporter in {"", "none"} or environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    faults = list(_faults_of(exporter, environment))
    if faults:
        raise InvalidInputError(faults)
    return True


@contextmanager
def span_export(service: str, *, close_within_s: float) -> Iterator[SpanSink | None]:
    """Export spans as the environment describes; yield None if it asks for none.

    Args:
        service: the name of this kind of process, unless the environment has another.
        close_within_s: limit at the end, for the spans in the queue. It blocks.

    Raises:
        InvalidInputError: see `check_span_export`; or the exporter refuses a variable.
    """
    if not check_span_export(os.environ):
        yield None
        return
    # Only here: the extra need not be installed.
    export: SpanExport = import_module("understudy.runtime.otlp_spans").open_otlp_spans(service)
    try:
        yield export
    finally:
        export.close(close_within_s)


def scorer_span_environment(own: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `own` by which a scorer exports spans as its host does."""
    return {name: value for name, value in own.items() if name in _OF_SCORERS}


def _faults_of(exporter: str, environment: Mapping[str, str]) -> list[Fault]:
    if exporter != "otlp":
        return [Fault(EXPORTER, exporter, "otlp or none")]
    faults = [
        Fault(name, environment[name], "grpc")
        for name in _PROTOCOLS
        if environment.get(name, "grpc") != "grpc"
    ]
    sampler = environment.get(_SAMPLER, _SAMPLES_AS_CALLERS_DO)
    if sampler != _SAMPLES_AS_CALLERS_DO:
        accepted = f"{_SAMPLES_AS_CALLERS_DO}: the sampled flag of each call's traceparent decides"
        faults.append(Fault(_SAMPLER, sampler, accepted))
    if any(_is_missing(name) for name in _LIBRARIES):
        accepted = "none; or install the extra understudy-serving[otel]"
        faults.append(Fault(EXPORTER, "otlp, without its libraries", accepted))
    faults += _plaintext_faults(environment)
    return faults


def _plaintext_faults(environment: Mapping[str, str]) -> list[Fault]:
    given = [name for name in _ENDPOINTS if environment.get(name)]
    if not given:
        return []  # a collector on this machine
    endpoint = environment[given[0]]
    url = urlsplit(endpoint)
    is_allowed = any(environment.get(name, "").lower() == "true" for name in _INSECURE)
    if url.scheme not in {"http", "https"} or not url.hostname:
        return [Fault(given[0], endpoint, "http://HOST:PORT or https://HOST:PORT")]
    if url.scheme == "http" and not is_allowed and not is_loopback(url.hostname):
        accepted = f"a loopback address, https, or {_INSECURE[1]}=true"
        return [Fault(given[0], f"{endpoint} in plaintext", accepted)]
    return []


def _is_missing(library: str) -> bool:
    try:
        return find_spec(library) is None
    except ModuleNotFoundError:  # of the package around it
        return True
