"""A broker with TLS, SCRAM users and the project's own access rules; a second listener's certificate has expired."""

from __future__ import annotations

import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialUpsertion,
)

from deploy.k8s.kafka import SERVICES, rights
from limoflow.errors import LimoflowError
from limoflow.stack.kafka import KafkaBroker
from limoflow.stack.ports import LOOPBACK, PortReservation
from limoflow.stack.processes import running
from limoflow.stream.kafka_errors import connect
from limoflow.stream.settings import BrokerSettings
from limoflow.stream.topics_admin import ensure_topics

ADMIN = "admin"
USERS = (*SERVICES, "cli")
PARTITIONS = 2
_KINDS = {
    "topic": ResourceType.TOPIC,
    "group": ResourceType.GROUP,
    "transactionalId": ResourceType.TRANSACTIONAL_ID,
}
_OPERATIONS = {"Read": AclOperation.READ, "Write": AclOperation.WRITE, "Describe": AclOperation.DESCRIBE}


@dataclass(frozen=True, slots=True)
class SecureBroker:
    """A running broker.

    Attributes
    ----------
    folder : Path
        Of its data and logs.
    expired : str
        Address of the listener with the expired certificate.
    """

    folder: Path
    bootstrap: str
    expired: str
    authority: Path
    passwords: dict[str, str]

    def settings(self, user: str, **changes: object) -> BrokerSettings:
        """Return the settings with which a service signs in."""
        fields = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-512",
            "sasl_username": f"limoflow-{user}" if user != ADMIN else ADMIN,
            "sasl_password": self.passwords[user],
            "ssl_ca_location": str(self.authority),
            "session_timeout_ms": 6000,
            "connect_timeout_s": 15.0,
            "partitions": PARTITIONS,
            **changes,
        }
        return BrokerSettings.model_validate(fields)

    def environment(self, user: str, **changes: object) -> dict[str, str]:
        """Return the same as variables of a process."""
        settings = self.settings(user, **changes)
        fields = settings.model_dump(exclude_none=True) | {"sasl_password": settings.sasl_password.get_secret_value()}  # type: ignore[union-attr]
        return {f"LIMOFLOW_KAFKA_{name}".upper(): str(value) for name, value in fields.items()}


def change_password(broker: SecureBroker, user: str) -> str:
    """Give a user another password, and return the one that holds no longer."""
    former, broker.passwords[user] = broker.passwords[user], secrets.token_urlsafe(18)
    how = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    change = UserScramCredentialUpsertion(f"limoflow-{user}", how, broker.passwords[user].encode())
    admin = connect(broker.settings(ADMIN))
    for altered in admin.alter_user_scram_credentials([change]).values():
        altered.result()
    return former


@contextmanager
def secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """Run a broker on which each service has the rights of topics.yaml, and no user has others."""
    missing = [name for name in ("java", "mvn", "openssl") if shutil.which(name) is None]
    if missing:
        pytest.skip(f"a broker with TLS needs {', '.join(missing)}")
    certificates = Certificates(folder / "certificates")
    passwords = {user: secrets.token_urlsafe(18) for user in (*USERS, ADMIN)}
    known = {ADMIN: passwords[ADMIN]} | {f"limoflow-{user}": passwords[user] for user in USERS}
    extra = PortReservation(1)
    properties = _properties(extra.ports[0], certificates, passwords[ADMIN])
    broker = KafkaBroker(folder, properties=properties, passwords=known)
    spec = broker.spec()
    made = SecureBroker(folder, broker.bootstrap, f"{LOOPBACK}:{extra.ports[0]}", certificates.authority, passwords)
    extra.release()
    with running(replace(spec, ready=lambda: _answers(made))):
        admin = connect(made.settings(ADMIN))
        _grant(admin)
        ensure_topics(made.settings(ADMIN))
        yield made


