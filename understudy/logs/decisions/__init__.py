"""Rules and statistics of the logs. Pure: no I/O, clock or randomness."""
