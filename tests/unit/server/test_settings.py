"""Where a server may listen, and where its things lie."""

from __future__ import annotations

import pytest

from hippo_core.errors import InvalidStudy
from hippo_server.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_a_server_listens_on_its_own_machine(tmp_path, host):
    settings = Settings(home=tmp_path, storage="s", host=host)
    assert settings.admin_token_file.parent == tmp_path / "server"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.org", "127.0.0.1.evil.test"])
def test_a_server_listens_nowhere_else(tmp_path, host):
    with pytest.raises(InvalidStudy) as refused:
        Settings(home=tmp_path, storage="s", host=host)
    assert refused.value.field == "host"
    assert "tunnel" in refused.value.hint
