"""The choice of mirrored requests. Pure: by request id, so that a replay samples the same ones."""

from hashlib import blake2b

from understudy.domain.deployments import FULL_SHARE_BP


def is_sampled(request_id: str, *, shadow_version: int, salt: str, sample_bp: int) -> bool:
    """Return whether this request goes to this shadow; independent between shadows and salts."""
    if sample_bp >= FULL_SHARE_BP:
        return True
    digest = blake2b(
        f"{len(salt)}:{salt}:{shadow_version}:{request_id}".encode(),
        digest_size=8,
        person=b"understudy-mirr",
    ).digest()
    return int.from_bytes(digest, "big") % FULL_SHARE_BP < sample_bp
