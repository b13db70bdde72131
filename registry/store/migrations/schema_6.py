"""The schema that the first step leads from. No step leads to it: earlier builds made it themselves."""

revision = "6"
down_revision = None
