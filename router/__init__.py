"""The request path: admit, assign, fetch, assemble, infer, answer, mirror, log."""
