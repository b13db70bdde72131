"""The command line of generators of pages: write the page, or compare it."""

import argparse
import sys
from pathlib import Path


def write_or_compare(page: Path, written: str, *, target: str) -> int:
    """Write the page, or with --check return 1 if it is not current; `target` of make renews it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="only compare")
    if not parser.parse_args().check:
        page.write_text(written)
        return 0
    if page.exists() and page.read_text() == written:
        return 0
    sys.stderr.write(f"{page.name} is not current: run `make {target}`\n")
    return 1
