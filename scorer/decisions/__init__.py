"""Rules of the scorer and its host: pure, no I/O, no clock."""
