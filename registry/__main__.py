"""`python -m registry`: the same commands as `understudy registry`."""

from registry.cli.commands import app

if __name__ == "__main__":
    app(prog_name="understudy registry")
