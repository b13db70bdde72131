"""`python -m router`: the same commands as `understudy router`."""

from router.cli.commands import app

if __name__ == "__main__":
    app(prog_name="understudy router")
