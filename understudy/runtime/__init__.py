"""What every process does alike: settings, logs, lifecycle, errors on the wire, metrics."""

import os

# Our processes start others by fork and exec (uvloop), never to go on in the child. gRPC's fork
# handlers run in that child all the same, and crashed 1 of 300 beside a busy channel. Read by
# grpc-core when it starts, hence here, before anything of ours imports it.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
