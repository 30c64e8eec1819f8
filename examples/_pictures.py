"""Where the examples leave their pictures, and how much they do."""

import argparse
import pathlib


def options(description, full=None):
    """What the command line asks for: ``--output FOLDER``, and ``--full`` of scripts that say in words what that does.

    Returns
    -------
    (pathlib.Path, bool)
        Folder for the pictures, by default ``docs/pictures`` of the checkout, and whether all of it is to be done.
    """
    parser = argparse.ArgumentParser(description=description.strip().splitlines()[0])
    default = pathlib.Path(__file__).resolve().parents[1] / "docs" / "pictures"
    parser.add_argument("--output", metavar="FOLDER", type=pathlib.Path, default=default, help="for the pictures")
    if full is not None:
        parser.add_argument("--full", action="store_true", help=full)
    given = parser.parse_args()
    given.output.mkdir(parents=True, exist_ok=True)
    return given.output, getattr(given, "full", False)


def picture_folder(description):
    """Folder for the pictures of a script that has no other options."""
    folder, _ = options(description)
    return folder
