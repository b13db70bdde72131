"""`python -m shadow …`: the same commands as `understudy shadow …`."""

from understudy.comparison.cli.commands import app

if __name__ == "__main__":
    app(prog_name="understudy shadow")
