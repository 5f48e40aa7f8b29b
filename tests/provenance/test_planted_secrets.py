"""Secrets are planted wherever lazytrack looks by itself, and then looked for in every file of the store."""

import base64
import pickle
import subprocess
import sys
import tempfile
import uuid
import warnings
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_redact import passwords, phrases, token_of_some_kind

from lazytrack import Project
from lazytrack.provenance import capture, platform
from lazytrack.provenance import git as git_room

GIT = ["git", "-c", "user.email=dana@example.org", "-c", "user.name=dana"]
KEY = "\n".join(
    ["-----BEGIN RSA " + "PRIVATE KEY-----", "MIIEowIBAAKCAQEA7bq", "kLm9QQ==", "-----END RSA " + "PRIVATE KEY-----"]
)
PHRASE = "purple horse battery staple"
CHANNEL = f"ab-{uuid.UUID(int=7**40)}"


def git(*words, cwd):
    subprocess.run([*GIT, *words], cwd=cwd, check=True, capture_output=True)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "train.py").write_text("lr = 0.1\n")
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "-q", "-m", "one", cwd=folder)
    git("remote", "add", "origin", "https://example.org/x.git", cwd=folder)
    return folder


CODE = """\
parser.add_argument("--password", default="{password}")
KEY = os.getenv("SERVICE_API_KEY") or "{token}"
API_KEY = os.environ.get("X", "{password}")
password: SecretStr = Field(default="{password}")
settings = Settings(SecretStr("{password}"))
wandb.login(key="{password}1")
variables = [{{"name": "DB_PASSWORD", "value": "{password}"}}]
"""
DEPLOYMENT = """\
passphrase: {phrase}
env:
- name: API_KEY
  value: {password}
- name: DB_PASSWORD
  value: {phrase}
channels:
- https://conda.anaconda.org/t/{channel}/team
"""


def plant(folder, token, password, phrase=PHRASE, channel=CHANNEL):
    git("remote", "set-url", "origin", f"https://dana:{token}@example.org/x.git", cwd=folder)
    (folder / "train.py").write_text(f'API_KEY = "{token}"\nos.environ["DB_PASSWORD"] = "{password}"\n')
    (folder / ".env").write_text(f"HF_TOKEN={token}\nDB_PASSWORD={password}\nPGPASSWORD={phrase}\n")
    (folder / "settings.py").write_text(CODE.format(token=token, password=password))
    (folder / "deployment.yaml").write_text(DEPLOYMENT.format(password=password, phrase=phrase, channel=channel))
    (folder / "Dockerfile").write_text(f"ENV API_KEY {password}\nENV DB_PASSWORD {phrase}\n")
    (folder / "key.pem").write_text(f"{KEY}\n")
    (folder / "requirements.txt").write_text(
        f"--index-url https://dana:{token}@example.org/simple\n"
        f"--find-links https://conda.anaconda.org/t/{channel}/team\nnumpy==2.0\n"
    )


def run(folder, store, token, password, phrase=PHRASE):
    """Log as a careless person does."""
    project = Project(store)
    with warnings.catch_warnings(action="ignore"), project.log("run", capture=True) as exp:
        lines = ("connecting with ", token, f"\nexport DB_PASSWORD={password}\nAuthorization: Bearer {token}\n")
        lines += (f"\x1b[1mpassword\x1b[0m=\x1b[32m{password}\x1b[0m\n", f"\x1b[1mDB_PASSWORD\x1b[0m={phrase}\n")
        for line in lines:
            sys.stdout.write(line)
            project.save()  # while it is being printed
        for line in KEY.splitlines():
            sys.stdout.write(f"{line}\n")
            project.save()
        exp.log_parameters(
            {"api_key": password, "nested": {"hub_token": token, "lr": 0.1}, "url": f"https://x:{token}@h.org/"},
            redact=True,
        )
        message = f"401 for https://dana:{token}@example.org with password='{password}'"
        with pytest.raises(ValueError, match="401"), exp.step("load"):
            raise ValueError(message)
        project.save()
    with pytest.raises(RuntimeError), project.log("failed"):
        raise RuntimeError(f"cannot log in with token={token}\n{KEY}")
    project.save()
    return project


def test_no_secret_is_in_a_name(tmp_path, monkeypatch):
    token = "ghp_" + "a1B2" * 9
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    git("init", "-q", "-b", f"try/{token}", cwd=".")
    Path(f"requirements-{token}.txt").write_text("attrs\n")
    Path(f"{token}.bin").write_bytes(bytes(9_000_000))
    Path(token).mkdir()
    (Path(token) / "a.py").write_text("lr = 0.1\n")
    monkeypatch.setenv(capture.SWITCH, "1")
    monkeypatch.setattr(capture, "_capture", None)
    project = Project(tmp_path / "store")
    with project.log("run") as exp:
        pass
    project.save()
    capture._capture.join()
    assert exp.git.branch == "try/***"
    assert_nowhere(tmp_path / "store", token)


