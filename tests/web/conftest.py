"""The tiny model of the tests of the inferencer."""
from tests.apis import conftest as apis

image_file = apis.image_file
inferencer = apis.inferencer
model_files = apis.model_files
