"""Where a version comes from: the record, the gate that wants it complete, helpers to fill it."""
