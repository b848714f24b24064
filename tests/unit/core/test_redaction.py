"""Secrets in what users and servers write: a RunSpec with one is refused, and messages do not repeat it."""

from __future__ import annotations

import itertools
import json
import re
import time
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_settings import BaseSettings

from limoflow.errors import PoisonError, RunSpecError, UsageError
from limoflow.inference.endpoint import chat_client
from limoflow.redaction import MASK, holds_credentials, known_secrets, redacted
from limoflow.settings import from_environment
from limoflow.spec_file import check_spec, load_spec
from limoflow.stream.settings import BrokerSettings
from schemas.run import Chat

SECRET = "planted-secret-0123"


@pytest.mark.parametrize(
    "text",
    [
        f"s3://AKIA:{SECRET}@bucket/rows.jsonl",
        f"s3://AKIA:with/slash+{SECRET}@bucket/rows.jsonl",
        f"https://{SECRET}@github.example/rows.jsonl",
        f"https://store.example/rows.jsonl?X-Amz-Signature={SECRET}&x=1",
        f"https://store.example/rows.jsonl?sv=1&sig={SECRET}",
    ],
)
def test_addresses_with_credentials_are_recognised_and_masked(text: str):
    assert holds_credentials(text)
    assert SECRET not in redacted(f"cannot read {text!r}: refused", ())


@pytest.mark.parametrize(
    "text",
    [
        "s3://bucket/data@2024/rows.jsonl",
        "http://host:8000/data@v1/rows",
        "lake/*.jsonl",
        "a@b.example",
        "https://h/?q=1",
    ],
)
def test_what_only_resembles_credentials_stays(text: str):
    assert not holds_credentials(text)
    assert redacted(text, ()) == text


def test_secrets_of_the_environment_are_known_by_name_and_in_addresses():
    environment = {
        "AWS_SECRET_ACCESS_KEY": "one-secret",
        "JUDGE_KEY": "two-secret",
        "HTTPS_PROXY": "http://me:three-secret@proxy:3128",
        "PATH": "/usr/bin:/bin",
        "X_TOKEN": "short",
    }
    assert set(known_secrets(environment)) == {"one-secret", "two-secret", "three-secret"}


@given(st.text(), st.text(), st.text(min_size=6))
def test_a_known_secret_never_comes_through(before: str, after: str, secret: str):
    left = redacted(before + secret + after, (secret,))
    assert secret not in left or secret in MASK or MASK in left


@pytest.mark.parametrize(
    "written",
    [
        repr,
        lambda secret: repr(f"{secret}'")[:-1],
        ascii,
        json.dumps,
        lambda secret: json.dumps(secret, ensure_ascii=False),
        quote_plus,
        lambda secret: quote(secret, safe=""),
        lambda secret: re.sub("%..", lambda code: code[0].lower(), quote(secret)),
        lambda secret: b64encode(secret.encode()).decode(),
        lambda secret: b64encode(f"ab{secret}cd".encode()).decode(),
        lambda secret: b64encode(f"u:{secret}".encode()).decode(),
        lambda secret: urlsafe_b64encode(f"user:{secret}@".encode()).decode(),
    ],
)
@pytest.mark.parametrize("secret", [SECRET, 'pla\\nt/ed+"se cret"\n', "gehei\u00dfn\u00e4s?>~~~"])
def test_a_known_secret_is_masked_in_every_spelling(secret: str, written: Callable[[str], str]):
    said = written(secret)
    left = redacted(f"the store said {said}: no", (secret,))
    assert MASK in left
    assert all(said[at : at + 8] not in left for at in range(len(said) - 8))
    assert left.startswith("the store said ")
    assert left.endswith(": no")


FRAGMENTS = [
    "://",
    "://a:",
    "://a",
    ":",
    "/",
    "@",
    "?",
    "&",
    "?a",
    "&token",
    "?token=",
    "=",
    "bearer ",
    "basic ",
    "basic a",
    "1/",
]


