"""Running a command of the converters in this process."""
import sys

import pytest

from tests.conftest import ROOT

# As for the commands themselves, which import their neighbours by name.
sys.path.insert(0, str(ROOT / 'tools/dataset_converters'))

import preparation  # noqa: E402


@pytest.fixture
def command(capsys):
    """A function that runs a command.

    It returns the exit status and what was said, on both streams together.
    """

    def run(split_class, root, *options):
        arguments = [str(root), '--workers', '2', *options]
        if '--splits' not in options:
            arguments += ['--splits', 'val']
        capsys.readouterr()
        status = preparation.run(split_class, 'A test.', arguments)
        said = capsys.readouterr()
        return status, said.out + said.err

    return run
