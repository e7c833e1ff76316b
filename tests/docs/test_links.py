"""Links lead somewhere, and from the README one gets everywhere."""
import os
from pathlib import Path

import pytest

from tests.docs.markdown import ROOT, anchors, documents, links

DOCUMENTS = documents()


@pytest.mark.parametrize('document', DOCUMENTS)
def test_links_lead_somewhere(document):
    folder = (ROOT / document).parent
    for link in links(document):
        path, _, anchor = link.partition('#')
        target = folder / path if path else ROOT / document
        assert target.exists(), link
        if anchor:
            place = os.path.relpath(target.resolve(), ROOT)
            assert anchor in anchors(place), link


def test_the_readme_leads_to_every_document():
    reached, waiting = set(), ['README.md']
    while waiting:
        document = waiting.pop()
        reached.add(document)
        folder = Path(document).parent
        targets = {
            os.path.normpath(folder / link.partition('#')[0])
            for link in links(document)
        }
        waiting += sorted(targets & set(DOCUMENTS) - reached)
    assert reached == set(DOCUMENTS)
