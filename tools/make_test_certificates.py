"""A certificate authority, a server's certificate and devices' keys, for trying a federation.

    python tools/make_test_certificates.py FOLDER --host server.example --devices 3

writes to FOLDER ``ca.crt``, ``server.pem`` and ``server.key`` (for the SuperLink; devices need
``ca.crt`` alone) and, for each device, ``device-0`` (private, for that device alone) and
``device-0.pub`` (to be registered). The server's certificate is good for the hosts named, for
localhost and 127.0.0.1, for 30 days. The authority's own key is thrown away: nobody can sign
another certificate with it. For more than a trial use an authority that can renew.
"""

from __future__ import annotations

import argparse
import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAYS = 30
ALWAYS = ("localhost", "127.0.0.1")


def make(folder: Path, hosts: list[str], n_devices: int) -> None:
    """Write all files. Refuses a folder that holds a ``ca.crt`` already."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "ca.crt").exists():
        raise FileExistsError(f"{folder} holds an authority already; name another folder")
    ca_key, server_key = _new_key(), _new_key()
    ca = _certificate("sklsh test authority", ca_key.public_key(), ca_key, "sklsh test authority")
    names: list[x509.GeneralName] = [_alternative(host) for host in {*hosts, *ALWAYS}]
    server = _certificate(
        (hosts or ALWAYS)[0], server_key.public_key(), ca_key, "sklsh test authority", names
    )
    _write(folder / "ca.crt", ca.public_bytes(serialization.Encoding.PEM))
    _write(folder / "server.pem", server.public_bytes(serialization.Encoding.PEM))
    _write(folder / "server.key", _private(server_key, serialization.PrivateFormat.PKCS8))
    for i in range(n_devices):
        key = _new_key()
        _write(folder / f"device-{i}", _private(key, serialization.PrivateFormat.OpenSSH))
        public = key.public_key().public_bytes(
            serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
        )
        _write(folder / f"device-{i}.pub", public + b"\n")


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP384R1())


def _certificate(name: str, public, signer, issuer: str, alternatives=None) -> x509.Certificate:
    """One that `signer` vouches for; without alternatives, an authority's own."""
    now = datetime.now(UTC)
    authority = alternatives is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=False, key_encipherment=False,
                data_encipherment=False, key_agreement=False, key_cert_sign=authority,
                crl_sign=authority, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
    )  # fmt: skip
    if not authority:
        builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(signer, hashes.SHA384())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key, form) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def _write(path: Path, data: bytes) -> None:
    # Private keys must never be readable by others, not even for a moment.
    path.touch(mode=0o600)
    path.write_bytes(data)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--host", action="append", default=[], help="name or address; again for more"
    )
    parser.add_argument("--devices", type=int, default=2)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.host, arguments.devices)
