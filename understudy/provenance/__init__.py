"""Provenance of a version: the record, its capture, and its export."""
