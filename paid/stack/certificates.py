"""A private authority for one PostgreSQL server, and the certificate that it signs for the server's names.

`directory`/authority/ca.key signs and is nobody else's; `directory`/public/ca.crt is for clients, and
`directory`/server/server.key with server.crt for the server. Each is a directory, so that each can be a volume of its
own. Made once: what is there, fits together and lasts is left alone.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

# Clients keep ca.crt: a new authority would cut them off, a new certificate of the same one does not.
AUTHORITY_LASTS = timedelta(days=365 * 30)
CERTIFICATE_LASTS = timedelta(days=365 * 5)
# A server that goes on with the former one has so long to be restarted.
RENEWED_BEFORE = timedelta(days=365)
# A client's clock may be behind ours.
_BACKDATED = timedelta(days=1)


class CertificateError(Exception):
    """The files of a certificate do not fit together."""


@dataclass(frozen=True)
class Owner:
    """Whom the server runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class _Pair:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def make(directory: Path, names: Sequence[str], owner: Owner | None = None) -> bool:
    """Whether a certificate was made: for host names and IP addresses, its key readable by `owner` alone.

    Raises CertificateError where half of an authority is left, OSError where files cannot be written.
    """
    authority = _authority(directory)
    server = directory / "server"
    if _is_good(_read(server / "server.key", server / "server.crt"), authority, names):
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [_general_name(name) for name in names]
    certificate = (
        _builder(names[0], authority.certificate.subject, key.public_key(), CERTIFICATE_LASTS)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    _write(server / "server.key", _in_pem(key), 0o600, owner)
    _write(server / "server.crt", certificate.public_bytes(serialization.Encoding.PEM), 0o644, owner)
    return True


def _authority(directory: Path) -> _Pair:
    key_file, public = directory / "authority" / "ca.key", directory / "public" / "ca.crt"
    found = _read(key_file, public)
    if found is not None:
        return found
    if public.exists():
        raise CertificateError(f"{public} is there and its key {key_file} is not: put it back, or remove both.")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Paid's database authority")])
    certificate = (
        _builder("Paid's database authority", name, key.public_key(), AUTHORITY_LASTS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(_ONLY_SIGNS, critical=True)
        .sign(key, hashes.SHA256())
    )
    # The key first: without ca.crt it is made anew.
    _write(key_file, _in_pem(key), 0o600)
    _write(public, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return _Pair(key, certificate)


_ONLY_SIGNS = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _builder(
    subject: str, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lasts: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + lasts)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_good(found: _Pair | None, authority: _Pair, names: Sequence[str]) -> bool:
    if found is None or found.certificate.public_key() != found.key.public_key():
        return False
    try:
        found.certificate.verify_directly_issued_by(authority.certificate)
    except (InvalidSignature, ValueError):
        return False
    said = found.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    lasts = found.certificate.not_valid_after_utc - datetime.now(UTC)
    return list(said) == [_general_name(name) for name in names] and lasts > RENEWED_BEFORE


def _read(key_file: Path, certificate_file: Path) -> _Pair | None:
    if not (key_file.exists() and certificate_file.exists()):
        return None
    try:
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
    except ValueError as error:
        raise CertificateError(f"{key_file} or {certificate_file} cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{key_file} is none of ours.")
    return _Pair(key, certificate)


def _in_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int, owner: Owner | None = None) -> None:
    """Whole or not at all, and never readable by more than it will be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.new")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    with scratch.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    if owner is not None:
        os.chown(scratch, owner.uid, owner.gid)
    scratch.chmod(mode)
    scratch.rename(path)
