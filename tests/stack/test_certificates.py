"""What the certificate step leaves alone, what it makes anew, and what it refuses."""

from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from cryptography import x509
from django.core.management import CommandError, call_command

from paid.stack import certificates
from paid.stack.certificates import CertificateError

NAMES = ["db.internal", "10.0.0.7"]


def files(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


@pytest.fixture
def made(tmp_path: Path) -> Path:
    assert certificates.make(tmp_path, NAMES)
    return tmp_path


def test_the_authority_signs_a_certificate_for_the_names_and_keys_are_private(made: Path):
    server = certificate(made / "server" / "server.crt")
    server.verify_directly_issued_by(certificate(made / "public" / "ca.crt"))
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["db.internal"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.7"]
    assert set(files(made)) == {"authority/ca.key", "public/ca.crt", "server/server.key", "server/server.crt"}
    assert {path.stat().st_mode & 0o777 for path in made.rglob("*.key")} == {0o600}


def test_a_second_time_everything_is_left(made: Path):
    before = files(made)
    assert not certificates.make(made, NAMES)
    assert files(made) == before


def replaced(made: Path, names: list[str]) -> set[str]:
    """The files that are other ones after a further step."""
    before = files(made)
    assert certificates.make(made, names)
    return {name for name, content in files(made).items() if content != before.get(name)}


SERVERS = {"server/server.key", "server/server.crt"}


def test_other_names_get_another_certificate_and_clients_keep_their_authority(made: Path):
    assert replaced(made, ["postgres"]) == SERVERS


def test_in_its_last_year_it_is_renewed_and_clients_keep_their_authority(made: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(certificates, "RENEWED_BEFORE", certificates.CERTIFICATE_LASTS + timedelta(days=1))
    assert replaced(made, NAMES) == SERVERS


def test_a_certificate_without_its_key_is_replaced(made: Path):
    (made / "server" / "server.key").unlink()
    assert replaced(made, NAMES) == SERVERS


def test_a_certificate_with_the_key_of_another_one_is_replaced(made: Path, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("other")
    certificates.make(other, NAMES)
    (made / "server" / "server.key").write_bytes((other / "server" / "server.key").read_bytes())
    assert replaced(made, NAMES) == SERVERS


def test_a_certificate_of_another_authority_is_replaced(made: Path, tmp_path_factory: pytest.TempPathFactory):
    other = tmp_path_factory.mktemp("other")
    certificates.make(other, NAMES)
    for name in SERVERS:
        (made / name).write_bytes((other / name).read_bytes())
    assert replaced(made, NAMES) == SERVERS


def test_half_an_authority_is_refused_and_nothing_changes(made: Path):
    (made / "authority" / "ca.key").unlink()
    before = files(made)
    with pytest.raises(CertificateError, match=r"ca\.key is not: put it back, or remove both"):
        certificates.make(made, NAMES)
    assert files(made) == before


def test_the_command_says_whether_it_made_one(tmp_path: Path):
    said = []
    for _ in range(2):
        out = StringIO()
        call_command("database_certificates", str(tmp_path), "--name", "postgres", stdout=out)
        said.append(out.getvalue())
    assert said == ["made a certificate for postgres\n", "the certificate for postgres lasts\n"]


def test_a_name_that_no_certificate_can_have_is_an_error_of_the_command(tmp_path: Path):
    with pytest.raises(CommandError, match="A-label"):
        call_command("database_certificates", str(tmp_path), "--name", "dätenbank")
