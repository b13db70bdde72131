"""Exit codes of our processes, from sysexits.h where one fits."""

OK = 0
FAILED = 1
REFUSED = 2  # asked for something the state does not allow
USAGE = 64  # EX_USAGE: bad settings or arguments; nothing was started
DATA_ERROR = 65  # EX_DATAERR: input that cannot be used, e.g. a refused artifact
UNAVAILABLE = 69  # EX_UNAVAILABLE: a service needed did not answer
INTERRUPTED = 130  # Ctrl-C before the work was done
