"""`python -m registry serve`, and the operators' commands."""

from registry.cli.commands import app

if __name__ == "__main__":
    app(prog_name="registry")
