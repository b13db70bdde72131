"""Decisions of the registry. Pure: no I/O, no clock, no protobuf."""
