"""Tells whether the running Python has what the project needs.

Used by setup_env.sh, and therefore free of imports beyond the standard
library until the environment is known to be complete. What is needed, and in
which range, is read from setup.cfg.
"""
import argparse
import configparser
import hashlib
import importlib
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = ('tests', 'camvid', 'export', 'web')

#: Installed without their dependencies, see setup_env.sh.
NO_DEPS = ('panopticapi-lite', 'cityscapesScripts', 'pyquaternion')

#: Those whose binaries may fail, or whose files may be incomplete.
IMPORTS = ('torch', 'torchvision', 'cv2', 'matplotlib', 'scipy.optimize',
           'pycocotools.mask', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'timm',
           'panopticapi', 'pytest')


def requirements():
    """Return the requirements of setup.cfg, extras included, as strings."""
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg', encoding='utf-8')
    text = config['options']['install_requires']
    for extra in EXTRAS:
        text += config['options.extras_require'][extra]
    return text.split()


def misfit(wanted):
    """Return what is missing or out of range as a sentence, or None."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
    for requirement in map(Requirement, wanted):
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            return f'{requirement.name} is not installed'
        if not requirement.specifier.contains(found, prereleases=True):
            return f'{requirement.name} is {found}, but should be ' \
                   f'{requirement.specifier}'
    return None


def broken_import(names):
    """Return why one of the modules cannot be imported, or None."""
    for name in names:
        try:
            importlib.import_module(name)
        except Exception as error:  # a broken binary may raise anything
            reason = ' '.join(str(error).split())
            return f'{name} cannot be imported ({reason})'
    return None


def key():
    """Return a hash of the pins, the ranges and the Python version."""
    parts = [*map(str, sys.version_info[:2]), *requirements(), *NO_DEPS]
    pins = (ROOT / 'requirements' / 'tested.txt').read_bytes()
    return hashlib.sha256('\n'.join(parts).encode() + pins).hexdigest()


def sealed(stamp):
    """Return what differs from the sealed environment, or None."""
    if not stamp.is_file() or stamp.read_text().strip() != key():
        return 'the environment is not set up for these versions'
    return misfit([*requirements(), *NO_DEPS])


def seal(stamp):
    """Check the environment thoroughly and, if it fits, write the stamp."""
    problem = misfit([*requirements(), *NO_DEPS]) or broken_import(IMPORTS)
    if problem is None:
        try:
            stamp.write_text(key() + '\n')
        except PermissionError:  # a shared environment: check every time
            pass
    return problem


def torch_pins():
    """Return torch and torchvision as pins, or None if they do not work."""
    wanted = [r for r in requirements() if r.startswith('torch')]
    if misfit(wanted) or broken_import(('torch', 'torchvision')):
        return None
    return '\n'.join(f'{name}=={version(name)}'
                     for name in ('torch', 'torchvision'))


def main():
    """Print what was asked for, or fail with one line that says why not."""
    parser = argparse.ArgumentParser(description=__doc__)
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        '--requirements',
        action='store_true',
        help='print the requirements, one a line')
    action.add_argument(
        '--torch',
        action='store_true',
        help='print the versions of a torch and torchvision that can be kept')
    action.add_argument(
        '--sealed',
        type=Path,
        metavar='STAMP',
        help='check that the environment is the one that was sealed')
    action.add_argument(
        '--seal',
        type=Path,
        metavar='STAMP',
        help='check versions and imports, then write the stamp')
    args = parser.parse_args()
    if args.requirements:
        print('\n'.join(requirements()))
    elif args.torch:
        pins = torch_pins()
        if pins is None:
            sys.exit('there is no torch and torchvision that can be kept')
        print(pins)
    else:
        # a message as the exit status is printed and means failure
        sys.exit(sealed(args.sealed) if args.sealed else seal(args.seal))


if __name__ == '__main__':
    main()
