"""The table of published weights names configs that are there."""
import re


def test_configs_of_the_table_exist(root):
    text = (root / 'docs/published_weights.md').read_text()
    rows = re.findall(r'^\| `(\S+\.pth)`.*?\| `([\w-]+\.py)` \|', text, re.M)
    assert len(rows) == 21
    for file, config in rows:
        path = root / f'configs/_base_/models/oneformer_{config}'
        assert path.is_file(), config
        # 150_16_ or 250_16_: queries and context embeddings
        queries = int(re.search(r'(?:^|_)(\d+)_16_', file)[1])
        few = config in ('swin-t.py', ) or '150q' in config
        assert queries == (150 if few else 250), file


def test_files_that_the_text_links_exist(root):
    text = (root / 'docs/published_weights.md').read_text()
    for link in re.findall(r'\]\((?!http)(\S+?)\)', text):
        assert (root / 'docs' / link).is_file(), link
    for tool in re.findall(r'python (tools/\S+\.py)', text):
        assert (root / tool).is_file(), tool
