"""The words that all services share. Values and rules only: no I/O, no clock, no protobuf."""
