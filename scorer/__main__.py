"""`python -m scorer`: the commands of the scorer."""

from scorer.commands import app

if __name__ == "__main__":
    app(prog_name="python -m scorer")
