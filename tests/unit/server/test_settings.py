"""Where a server may listen, and where its things lie."""

from __future__ import annotations

import pytest

from hippo_core.errors import InvalidStudy
from hippo_server.settings import Settings


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_a_server_listens_on_its_own_machine(tmp_path, host):
    settings = Settings(home=tmp_path, storage="s", host=host)
    assert settings.admin_token_file.parent == tmp_path / "server"


def test_two_services_need_two_ports(tmp_path):
    with pytest.raises(InvalidStudy, match="as grpc_port is"):
        Settings(home=tmp_path, storage="s", grpc_port=7440, http_port=7440)
    Settings(home=tmp_path, storage="s", grpc_port=0, http_port=0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "example.org", "127.0.0.1.evil.test"])
def test_a_server_listens_nowhere_else(tmp_path, host):
    with pytest.raises(InvalidStudy) as refused:
        Settings(home=tmp_path, storage="s", host=host)
    assert refused.value.field == "host"
    assert "tunnel" in refused.value.hint
