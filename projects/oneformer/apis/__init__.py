"""Loading of configs and reporting of results."""
from .config import complete_config, count_classes, load_config
from .report import (percentages, result_table, summary_line, token_table,
                     under_own_tokens)

__all__ = [
    'complete_config', 'count_classes', 'load_config', 'percentages',
    'result_table', 'summary_line', 'token_table', 'under_own_tokens'
]
