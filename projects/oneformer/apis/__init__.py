"""Loading and checking of configs, inference and reporting of results."""
from .batch import BatchInference, Report, one_line, products_of
from .checks import (build_data, check_checkpoint_file, check_evaluators,
                     check_initial_weights, check_training_tasks, evaluators,
                     metric_class, task_of_evaluator)
from .config import complete_config, load_config, merge_options
from .inferencer import OneFormerInferencer
from .loading import inference_config
from .report import (percentages, result_table, summary_line, token_table,
                     under_own_tokens)
from .result_folder import OutputError, ResultFolder
from .results import plain_result
from .sources import find_files
from .tta import augment_test_data, averaging_model

__all__ = [
    'BatchInference', 'OneFormerInferencer', 'OutputError', 'Report',
    'ResultFolder', 'augment_test_data', 'averaging_model', 'build_data',
    'check_checkpoint_file', 'check_evaluators', 'check_initial_weights',
    'check_training_tasks', 'complete_config', 'evaluators', 'find_files',
    'inference_config', 'load_config', 'merge_options', 'metric_class',
    'one_line', 'percentages', 'plain_result', 'products_of', 'result_table',
    'summary_line', 'task_of_evaluator', 'token_table', 'under_own_tokens'
]
