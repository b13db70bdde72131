"""The vocabulary that all services share. Values and rules only: no I/O, clock or protobuf."""
