"""Running a script in a process of its own, which has its libraries."""
import os
import runpy
import sys
from typing import List


def run_here(folder: str, words: List[str], code: str) -> None:
    """Run a script, or code, in this process, which is good for nothing after.

    Args:
        folder: Where; what is printed goes to output.txt in it.
        words: The script and its arguments.
        code: What is run in place of a script.
    """
    os.chdir(folder)
    os.environ.update(OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='')
    with open('output.txt', 'w') as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.path[:0] = [folder, os.path.dirname(words[0])]
    sys.argv = list(words)
    if code:
        exec(compile(code, words[0], 'exec'), dict(__name__='__main__'))
    else:
        runpy.run_path(words[0], run_name='__main__')
