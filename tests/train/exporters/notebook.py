"""A notebook as an editor runs it: cells in a real kernel, outputs saved into the file.

    python -m tests.train.exporters.notebook FILE

Prints the texts that the cells print; fails with the error of a cell.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

LIMIT_S = 600  # of a cell


def main(file: Path) -> None:
    notebook = nbformat.read(file, as_version=4)
    place = {"metadata": {"path": str(file.parent)}}
    NotebookClient(notebook, timeout=LIMIT_S, kernel_name="python3", resources=place).execute()
    nbformat.write(notebook, file)
    for cell in notebook.cells:
        for output in cell.outputs:
            print(output.get("text", ""), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
