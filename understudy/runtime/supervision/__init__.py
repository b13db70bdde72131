"""Child processes: how each is started, watched, started again and stopped."""
