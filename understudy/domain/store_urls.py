"""URLs of object stores: a bucket with a prefix, or a folder in place of one."""

import re
from dataclasses import dataclass

from understudy.domain.errors import InvalidInputError

ACCEPTED_BUCKETS = "s3://BUCKET or s3://BUCKET/PREFIX"
ACCEPTED = "s3://BUCKET/PREFIX, or file:///FOLDER"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"[A-Za-z0-9!_.*'()=-]+(/[A-Za-z0-9!_.*'()=-]+)*")


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """The place of objects: with a bucket in S3, without one in a folder."""

    bucket: str  # empty: a folder of this machine
    prefix: str  # of all keys, without slashes at its ends; or the absolute path of the folder

    def __str__(self) -> str:
        if not self.bucket:
            return f"file://{self.prefix}"
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


def is_store_url(text: str) -> bool:
    """Return whether a text is meant as the URL of a store, and not as a path."""
    return "://" in text


def parse_store_url(text: str, *, field: str) -> StoreUrl:
    """Return the store that a URL names.

    Args:
        text: the URL.
        field: the setting or option that it was read from.

    Raises:
        InvalidInputError: it names no bucket and no folder.
    """
    scheme, _, rest = text.partition("://")
    if (
        scheme == "file"
        and rest.startswith("/")
        and rest.strip("/")
        and ".." not in rest.split("/")
    ):
        return StoreUrl("", "/" + rest.strip("/"))
    return parse_bucket_url(text, field=field, accepted=ACCEPTED)


def parse_bucket_url(text: str, *, field: str, accepted: str = ACCEPTED_BUCKETS) -> StoreUrl:
    """Return the bucket, with a prefix, that a URL names.

    Args:
        text: the URL.
        field: the setting or option that it was read from.
        accepted: the URLs that are accepted there.

    Raises:
        InvalidInputError: it names no bucket.
    """
    scheme, _, rest = text.partition("://")
    bucket, _, prefix = rest.partition("/")
    prefix = prefix.strip("/")
    if (
        scheme == "s3"
        and _BUCKET.fullmatch(bucket)
        and (not prefix or _PREFIX.fullmatch(prefix))
        and not {".", ".."} & set(prefix.split("/"))
    ):
        return StoreUrl(bucket, prefix)
    raise InvalidInputError.of(field, read=text, accepted=accepted)
