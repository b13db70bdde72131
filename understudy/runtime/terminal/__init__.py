"""Output of all commands to a terminal or a pipe: tables for people, JSON for programs, failures."""
