"""The bins that our loader adds to a record of one bin per feature: the rest of the order of records.

They say something only as long as no other tool has written the record since, that is, as long as
its event time is the one in the first of them.
"""

from typing import Final

from understudy.domain.record_layouts import OWN_BIN_PREFIX

OWN_EVENT_BIN: Final = f"{OWN_BIN_PREFIX}event"  # UTC ms
OWN_CREATED_BIN: Final = f"{OWN_BIN_PREFIX}created"  # UTC ms, 0 if unknown
OWN_FINGERPRINT_BIN: Final = f"{OWN_BIN_PREFIX}print"
OWN_INGESTED_BIN: Final = f"{OWN_BIN_PREFIX}ingested"  # UTC ms, 0 if unknown
