"""The rules of buf's category STANDARD that matter here, comments, and numbers in order.

Each rule has buf's name, if buf has the rule.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

_LOWER_SNAKE = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_PASCAL = re.compile(r"[A-Z][A-Za-z0-9]*")
_VERSIONED = re.compile(
    r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*\.v[1-9][0-9]*(alpha[0-9]*|beta[0-9]*)?"
)
_WORD_BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Offence:
    """A violation of a rule."""

    rule: str
    place: str  # e.g. "understudy.scoring.v1.ScoreRequest.model"
    why: str

    def __str__(self) -> str:
        return f"{self.place}: {self.why} ({self.rule})"


def offences_of(files: Sequence[FileDescriptorProto]) -> list[Offence]:
    """Return the violations in `files`, which must include source info."""
    return [
        *(offence for file in files for offence in _file(file)),
        *_shared_messages(files),
    ]


def _file(file: FileDescriptorProto) -> Iterator[Offence]:
    package, folder = file.package, file.name.rpartition("/")[0]
    if folder != package.replace(".", "/"):
        yield Offence("PACKAGE_DIRECTORY_MATCH", file.name, f"package {package}")
    if not _VERSIONED.fullmatch(package):
        yield Offence("PACKAGE_VERSION_SUFFIX", package, "no version at its end")
    if not _LOWER_SNAKE.fullmatch(file.name.rpartition("/")[2].removesuffix(".proto")):
        yield Offence("FILE_LOWER_SNAKE_CASE", file.name, "the file's name")
    yield from _languages(file)
    for message in file.message_type:
        yield from _message(message, f"{package}.{message.name}")
    for enum in file.enum_type:
        yield from _enum(enum, f"{package}.{enum.name}")
    for service in file.service:
        yield from _service(service, package)
    yield from _comments(file)


def _languages(file: FileDescriptorProto) -> Iterator[Offence]:
    """Yield the options that code in other languages lacks: its packages."""
    package, options = file.package, file.options
    go_package, _, go_name = options.go_package.partition(";")
    if go_package != package.replace(".", "/") or not go_name:
        yield Offence("GO_PACKAGE", file.name, f"go_package {options.go_package!r}")
    if options.java_package != package or not options.java_multiple_files:
        yield Offence("JAVA_PACKAGE", file.name, f"java_package {options.java_package!r}")


def _message(message: DescriptorProto, place: str) -> Iterator[Offence]:
    if message.options.map_entry:
        return
    if not _PASCAL.fullmatch(message.name):
        yield Offence("MESSAGE_PASCAL_CASE", place, "the message's name")
    yield from _numbers(message.field, place)
    yield from _names_inside(message, place)
    for nested in message.nested_type:
        yield from _message(nested, f"{place}.{nested.name}")
    for enum in message.enum_type:
        yield from _enum(enum, f"{place}.{enum.name}")


def _names_inside(message: DescriptorProto, place: str) -> Iterator[Offence]:
    for field in message.field:
        if not _LOWER_SNAKE.fullmatch(field.name):
            yield Offence("FIELD_LOWER_SNAKE_CASE", f"{place}.{field.name}", "the field's name")
    for oneof in message.oneof_decl[: _declared_oneofs(message)]:
        if not _LOWER_SNAKE.fullmatch(oneof.name):
            yield Offence("ONEOF_LOWER_SNAKE_CASE", f"{place}.{oneof.name}", "the oneof's name")


def _numbers(fields: Iterable[FieldDescriptorProto], place: str) -> Iterator[Offence]:
    numbers = [field.number for field in fields]
    if numbers != list(range(1, len(numbers) + 1)):
        yield Offence("NUMBERS_IN_ORDER", place, f"{numbers}, not 1, 2, 3 and so on")


def _enum(enum: EnumDescriptorProto, place: str) -> Iterator[Offence]:
    if not _PASCAL.fullmatch(enum.name):
        yield Offence("ENUM_PASCAL_CASE", place, "the enum's name")
    if enum.options.allow_alias:
        yield Offence("ENUM_NO_ALLOW_ALIAS", place, "two names for one number")
    prefix = _WORD_BORDER.sub("_", enum.name).upper() + "_"
    if enum.value[0].name != f"{prefix}UNSPECIFIED":
        yield Offence("ENUM_ZERO_VALUE_SUFFIX", place, f"its zero is {enum.value[0].name}")
    numbers = [value.number for value in enum.value]
    if numbers != list(range(len(numbers))):
        yield Offence("NUMBERS_IN_ORDER", place, f"{numbers}, not 0, 1, 2 and so on")
    for value in enum.value:
        if not value.name.startswith(prefix):
            yield Offence("ENUM_VALUE_PREFIX", f"{place}.{value.name}", f"wanted {prefix}…")
        if not _UPPER_SNAKE.fullmatch(value.name):
            yield Offence("ENUM_VALUE_UPPER_SNAKE_CASE", f"{place}.{value.name}", "its name")


def _service(service: ServiceDescriptorProto, package: str) -> Iterator[Offence]:
    place = f"{package}.{service.name}"
    if not _PASCAL.fullmatch(service.name):
        yield Offence("SERVICE_PASCAL_CASE", place, "the service's name")
    if not service.name.endswith("Service"):
        yield Offence("SERVICE_SUFFIX", place, "wanted …Service")
    for method in service.method:
        if not _PASCAL.fullmatch(method.name):
            yield Offence("RPC_PASCAL_CASE", f"{place}.{method.name}", "the RPC's name")
        for rule, type_name, suffix in (
            ("RPC_REQUEST_STANDARD_NAME", method.input_type, "Request"),
            ("RPC_RESPONSE_STANDARD_NAME", method.output_type, "Response"),
        ):
            wanted = f"{method.name}{suffix}"
            if type_name.rpartition(".")[2] != wanted:
                yield Offence(rule, f"{place}.{method.name}", f"{type_name}, wanted {wanted}")


def _shared_messages(files: Iterable[FileDescriptorProto]) -> Iterator[Offence]:
    uses = Counter(
        type_name
        for file in files
        for service in file.service
        for method in service.method
        for type_name in (method.input_type, method.output_type)
    )
    for type_name, count in uses.items():
        if count > 1:
            yield Offence("RPC_REQUEST_RESPONSE_UNIQUE", type_name, f"used {count} times")


def _comments(file: FileDescriptorProto) -> Iterator[Offence]:
    told = {
        tuple(location.path): bool((location.leading_comments + location.trailing_comments).strip())
        for location in file.source_code_info.location
    }
    for rule, path, place in _places(file):
        if not told.get(path):
            yield Offence(rule, f"{file.package}.{place}", "no comment")


_Place = tuple[str, tuple[int, ...], str]  # rule, path in the descriptor, name


def _places(file: FileDescriptorProto) -> Iterator[_Place]:
    for at, message in enumerate(file.message_type):
        yield from _message_places(message, (4, at), message.name)
    for at, enum in enumerate(file.enum_type):
        yield from _enum_places(enum, (5, at), enum.name)
    for at, service in enumerate(file.service):
        yield "COMMENT_SERVICE", (6, at), service.name
        for of, method in enumerate(service.method):
            yield "COMMENT_RPC", (6, at, 2, of), f"{service.name}.{method.name}"


def _message_places(
    message: DescriptorProto, path: tuple[int, ...], place: str
) -> Iterator[_Place]:
    if message.options.map_entry:
        return
    yield "COMMENT_MESSAGE", path, place
    for at, field in enumerate(message.field):
        yield "COMMENT_FIELD", (*path, 2, at), f"{place}.{field.name}"
    for at, oneof in enumerate(message.oneof_decl[: _declared_oneofs(message)]):
        yield "COMMENT_ONEOF", (*path, 8, at), f"{place}.{oneof.name}"
    for at, nested in enumerate(message.nested_type):
        yield from _message_places(nested, (*path, 3, at), f"{place}.{nested.name}")
    for at, enum in enumerate(message.enum_type):
        yield from _enum_places(enum, (*path, 4, at), f"{place}.{enum.name}")


def _enum_places(enum: EnumDescriptorProto, path: tuple[int, ...], place: str) -> Iterator[_Place]:
    yield "COMMENT_ENUM", path, place
    for at, value in enumerate(enum.value):
        yield "COMMENT_ENUM_VALUE", (*path, 2, at), f"{place}.{value.name}"


def _declared_oneofs(message: DescriptorProto) -> int:
    """Return the number of written oneofs; those made for `optional` fields come after them."""
    made_up = sum(field.proto3_optional for field in message.field)
    return len(message.oneof_decl) - made_up
