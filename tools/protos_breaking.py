"""The check of the protos for breaking changes, against protos/baseline.binpb.

The baseline is a FileDescriptorSet of the protos on which callers rely. An addition is compatible.
A changed or removed name, number, type, presence or stream is breaking. Until 0.1.0 nothing is
promised, so `make check` only prints; PROTOS_BREAKING in the Makefile is the switch that makes it
fail.
"""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from understudy.oip import inference_pb2
from understudy.registry.v1 import registry_pb2
from understudy.router.v1 import router_pb2
from understudy.scoring.v1 import scoring_pb2

BASELINE = Path(__file__).resolve().parent.parent / "protos" / "baseline.binpb"
_MODULES = (inference_pb2, registry_pb2, router_pb2, scoring_pb2)
_Field = FieldDescriptorProto


def present_files() -> list[FileDescriptorProto]:
    """Return the descriptors of the generated code."""
    return [FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb) for module in _MODULES]


def breaches(
    promised: Iterable[FileDescriptorProto], present: Iterable[FileDescriptorProto]
) -> list[str]:
    """Return one line for each breaking change from `promised` to `present`."""
    before, now = dict(_facts(promised)), dict(_facts(present))
    return [_breach(place, told, now) for place, told in before.items() if now.get(place) != told]


def _breach(place: str, told: str, now: Mapping[str, str]) -> str:
    return f"{place}: {told} is {f'now {now[place]}' if place in now else 'gone'}"


def _facts(files: Iterable[FileDescriptorProto]) -> Iterator[tuple[str, str]]:
    """Yield every place in the contracts with its promised form."""
    for file in files:
        for message in file.message_type:
            yield from _message_facts(message, f"{file.package}.{message.name}")
        for enum in file.enum_type:
            yield from _enum_facts(enum, f"{file.package}.{enum.name}")
        for service in file.service:
            for method in service.method:
                takes = f"{_stream(method.client_streaming)}{method.input_type}"
                returns = f"{_stream(method.server_streaming)}{method.output_type}"
                place = f"{file.package}.{service.name}/{method.name}"
                yield place, f"rpc ({takes}) returns ({returns})"


def _message_facts(message: DescriptorProto, place: str) -> Iterator[tuple[str, str]]:
    yield place, "message"
    for field in message.field:
        yield f"{place} = {field.number}", _field_fact(field, message)
    for nested in message.nested_type:
        yield from _message_facts(nested, f"{place}.{nested.name}")
    for enum in message.enum_type:
        yield from _enum_facts(enum, f"{place}.{enum.name}")


def _field_fact(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    kind = field.type_name or _Field.Type.Name(field.type).removeprefix("TYPE_").lower()
    if field.proto3_optional:
        kind = f"optional {kind}"
    elif field.HasField("oneof_index"):
        kind = f"oneof {message.oneof_decl[field.oneof_index].name}, {kind}"
    elif field.label == _Field.LABEL_REPEATED:
        kind = f"repeated {kind}"
    return f"{kind} {field.name}"


def _enum_facts(enum: EnumDescriptorProto, place: str) -> Iterator[tuple[str, str]]:
    yield place, "enum"
    for value in enum.value:
        yield f"{place} = {value.number}", value.name


def _stream(is_stream: bool) -> str:  # noqa: FBT001 - a word of the proto language, or none
    return "stream " if is_stream else ""


def main() -> None:
    parser = argparse.ArgumentParser(description="Report breaking changes of the protos.")
    parser.add_argument("--baseline", type=Path, default=BASELINE, help="the promised protos")
    parser.add_argument("--when-broken", choices=("report", "fail"), default="fail")
    parser.add_argument("--write", action="store_true", help="make the present protos the baseline")
    options = parser.parse_args()
    if options.write:
        present = FileDescriptorSet(file=present_files())
        options.baseline.write_bytes(present.SerializeToString(deterministic=True))
        return
    promised = FileDescriptorSet.FromString(options.baseline.read_bytes()).file
    found = breaches(promised, present_files())
    for line in found:
        print(f"breaking: {line}")
    if found and options.when_broken == "fail":
        sys.exit(f"{len(found)} changes break callers of {options.baseline.name}")


if __name__ == "__main__":
    main()
