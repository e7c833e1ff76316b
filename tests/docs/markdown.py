"""What the documentation holds: links, code, and commands in it."""
import re
import shlex
from pathlib import Path
from typing import Dict, List, NamedTuple

ROOT = Path(__file__).resolve().parents[2]

#: What an option that a command may have stands in.
_OPTIONAL = re.compile(r'\[[^\]]*\]')
#: Not options, but what else may follow.
_OTHERS = re.compile(r'\[options of [^\]]*\]')
#: Languages of blocks that have commands.
SHELL = ('bash', 'shell')
_ASSIGNMENT = re.compile(r'(\w+)=(\S*)')


class Block(NamedTuple):
    """A block of code: the file it stands in, its language and its text."""
    file: str
    language: str
    text: str

    @property
    def path(self) -> str:
        """The file that its first line names, or an empty string."""
        match = re.match(r'# (\S+\.py)\n', self.text)
        return match[1] if match else ''

    @property
    def is_script(self) -> bool:
        """Whether it does something, and is no settings of a config."""
        return re.search(r'^(import|from) ', self.text, re.M) is not None


class Command(NamedTuple):
    """A command as it stands in a file, variables replaced.

    ``shown`` is all of it, with the options that it may have; ``words`` are
    without these.
    """
    file: str
    shown: List[str]
    words: List[str]

    def __str__(self) -> str:
        return ' '.join(self.words)


def documents() -> List[str]:
    """All Markdown files, relative to the root."""
    folders = ('configs', 'data', 'docs')
    return ['README.md'] + sorted(
        str(path.relative_to(ROOT)) for folder in folders
        for path in (ROOT / folder).rglob('*.md')
        if folder != 'data' or path.parent == ROOT / 'data')


def blocks(document: str) -> List[Block]:
    """The blocks of code in a file, in order."""
    text = (ROOT / document).read_text()
    return [
        Block(document, language, code)
        for language, code in re.findall(r'^```(\w*)\n(.*?)^```$', text, re.M
                                         | re.S)
    ]


def prose(document: str) -> str:
    """A file without its blocks of code."""
    text = (ROOT / document).read_text()
    return re.sub(r'^```.*?^```$', '', text, flags=re.M | re.S)


def links(document: str) -> List[str]:
    """What a file links to in this repository, as it writes it."""
    return re.findall(r'\]\((?!\w+:)([^)\s]+)\)', prose(document))


def anchors(document: str) -> List[str]:
    """What links to the headings of a file end in."""
    headings = re.findall(r'^#+ (.*)$', prose(document), re.M)
    return [
        re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        for heading in headings
    ]


def commands(block: Block) -> List[Command]:
    """The commands of a block of shell code."""
    variables: Dict[str, str] = {}
    found = []
    for line in re.sub(r'\\\n\s*', ' ', block.text).splitlines():
        if re.match(r'\w+=\$\(', line):
            continue  # found by another command, which is not of here
        for name, value in variables.items():
            line = line.replace(f'${name}', value)
        shown = shlex.split(
            re.sub(r'[\[\]]', '', _OTHERS.sub('', line)), comments=True)
        words = shlex.split(_OPTIONAL.sub('', line), comments=True)
        assigned = {}
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            assigned[match[1]] = match[2]
            del words[0], shown[0]
        if words:
            found.append(Command(block.file, shown, words))
        else:
            variables.update(assigned)
    return found


def all_commands() -> List[Command]:
    """The commands of all files."""
    return [
        command for document in documents() for block in blocks(document)
        if block.language in SHELL for command in commands(block)
    ]
