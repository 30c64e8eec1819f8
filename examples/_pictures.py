"""What all examples have in common: where they leave their pictures, and whether they run in full."""

import argparse
import pathlib


def picture_folder(description):
    """Folder for the pictures of a script: ``--output FOLDER``, or ``docs/pictures`` of the checkout."""
    return read_options(description).folder


def read_options(description, full=None):
    """Options of a script: the `folder` for its pictures; and where `full` says what for, whether to run in `full`."""
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    default = pathlib.Path(__file__).resolve().parents[1] / "docs" / "pictures"
    parser.add_argument(
        "--output", dest="folder", metavar="FOLDER", type=pathlib.Path, default=default, help="for the pictures"
    )
    if full is not None:
        parser.add_argument("--full", action="store_true", help=full)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    return options
