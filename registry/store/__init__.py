"""The registry's storage: versions, revisions and audit rows in a database, artifacts in files."""
