"""Scratch folders of the tests stay away from those of the repository."""

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_ROOT", str(tmp_path_factory.mktemp("root")))
        yield
