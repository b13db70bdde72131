"""The common parts of all processes: settings, logs, lifecycle, errors on the wire, metrics."""

import os

# Our processes start others by fork and exec (uvloop), and never continue in the child. gRPC's fork
# handlers nevertheless run in that child, and crashed 1 of 300 with a busy channel. grpc-core reads
# this setting when it starts, so it is set before any of our modules imports it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
