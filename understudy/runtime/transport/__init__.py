"""Ports and channels: the only place that opens them, with certificates or in plaintext."""
