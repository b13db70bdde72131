"""The page of the callers' API, from the comments of its proto file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from grpc_tools import protoc

SOURCE = "understudy/scoring/v1/scoring.proto"
PAGE = Path("docs/reference/api.md")
_INTRODUCTION = f"""# The API for callers

Generated from [scoring.proto](../../protos/{SOURCE}) by `make protos`: change the comments there. Clients in
other languages are generated from the same file; `make protos-archive` packs all files.
"""
# Numbers of fields in descriptor.proto: paths of comments consist of them and of positions.
_SYNTAX, _MESSAGES, _ENUMS, _SERVICES = 12, 4, 5, 6
_INNER = 2  # the fields of a message, the values of an enum, the methods of a service
_LABEL = FieldDescriptorProto.Label
_TYPES = {
    number: name.removeprefix("TYPE_").lower() for name, number in FieldDescriptorProto.Type.items()
}

Comments = Mapping[tuple[int, ...], str]


def api_page(sources: Path, includes: str) -> str:
    """Return the page for the file below `sources`.

    Raises:
        SystemExit: protoc rejected it; its message is already on stderr.
    """
    with TemporaryDirectory() as scratch:
        found = Path(scratch) / "found.binpb"
        exit_code = protoc.main(
            [
                *("protoc", f"--proto_path={sources}", f"--proto_path={includes}"),
                *(f"--descriptor_set_out={found}", "--include_source_info", SOURCE),
            ]
        )
        if exit_code:
            raise SystemExit(exit_code)
        (file,) = FileDescriptorSet.FromString(found.read_bytes()).file
    return "\n".join(_page(file)) + "\n"


def _page(file: FileDescriptorProto) -> Iterator[str]:
    comments = {
        tuple(each.path): each.leading_comments.strip("\n")
        for each in file.source_code_info.location
    }
    yield _INTRODUCTION
    yield _text(comments[(_SYNTAX,)]) + "\n"
    for at, service in enumerate(file.service):
        yield from _service(service, (_SERVICES, at), comments)
    yield "## Messages\n"
    for at, message in enumerate(file.message_type):
        yield from _message(message, (_MESSAGES, at), comments)
    yield "## Enums\n"
    for at, enum in enumerate(file.enum_type):
        yield from _enum(enum, (_ENUMS, at), comments)


def _service(
    service: ServiceDescriptorProto, path: tuple[int, ...], comments: Comments
) -> Iterator[str]:
    yield f"## {service.name}\n\n{_text(comments[path])}\n"
    for at, method in enumerate(service.method):
        asked, answered = (
            f"{'stream of ' if streams else ''}{_link(name)}"
            for streams, name in (
                (method.client_streaming, method.input_type),
                (method.server_streaming, method.output_type),
            )
        )
        yield f"### {method.name}\n\n{asked} → {answered}\n"
        yield _text(comments[(*path, _INNER, at)]) + "\n"


def _message(message: DescriptorProto, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    yield f"### {message.name}\n\n{_text(comments[path])}\n"
    if not message.field:
        return
    yield "| field | number | type | |\n|---|---|---|---|"
    for at, field in enumerate(message.field):
        text = _line(comments[(*path, _INNER, at)])
        yield f"| `{field.name}` | {field.number} | {_type(field, message)} | {text} |"
    yield ""


def _enum(enum: EnumDescriptorProto, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    yield f"### {enum.name}\n\n{_text(comments[path])}\n"
    yield "| value | number | |\n|---|---|---|"
    for at, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {_line(comments[(*path, _INNER, at)])} |"
    yield ""


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    entries = {each.name: each for each in message.nested_type if each.options.map_entry}
    entry = entries.get(field.type_name.rpartition(".")[2])
    if entry is not None:
        key, value = entry.field
        return f"map from {_kind(key)} to {_kind(value)}"
    if field.label == _LABEL.LABEL_REPEATED:
        return f"repeated {_kind(field)}"
    if field.proto3_optional:
        return f"optional {_kind(field)}"
    if field.HasField("oneof_index"):
        return f"{_kind(field)}, one of `{message.oneof_decl[field.oneof_index].name}`"
    return _kind(field)


def _kind(field: FieldDescriptorProto) -> str:
    return _link(field.type_name) if field.type_name else _TYPES[field.type]


def _link(type_name: str) -> str:
    name = type_name.rpartition(".")[2]
    return name if type_name.startswith(".google.") else f"[{name}](#{name.lower()})"


def _text(comment: str) -> str:
    """Return a comment as Markdown, without the space that begins each of its lines."""
    return "\n".join(line.removeprefix(" ").rstrip() for line in comment.split("\n"))


def _line(comment: str) -> str:
    return " ".join(_text(comment).split()).replace("|", "\\|")
