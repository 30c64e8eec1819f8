"""Where the examples leave their pictures."""

import argparse
import pathlib


def picture_folder(description):
    """Folder for the pictures of a script: ``--output FOLDER``, or ``docs/pictures`` of the checkout."""
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    default = pathlib.Path(__file__).resolve().parents[1] / "docs" / "pictures"
    parser.add_argument("--output", metavar="FOLDER", type=pathlib.Path, default=default, help="for the pictures")
    folder = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    return folder
