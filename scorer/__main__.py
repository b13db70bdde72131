"""`python -m scorer`: the same commands as `understudy scorer`."""

from scorer.commands import app

if __name__ == "__main__":
    app(prog_name="understudy scorer")
