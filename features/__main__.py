"""`python -m features`: the commands over feature views and stores."""

from features.commands import app

if __name__ == "__main__":
    app(prog_name="understudy features")
