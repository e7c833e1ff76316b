"""Documented commands are such as the tools take, and all tools have some."""
import argparse
import re
import runpy
import sys

import pytest

from tests.docs.exceptions import FOREIGN, NOT_RUN
from tests.docs.markdown import ROOT, Command, all_commands, documents

#: All that can be called, and not only imported.
TOOLS = sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / 'tools').rglob('*.*')
    if path.suffix == '.sh' or path.suffix == '.py'
    and re.search(r'sys\.argv\[1|__main__', path.read_text()))
#: Launchers: the tool they start, which of their words go to it, and how many
#: there are before its own options.
LAUNCHERS = {
    'tools/dist_train.sh': ('tools/train.py', (0, ), 2),
    'tools/dist_test.sh': ('tools/test.py', (0, 1), 3),
    'tools/slurm_train.sh': ('tools/train.py', (2, ), 4),
    'tools/slurm_test.sh': ('tools/test.py', (2, 3), 4)
}
#: Tools without options: their number of words, None for any.
PLAIN = {
    'tools/quickstart.sh': 0,
    'tools/run_tests.sh': None,
    'tools/run_onnx.py': 4
}
#: Those of the tools of this repository.
COMMANDS = [
    command for command in all_commands()
    if re.match(r'(python|bash) tools/', str(command))
]


def split_command(command: Command) -> tuple:
    """The tool that reads the options of a command, and what it gets."""
    interpreter, tool, *arguments = command.shown
    assert interpreter == ('bash' if tool.endswith('.sh') else 'python')
    if tool in LAUNCHERS:
        tool, own, first = LAUNCHERS[tool]
        arguments = [arguments[place] for place in own] + arguments[first:]
    return tool, arguments


class Parsed(BaseException):
    """The arguments were accepted."""


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Let a tool parse arguments, and do no more."""
    parse_args = argparse.ArgumentParser.parse_args

    def parse_and_stop(*args, **kwargs):
        parse_args(*args, **kwargs)
        raise Parsed

    def run(tool, arguments):
        (tmp_path / 'classes.txt').write_text('sky\nroad\n')
        monkeypatch.chdir(tmp_path)
        path = ROOT / tool
        monkeypatch.setattr(sys, 'argv', [tool, *arguments])
        monkeypatch.setattr(sys, 'path', [str(path.parent), *sys.path])
        module = runpy.run_path(str(path))
        if 'parse_args' in module:  # it may check more than the parser
            module['parse_args']()
            return
        monkeypatch.setattr(argparse.ArgumentParser, 'parse_args',
                            parse_and_stop)
        with pytest.raises(Parsed):
            runpy.run_path(str(path), run_name='__main__')

    return run


@pytest.mark.parametrize('command', COMMANDS, ids=str)
def test_options_are_those_of_the_tool(command, parse):
    tool, arguments = split_command(command)
    assert tool in TOOLS
    if tool in PLAIN:
        assert PLAIN[tool] in (None, len(arguments))
    else:
        parse(tool, arguments)


def test_wrong_options_are_noticed(parse, capsys):
    with pytest.raises(SystemExit):
        parse('tools/test.py', ['CONFIG', 'CHECKPOINT', '--task', 'semantic'])
    with pytest.raises(SystemExit):
        parse('tools/dataset_converters/coco.py', ['--chek'])
    assert '--chek' in capsys.readouterr().err


def test_other_commands_are_known():
    known = '|'.join([FOREIGN, *NOT_RUN, r'python \w+\.py'])
    for command in all_commands():
        assert command in COMMANDS or re.fullmatch(known, str(command))


@pytest.mark.parametrize('tool', TOOLS)
def test_every_tool_is_documented(tool):
    assert any(
        tool in (ROOT / document).read_text() for document in documents())


def test_no_exception_is_out_of_date():
    everything = list(map(str, all_commands()))
    for pattern in NOT_RUN:
        assert any(re.fullmatch(pattern, text) for text in everything), pattern
