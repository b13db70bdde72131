"""`python -m features`: the commands over feature views and stores."""

from understudy.features.cli.commands import app

if __name__ == "__main__":
    app(prog_name="understudy features")
