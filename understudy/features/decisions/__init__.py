"""Feature rules as pure functions: record format, columns, staleness. No I/O, no clock."""
