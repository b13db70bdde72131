"""What the registry decides. Pure: no I/O, no clock, no protobuf."""
