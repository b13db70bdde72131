"""`python -m router ...`: the router's commands."""

from router.commands import app

app()