class Certificates:
    """An authority made for one test, a certificate of the broker, and one that expired yesterday."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder = folder
        self.authority = folder / "authority.pem"
        subject = ["-subj", "/CN=authority of a test"]
        self._openssl(
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            *subject,
            "-keyout",
            "authority.key",
            "-out",
            "authority.pem",
        )
        for name in ("serial", "index.txt"):
            (folder / name).write_text("01\n" if name == "serial" else "", encoding="ascii")
        (folder / "ca.cnf").write_text(_AUTHORITY, encoding="ascii")
        self.valid = self._issue("valid", "20200101000000Z", "20990101000000Z")
        self.expired = self._issue("expired", "20200101000000Z", "20200102000000Z")

    def _issue(self, name: str, begin: str, end: str) -> Path:
        """Return a PEM file with key and certificate for the loopback address."""
        self._openssl(
            "req",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            f"/CN=broker {name}",
            "-keyout",
            f"{name}.key",
            "-out",
            f"{name}.csr",
        )
        dates = ["-startdate", begin, "-enddate", end]
        self._openssl(
            "ca", "-batch", "-notext", "-config", "ca.cnf", *dates, "-in", f"{name}.csr", "-out", f"{name}.crt"
        )
        both = self._folder / f"{name}.pem"
        both.write_bytes((self._folder / f"{name}.key").read_bytes() + (self._folder / f"{name}.crt").read_bytes())
        return both

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True, timeout=60)


_AUTHORITY = """[ca]
default_ca = here
[here]
database = index.txt
serial = serial
new_certs_dir = .
certificate = authority.pem
private_key = authority.key
default_md = sha256
policy = any
unique_subject = no
x509_extensions = address
[any]
commonName = supplied
[address]
subjectAltName = IP:127.0.0.1
"""


def _properties(expired_port: int, certificates: Certificates, admin: str) -> dict[str, str]:
    clients = f"CLIENTS://{LOOPBACK}:${{port}},EXPIRED://{LOOPBACK}:{expired_port}"
    scram = "org.apache.kafka.common.security.scram.ScramLoginModule required"
    broker_properties = {
        "listeners": f"{clients},CONTROLLER://{LOOPBACK}:${{controller_port}}",
        "advertised.listeners": clients,
        "inter.broker.listener.name": "CLIENTS",
        "listener.security.protocol.map": "CONTROLLER:SSL,CLIENTS:SASL_SSL,EXPIRED:SASL_SSL",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
        "listener.name.clients.scram-sha-512.sasl.jaas.config": f'{scram} username="{ADMIN}" password="{admin}";',
        "listener.name.expired.scram-sha-512.sasl.jaas.config": f"{scram};",
        # Nobody reaches the controller's listener without the broker's own key.
        "listener.name.controller.ssl.client.auth": "required",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:CN=broker valid",
        "allow.everyone.if.no.acl.found": "false",
    }
    stores = {"ssl": certificates.valid, "listener.name.expired.ssl": certificates.expired}
    for prefix, keys in stores.items():
        broker_properties |= {
            f"{prefix}.keystore.type": "PEM",
            f"{prefix}.keystore.location": str(keys),
            f"{prefix}.truststore.type": "PEM",
            f"{prefix}.truststore.location": str(certificates.authority),
        }
    return broker_properties


def _answers(broker: SecureBroker) -> bool:
    try:
        found = connect(broker.settings(ADMIN, connect_timeout_s=2.0)).list_topics(timeout=2.0)
    except LimoflowError:
        return False
    return bool(found.brokers)


def _grant(admin: AdminClient) -> None:
    bindings = [
        binding(user, AclPermissionType.ALLOW, operation, **rule["resource"])
        for user in USERS
        for rule in rights(user)
        for operation in rule["operations"]
    ]
    for made in admin.create_acls(bindings).values():
        made.result()


def binding(user: str, permission: Any, operation: str, type: str, name: str, patternType: str) -> AclBinding:  # noqa: A002, N803
    """Return Kafka's form of one of Strimzi's rules."""
    pattern = ResourcePatternType.PREFIXED if patternType == "prefix" else ResourcePatternType.LITERAL
    return AclBinding(_KINDS[type], name, pattern, f"User:limoflow-{user}", "*", _OPERATIONS[operation], permission)
