"""Score, shadow and outcome logs: written by routers, read and compared by analysts."""
