"""Rules of the scorer and its host. Pure: no I/O, no clock."""
