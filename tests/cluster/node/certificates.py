"""A certificate authority for one node, and what it signs."""

import datetime
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID = datetime.timedelta(days=30)
"""Longer than any node of ours lives."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


@dataclass(frozen=True)
class Authority:
    """Signs for clients and servers of one node."""

    folder: Path
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def __post_init__(self) -> None:
        self.folder.mkdir(mode=0o700)
        name = _name("node")
        only = x509.BasicConstraints(ca=True, path_length=0)
        built = _builder(name, name, self.key.public_key()).add_extension(only, critical=True)
        self.certificate.write_bytes(_pem(built.sign(self.key, hashes.SHA256())))

    @property
    def certificate(self) -> Path:
        """What proves who was signed for."""
        return self.folder / "ca.crt"

    def client(self, user: str, *groups: str) -> Pair:
        """A pair that Kubernetes takes for a user in groups."""
        return self._issue(user, groups, ExtendedKeyUsageOID.CLIENT_AUTH, ())

    def server(self, name: str, *alternatives: str) -> Pair:
        """A pair for a server that is reached by these names and addresses."""
        return self._issue(name, (), ExtendedKeyUsageOID.SERVER_AUTH, alternatives)

    def signing_key(self, name: str) -> Pair:
        """A public and a private key, the same for one name: for tokens of service accounts."""
        pair = Pair(self.folder / f"{name}.pub", self.folder / f"{name}.key")
        if pair.key.exists():
            return pair
        key = ec.generate_private_key(ec.SECP256R1())
        pair.certificate.write_bytes(
            key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        pair.key.write_bytes(_private(key))
        return pair

    def _issue(
        self,
        name: str,
        groups: Sequence[str],
        usage: x509.ObjectIdentifier,
        alternatives: Sequence[str],
    ) -> Pair:
        file = name.replace(":", "-")
        pair = Pair(self.folder / f"{file}.crt", self.folder / f"{file}.key")
        key = ec.generate_private_key(ec.SECP256R1())
        built = _builder(_name(name, *groups), _name("node"), key.public_key()).add_extension(
            x509.ExtendedKeyUsage([usage]), critical=False
        )
        if alternatives:
            names = x509.SubjectAlternativeName([_general(name) for name in alternatives])
            built = built.add_extension(names, critical=False)
        pair.certificate.write_bytes(_pem(built.sign(self.key, hashes.SHA256())))
        pair.key.write_bytes(_private(key))
        return pair


def _name(common: str, *organizations: str) -> x509.Name:
    return x509.Name(
        [
            *(x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + VALID)
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
