"""What the registry keeps: versions, revisions and audit rows in a database, artifacts in files."""