def test_masking_takes_time_that_grows_with_the_text_and_not_with_its_square():
    """Whatever two fragments of what is masked are repeated: a square would take minutes for some of them."""
    began = time.process_time()
    for fragment, other in itertools.product(FRAGMENTS, repeat=2):
        for size in (1_000, 10_000, 100_000):
            redacted((fragment + other) * (size // len(fragment + other)), (SECRET,))
            holds_credentials(fragment * (size // len(fragment)) + other)
            known_secrets({"A": fragment * (size // len(fragment)) + other})
        assert time.process_time() - began < 60


def spec(**parts: Any) -> dict[str, Any]:
    return {"name": "a", "sources": [{"path": "lake/*"}], **parts}


CHAT = {"base_url": "http://h/v1", "model": "m"}


@pytest.mark.parametrize(
    ("plain", "place"),
    [
        (spec(sources=[{"path": f"s3://AKIA:{SECRET}@bucket/x"}]), "sources.0.path"),
        (spec(generate={"chat": {**CHAT, "base_url": f"https://me:{SECRET}@h/v1"}}), "generate.chat.base_url"),
        (spec(generate={"chat": {**CHAT, "api_key_env": SECRET}}), "generate.chat.api_key_env"),
        (
            spec(generate={"strategies": [{"kind": "self_instruct", "api_key": SECRET}]}),
            "generate.strategies.0.api_key",
        ),
        (spec(verify={"checks": {"mine": {"password": SECRET}}}), "verify.checks.mine.password"),
        (spec(generate={"chat": {"api_key": SECRET}}), "generate.chat"),
    ],
)
def test_a_run_that_holds_a_secret_is_refused_without_repeating_it(plain: dict[str, Any], place: str):
    with pytest.raises(RunSpecError, match=place.replace(".", r"\.")) as refused:
        check_spec(plain, "run.yaml")
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({"password": 12345678}, "password"),
        ({"token": ["abcdef"]}, "token.0"),
        ({"token": {"value": "abcdef"}}, "token.value"),
        ({"secret_key": "abcdef"}, "secret_key"),
        ({"secretKey": "abcdef"}, "secretKey"),
        ({"auth": "Bearer abcdef"}, "auth"),
        ({"headers": ["Authorization: Bearer abcdef"]}, "headers.0"),
        ({"headers": {"X": "Basic dXNlcjpwYXNz"}}, "headers.X"),
        ({"connection_string": "AccountKey=abcdef"}, "connection_string"),
        ({"store": "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=abcdef=="}, "store"),
        ({"address": "https://h/v1?key=AIzaabcdef"}, "address"),
        ({"address": "https://h/v1?x=1&access_token=abcdef"}, "address"),
        ({"named": "AKIAABCDEFGHIJKLMNOP"}, "named"),
    ],
)
def test_what_is_named_like_a_secret_or_looks_like_one_is_refused(settings: dict[str, Any], place: str):
    with pytest.raises(RunSpecError, match=rf"verify\.checks\.mine\.{place}: holds a secret") as refused:
        check_spec(spec(verify={"checks": {"mine": settings}}), "run.yaml")
    assert "abcdef" not in str(refused.value)


def test_what_only_sounds_like_a_secret_is_not_refused():
    plain = spec(
        select={"quotas": {"domain": {"token": 0.5, "Basic arithmetic": 0.5, "auth": 0.1}}},
        verify={
            "checks": {"mine": {"max_tokens": 40000, "rubric": "Basic geometry", "secret": False, "password": None}}
        },
        generate={"chat": {**CHAT, "tokens_per_minute": 50_000}},
    )
    assert check_spec(plain, "run.yaml").generate.chat is not None


@pytest.mark.parametrize("way", ["pasted", "interpolated", "number"])
def test_a_known_secret_never_enters_a_run(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    secret = "98765432" if way == "number" else SECRET
    monkeypatch.setenv("OPENAI_API_KEY", secret)
    text = "'${oc.env:OPENAI_API_KEY}'" if way == "interpolated" else secret
    path = tmp_path / "run.yaml"
    path.write_text(
        f"name: a\nsources: [{{path: x}}]\nverify: {{checks: {{mine: {{hint: {text}}}}}}}\n", encoding="utf-8"
    )
    with pytest.raises(RunSpecError, match=r"verify\.checks\.mine\.hint: holds a secret") as refused:
        load_spec(path)
    assert secret not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    ["LIMOFLOW_KAFKA_SASL_PASSWORD", "AWS_SECRET_ACCESS_KEY", "GOOGLE_KEY", "AZURE_KEY", "KUBERNETES_TOKEN",
     "PGPASSWORD", "HTTPS_PROXY", "HF_TOKEN", "PATH"],
)  # fmt: skip
def test_a_run_names_no_variable_of_the_services_for_its_endpoint(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, SECRET)
    for part in ("generate", "verify", "score"):
        with pytest.raises(RunSpecError, match=f"api_key_env: '{name}' may be a secret of the services") as refused:
            check_spec(spec(**{part: {"chat": {**CHAT, "api_key_env": name}}}), "run.yaml")
        assert SECRET not in str(refused.value)
    with pytest.raises(PoisonError, match="may be a secret of the services"):
        chat_client(Chat.model_construct(**CHAT, api_key_env=name))
    for fine in ("LIMOFLOW_CHAT_API_KEY", "OPENAI_API_KEY", "GOOGLE_API_KEY", "AZURE_OPENAI_API_KEY", "MY_KEY"):
        check_spec(spec(generate={"chat": {**CHAT, "api_key_env": fine}}), "run.yaml")


def test_settings_that_do_not_hold_are_told_without_their_values(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIMOFLOW_KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("LIMOFLOW_KAFKA_SASL_PASSWORD", SECRET)
    with pytest.raises(UsageError, match="LIMOFLOW_KAFKA_SASL_USERNAME") as told:
        from_environment(BrokerSettings)
    assert SECRET not in str(told.value)
    monkeypatch.setenv("LIMOFLOW_KAFKA_PARTITIONS", SECRET)
    with pytest.raises(UsageError, match="LIMOFLOW_KAFKA_PARTITIONS") as told:
        from_environment(BrokerSettings)
    assert SECRET not in str(told.value)
    with pytest.raises(ValueError, match="sasl_username") as bare:
        BrokerSettings(partitions=1, security_protocol="SASL_SSL", sasl_password=SECRET)
    assert SECRET not in str(bare.value)


def test_every_settings_class_is_read_through_the_one_that_hides_values():
    root = Path(__file__).resolve().parents[3]
    classes = {kind.__name__ for kind in _all(BaseSettings)}
    for path in [*root.glob("services/*/__main__.py"), *root.glob("services/*/app.py"), root / "limoflow/service.py"]:
        text = path.read_text(encoding="utf-8")
        assert not [name for name in classes if f"{name}()" in text], path


def _all(kind: type[BaseSettings]) -> set[type[BaseSettings]]:
    import services.exporter.settings
    import services.ingestor.settings
    import services.verifier.settings  # noqa: F401

    return {sub for child in kind.__subclasses__() for sub in (child, *child.__subclasses__())}
