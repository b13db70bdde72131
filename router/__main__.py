"""`python -m router ...`: the router's commands."""

from router.cli.commands import app

app()