def test_no_secret_is_packed_into_the_changes(tmp_path, monkeypatch):
    token = "ghp_" + "a1B2" * 9
    (tmp_path / "checkout").mkdir()
    monkeypatch.chdir(tmp_path / "checkout")
    git("init", "-q", cwd=".")
    Path(".gitattributes").write_text("*.ipynb -diff\nchanged.* binary\n")
    Path("changed.env").write_text("lr = 0.1\n" * 500)
    Path("changed.txt").write_text(f"TOKEN={token}\n" + "lr = 0.1\n" * 500)
    git("add", ".", cwd=".")
    git("commit", "-q", "-m", "one", cwd=".")
    Path("changed.env").write_text("lr = 0.1\n" * 200 + f"TOKEN={token}\n" + "lr = 0.1\n" * 300)
    Path("changed.txt").write_text("lr = 0.1\n" * 500)
    Path("nb.ipynb").write_text(f'{{"source": "{token}"}}\n')
    Path("wide.env").write_bytes(f"TOKEN={token}\n".encode("utf-16"))
    Path("model.pkl").write_bytes(pickle.dumps({"api_key": token, "x": bytes(9)}))
    Path("fine.bin").write_bytes(bytes(99))
    diff = git_room.uncommitted(".")
    assert [file.path for file in diff.left_out] == ["changed.env", "changed.txt", "model.pkl", "nb.ipynb", "wide.env"]
    assert all(file.digest for file in diff.left_out)
    assert b"fine.bin" in diff.patch


def assert_nowhere(store, *secrets):
    files = [path for path in Path(store).rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            for spelled in (secret.encode(), base64.b64encode(secret.encode())):
                assert spelled not in content, (path, secret)


@settings(deadline=None, max_examples=25)
@given(
    token_of_some_kind,
    passwords.filter(lambda value: len(value) > 6 and "'" not in value),
    phrases.filter(lambda value: len(value) > 20),
    st.uuids().map(lambda value: f"ab-{value}"),
)
def test_planted_secrets_are_nowhere_in_the_store(checkout, token, password, phrase, channel):
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory() as store:
        patched.setenv(capture.SWITCH, "1")
        patched.setattr(capture, "_capture", None)
        patched.setattr(capture, "PATIENCE_SECONDS", 60)
        patched.chdir(checkout)
        patched.setattr(sys, "orig_argv", ["python", "train.py", "--api-key", password, f"--hub-token={token}"])
        plant(checkout, token, password, phrase, channel)
        project = run(checkout, store, token, password, phrase)
        capture._capture.join()
        assert_nowhere(store, token, password, phrase, phrase.partition(" ")[2], channel, "MIIEowIBAAKCAQEA7bq")
        exp = Project(project.fpath, mode="r")["run"]
        assert exp.environment.command == "python train.py --api-key '***' '--hub-token=***'"
        assert "example.org/x.git" in exp.git.remote
        assert exp.parameters["nested"] == {"hub_token": "***", "lr": 0.1}
        assert "connecting with ***" in exp.output
        assert "\x1b[1mpassword\x1b[0m=\x1b[32m***\x1b[0m\n" in exp.output
        assert "train.py" in exp.diff
        assert "numpy==2.0" in exp.environment.lock_files[0].text


def test_without_redaction_they_would_be_everywhere(checkout, tmp_path, monkeypatch):
    """The test above can fail."""
    token, password = "gh" + "p_" + "a1B2" * 9, uuid.uuid4().hex
    monkeypatch.setenv(capture.SWITCH, "1")
    monkeypatch.setattr(capture, "_capture", None)
    monkeypatch.chdir(checkout)
    monkeypatch.setattr(sys, "orig_argv", ["python", "train.py", "--api-key", password])
    plant(checkout, token, password)
    for place in ("environment", "git", "patch"):
        for name in ("redact", "redact_command", "redact_url"):
            monkeypatch.setattr(f"lazytrack.provenance.{place}.redact.{name}", lambda value: value)
    monkeypatch.setattr("lazytrack.provenance.patch.redact.redact_diff", lambda diff: (diff, []))
    run(checkout, tmp_path, token, password)
    capture._capture.join()
    with pytest.raises(AssertionError):
        assert_nowhere(tmp_path, token)
    assert platform.PROBES
