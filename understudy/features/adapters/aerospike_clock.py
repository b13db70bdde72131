"""The offset of a server's clock from ours, derived from the expiry time of a record."""

from aerospike import exception as aerospike_errors

from understudy.features.adapters.aerospike_client import AerospikeOptions, open_client

_TTL_S = 3600


def clock_skew_s(options: AerospikeOptions) -> float | None:
    """Return the server's clock minus ours, to the second.

    None if unknown: records in the namespace never expire, or the server does not answer.

    Raises:
        UnavailableError: no server accepts the connection; the message gives the reason.
    """
    client = open_client(options, must_connect=True)
    key = (options.namespace, f"{options.set_prefix}_ping", "clock")
    try:
        client.put(key, {"v": 0}, policy={"ttl": _TTL_S})
        # The server's expiry time minus our clock, as computed by the client.
        _, meta = client.exists(key)
    except aerospike_errors.AerospikeError:
        return None
    finally:
        client.close()
    return None if meta is None else float(meta["ttl"] - _TTL_S)
