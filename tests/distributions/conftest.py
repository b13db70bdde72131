"""Fixtures for the tests of the distributions."""

import pytest

from tests.distributions.builds import CLIENT, ROOT, Wheels, build_wheel


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    folder = tmp_path_factory.mktemp("dist")
    return Wheels(
        client=build_wheel(CLIENT, folder / "client"), serving=build_wheel(ROOT, folder / "serving")
    )
