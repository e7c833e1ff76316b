"""What the documentation shows and the tests do not run, and why."""
import re

from tests.docs.markdown import Block, Command

#: Commands that are not of this repository.
FOREIGN = r'(pip install|ln -s) .*'
#: What is not run here, and why.
NOT_RUN = {
    FOREIGN:
    'changes the environment',
    r'bash tools/quickstart\.sh':
    'takes a quarter of an hour: tests/tools/test_quickstart.py',
    r'bash tools/run_tests\.sh.*':
    'runs this test',
    r'bash tools/(dist|slurm)_.*':
    'needs GPUs: tests/tools/test_launchers.py',
    r'python tools/web_demo\.py .*':
    'serves until it is stopped: tests/tools/test_web_demo.py',
    r'python tools/dataset_converters/(coco|ade20k|cityscapes|mapillary_\w+)'
    r'\.py.*':
    'needs the data set: tests/tools/dataset_converters has miniatures',
    r'python tools/model_converters/(official|huggingface|backbone)_to_.*':
    'needs published weights: tests/tools/test_model_converters.py',
    r'python tools/model_converters/mmdet_to_.*':
    'needs the model of a published row: tests/tools/test_model_converters.py',
    r'python tools/model_converters/efficientnet_lite0_to_timm\.py':
    'needs the package that holds the weights',
    r'python tools/(train|test)\.py configs/(camvid|finetune)/.*':
    'needs the data set and weights',
    r'python tools/write_config\.py .* --load-from .*':
    'needs a published checkpoint: tests/tools/test_write_config.py',
    r'python tools/analysis_tools/(benchmark|plot_growth|profile_parts)\.py.*':
    'measures for minutes',
    r'python \$MMSEG/.*':
    'needs ADE20K or Cityscapes: tests/mmseg/test_oneformer_segmentor.py',
}
#: Settings that are not complete, and scripts that are not run: how they
#: begin, and why.
NOT_EXECUTED = {
    'categories = [\n    dict(name=\'person\'':
    'has dots in place of settings: tests/datasets/test_training.py',
    'import projects.oneformer  # first: MMSegmentation':
    'needs published weights: tests/mmseg/test_oneformer_segmentor.py',
}
#: Code that makes what a document takes for granted.
PREPARED = {
    'docs/deployment.md': 'import torch\nimage = torch.zeros(1, 3, 128, 128)\n'
}


def reason_not_run(command: Command) -> str:
    """Why a command is not run; empty if it is."""
    reasons = [
        reason for pattern, reason in NOT_RUN.items()
        if re.fullmatch(pattern, str(command))
    ]
    return reasons[0] if reasons else ''


def reason_not_executed(block: Block) -> str:
    """Why a block of Python is not executed; empty if it is."""
    reasons = [
        reason for beginning, reason in NOT_EXECUTED.items()
        if block.text.startswith(beginning)
    ]
    return reasons[0] if reasons else ''
