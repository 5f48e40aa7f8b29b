"""Nothing that lazytrack captures by itself holds a recognised secret: command lines, plain data, diffs."""

import json
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lazytrack.provenance.redact import redact_command, redact_data, redact_diff

unhurried = settings(deadline=None, max_examples=300)

TOKEN = "h" + "f_" + "aB3x" * 8
KEY_LINES = ["MIIE" + "aB3/" * 15, "xY+9" * 16, "q8Zt" * 16, "aB3dEf=="]
KEY = "\n".join(["-----BEGIN PRIVATE KEY-----", *KEY_LINES, "-----END PRIVATE KEY-----"])

# --- command lines ---


@pytest.mark.parametrize(
    ("argv", "masked"),
    [
        ("train.py --api-key x --lr 0.1", "train.py --api-key *** --lr 0.1"),
        ("train.py --api-key=x --lr=0.1", "train.py --api-key=*** --lr=0.1"),
        ("train.py --password hunter -v", "train.py --password *** -v"),
        ("train.py --password=x data.csv --token: y", "train.py --password=*** data.csv --token: y"),
        ("train.py --password 123456", "train.py --password ***"),
        ("train.py --token 512 --max_tokens 4096", "train.py --token 512 --max_tokens 4096"),
        ("train.py --hub_token=x -token y", "train.py --hub_token=*** -token ***"),
        ("train.py --use-auth-token --lr 0.1", "train.py --use-auth-token --lr 0.1"),
        ("train.py --token -v --seed 1", "train.py --token -v --seed 1"),
        ("train.py --use_auth_token True --auth none", "train.py --use_auth_token True --auth none"),
        ("env TOKEN=x LR=0.1 train", "env TOKEN=*** LR=0.1 train"),
        ("train a.api_key=x +b.token=y ++c.pwd=1 ~secret", "train a.api_key=*** +b.token=*** ++c.pwd=*** ~secret"),
        ("train --config db.password=hunter -DapiKey=x", "train --config db.password=*** -DapiKey=***"),
        (f"train {TOKEN} --name {TOKEN}", "train *** --name ***"),
        ("git clone https://aB3@host.org/r git@host.org:r", "git clone https://***@host.org/r git@host.org:r"),
        ("docker run -e TOKEN=x -p 8080:80 -u 1000:1000", "docker run -e TOKEN=*** -p 8080:80 -u 1000:1000"),
        ("curl -u dana:x -sSU dana:x --user dana:x --user=d:x",
         "curl -u dana:*** -sSU dana:*** --user dana:*** --user=d:***"),
        ("/usr/bin/curl -udana:x -u dana", "/usr/bin/curl -udana:*** -u dana"),
        ("mysql -px -P3306 -p db", "mysql -p*** -P3306 -p db"),
        ("sshpass -p x ssh host", "sshpass -p *** ssh host"),
        ("redis-cli -a x ping", "redis-cli -a *** ping"),
        ("ldapsearch -w x -b dc=org", "ldapsearch -w *** -b dc=org"),
        ("train -p x -a y -w z", "train -p x -a y -w z"),
        ("train --pass x --pw y --pass=z", "train --pass *** --pw *** --pass=***"),
        ("x264 --pass 2 --key column --key=x", "x264 --pass 2 --key column --key=x"),
        ("docker run --env=TOKEN=x --build-arg=LR=1", "docker run --env=TOKEN=*** --build-arg=LR=1"),
        ("wandb login --relogin " + "a1" * 20, "wandb login --relogin ***"),
        ("git checkout " + "a1" * 20, "git checkout " + "a1" * 20),
    ],
)  # fmt: skip
def test_secret_options_and_variables_of_a_command_lose_their_values_alone(argv, masked):
    assert redact_command(argv.split()) == masked.split()
    assert redact_command(masked.split()) == masked.split()


@pytest.mark.parametrize(
    ("word", "masked"),
    [
        ('{"api_key": "x", "lr": 1}', '{"api_key": "***", "lr": 1}'),
        ('{"credentials": {"user": "x", "n": 1}}', '{"credentials": {"user": "***", "n": 1}}'),
        ("Authorization: Bearer abc", "Authorization: Bearer ***"),
        ("--header=X-Api-Key: aB3", "--header=X-Api-Key: ***"),
        ("--password=correct horse", "--password=***"),
        ("DB_PASSWORD=correct horse", "DB_PASSWORD=***"),
        ("--env=DB_PASSWORD=correct horse", "--env=DB_PASSWORD=***"),
        ("cd /data && train --api-key aB3 --lr 1", "cd /data && train --api-key *** --lr 1"),
        (KEY, KEY.replace("\n".join(KEY_LINES), "***")),
    ],
)
def test_a_word_of_a_command_may_hold_secrets_of_its_own(word, masked):
    assert redact_command(["run", word]) == ["run", masked]


@given(st.lists(st.text(max_size=20) | st.sampled_from(["--token", "-p", "curl", "-u", "mysql", "login", ""])))
def test_a_command_keeps_its_length_and_masking_it_again_changes_nothing(argv):
    once = redact_command(argv)
    assert len(once) == len(argv)
    assert redact_command(once) == once


# --- data ---


def test_values_of_secret_names_are_masked_at_any_depth_and_text_is_redacted():
    config = {
        "lr": 0.1,
        "api_key": "x",
        "db": {"password": 123456, "port": 5432, "url": "postgres://dana:x@host/db"},
        "credentials": {"user": "dana", "uses": 3, "more": ["x", None, True, {"y": "z"}]},
        "remotes": [{"token": "x"}, {"token": None}, {"use_auth_token": True}],
        "tokens": [1, 2],
        "ref": {"token": "${oc.env:HF_TOKEN}"},
        "command": ["train", "--token", "x", "--lr", "0.1"],
        "env": [{"name": "API_KEY", "value": "x"}, {"name": "LR", "value": "0.1"}],
        TOKEN: TOKEN,
    }
    before = json.dumps(config)
    redacted = redact_data(config)
    assert redacted == {
        "lr": 0.1,
        "api_key": "***",
        "db": {"password": "***", "port": 5432, "url": "postgres://dana:***@host/db"},
        "credentials": {"user": "***", "uses": 3, "more": ["***", None, True, {"y": "***"}]},
        "remotes": [{"token": "***"}, {"token": None}, {"use_auth_token": True}],
        "tokens": [1, 2],
        "ref": {"token": "${oc.env:HF_TOKEN}"},
        "command": ["train", "--token", "***", "--lr", "0.1"],
        "env": [{"name": "API_KEY", "value": "***"}, {"name": "LR", "value": "0.1"}],
        "***": "***",
    }
    assert json.dumps(config) == before
    assert redact_data(redacted) == redacted


keys = st.text(max_size=10) | st.just("api_key")
json_data = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
)


def strings(value):
    match value:
        case str():
            return [value]
        case dict():
            return [text for each in value.values() for text in strings(each)]
        case list():
            return [text for each in value for text in strings(each)]
        case _:
            return []


def shape(value):
    match value:
        case dict():
            return [shape(each) for each in value.values()]
        case list():
            return [shape(each) for each in value]
        case _:
            return None


@unhurried
@given(json_data)
def test_no_string_that_says_something_is_left_under_a_secret_name(data):
    left = [text for text in strings(redact_data(data, "api_key")) if text != "***"]
    assert [redact_data(text, "api_key") for text in left] == left
    assert len(strings(data)) == len(strings(redact_data(data, "api_key")))


@unhurried
@given(json_data)
def test_data_keeps_its_shape_and_masking_it_again_changes_nothing(data):
    once = redact_data(data)
    assert shape(once) == shape(data)
    assert redact_data(once) == once


def test_keys_that_are_masked_alike_keep_their_values_apart():
    other = TOKEN + "y"
    redacted = redact_data({TOKEN: 1, other: 2, "lr": 3})
    assert sorted(redacted.values()) == [1, 2, 3]
    assert not any("aB3x" in key for key in redacted)


def test_what_a_value_is_called_can_be_told():
    assert redact_data("x", "hub_token") == "***"
    assert redact_data(("x", 1), "hub_token") == ("***", 1)
    assert redact_data("x") == "x"
    assert redact_data({"PWD": "/home/dana", 1: "x"}) == {"PWD": "/home/dana", 1: "x"}


# --- diffs ---

KEY_OF_A_DIFF = KEY.replace("\n", "\n ").replace(f" {KEY_LINES[1]}", f"-{KEY_LINES[1]}\n+{KEY_LINES[2][::-1]}")
DIFF = f"""\
diff --git a/train.py b/train.py
index 0318b87..59477e6 100644
--- a/train.py
+++ b/train.py
@@ -1,4 +1,5 @@ def connect(password="aB3")
 import os
-API_KEY = "old"
+API_KEY = "new"
+lr = 0.1
 seed = 1
@@ -20,2 +21,2 @@ def other():
 seed = 2
--- a/no header
+++ b/no header
@@ -40 +41 @@
-x = 1
+x = 2
\\ No newline at end of file
diff --git a/old.txt b/new name.txt
similarity index 90%
rename from old.txt
rename to new name.txt
--- a/old.txt
+++ b/new name.txt\t
@@ -1,7 +1,7 @@
 {KEY_OF_A_DIFF}
 end
diff --git a/deploy/id_rsa b/deploy/id_rsa
--- a/deploy/id_rsa
+++ b/deploy/id_rsa
@@ -2,2 +2,2 @@ {KEY_LINES[0]}
 {KEY_LINES[1]}
-{KEY_LINES[2]}
+{KEY_LINES[0]}
"""


def test_a_diff_keeps_its_lines_and_says_which_hunks_cannot_be_applied():
    redacted, changed = redact_diff(DIFF)
    assert changed == [
        "train.py @@ -1,4 +1,5 @@",
        "new name.txt @@ -1,7 +1,7 @@",
        "deploy/id_rsa @@ -2,2 +2,2 @@",
    ]
    before, after = DIFF.split("\n"), redacted.split("\n")
    assert [line[:1] for line in after] == [line[:1] for line in before]
    masked = {old: new for old, new in zip(before, after, strict=True) if old != new}
    assert masked['-API_KEY = "old"'] == '-API_KEY = "***"'
    assert masked['+API_KEY = "new"'] == '+API_KEY = "***"'
    assert masked.pop('@@ -1,4 +1,5 @@ def connect(password="aB3")') == '@@ -1,4 +1,5 @@ def connect(password="***")'
    assert len(masked) == 2 + 5 + 4
    assert not any(line[:12] in redacted for line in KEY_LINES)


def test_masking_a_diff_again_changes_nothing_and_names_no_hunk():
    once, _ = redact_diff(DIFF)
    assert redact_diff(once) == (once, [])


def test_a_diff_without_secrets_stays_to_the_letter():
    diff = DIFF.partition("diff --git a/old.txt")[0].replace("API_KEY", "LR").replace("password", "step")
    assert redact_diff(diff) == (diff, [])


@pytest.mark.parametrize(
    "text",
    ["", "\n", "no diff", "@@ -1 +1 @@", "@@ -9,9 +9,9 @@\n", "--- a/x\n+++ b/x\n", "@@@ -1 -1 +1 @@@\n--x\n++y"],
)
def test_text_that_is_no_whole_diff_is_returned(text):
    assert redact_diff(text) == (text, [])


def test_secrets_outside_hunks_are_masked_too():
    redacted, changed = redact_diff(
        f"commit by https://aB3@host.org\n{KEY}\ndiff --git a/{TOKEN} b/x\n--- a/x\n+++ b/x\n"
    )
    assert "aB3" not in redacted
    assert redacted.count("\n") == f"\n{KEY}\n\n\n\n".count("\n")
    assert changed == ["x"]


def test_a_value_with_spaces_is_masked_in_a_diff_and_its_neighbours_stay():
    lines = [" LR=0.1", "-DB_PASSWORD=correct horse battery staple", "+DB_PASSWORD=wrong horse", " # end", ""]
    redacted, changed = redact_diff("\n".join(["--- a/.env", "+++ b/.env", "@@ -1,3 +1,3 @@", *lines]))
    assert redacted.split("\n")[3:] == [" LR=0.1", "-DB_PASSWORD=***", "+DB_PASSWORD=***", " # end", ""]
    assert changed == [".env @@ -1,3 +1,3 @@"]


def test_a_merge_has_two_columns_before_its_lines():
    diff = "diff --cc x.py\n--- a/x.py\n+++ b/x.py\n@@@ -1,2 -1,2 +1,3 @@@ f\n"
    diff += "  a\n- TOKEN = 'x1'\n -TOKEN = 'x2'\n++TOKEN = 'x3'\n+ b\n"
    redacted, changed = redact_diff(diff)
    assert redacted == diff.replace("x1", "***").replace("x2", "***").replace("x3", "***")
    assert changed == ["x.py @@@ -1,2 -1,2 +1,3 @@@"]


@unhurried
@given(
    st.text(st.characters(codec="utf-8"), max_size=200),
    st.lists(st.sampled_from([*KEY.split("\n"), "TOKEN=aB3x", "- x", "+ y"])),
)
def test_any_text_keeps_its_number_of_lines(text, lines):
    diff = "\n".join([text, "@@ -1,3 +1,3 @@", *lines])
    once, _ = redact_diff(diff)
    assert once.count("\n") == diff.count("\n")
    assert redact_diff(once)[0] == once


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
def test_what_git_itself_writes_can_still_be_applied_where_no_hunk_was_changed(tmp_path):
    def git(*words, given=None):
        command = ["git", "-c", "user.name=dana", "-c", "user.email=d@h", *words]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True, input=given).stdout

    git("init", "-q")
    plain, secret = tmp_path / "plain.py", tmp_path / "ünïcode name.py"
    plain.write_text("a = 1\n" * 30)
    secret.write_text("a = 1\n" * 30)
    git("add", ".")
    git("commit", "-qm", "first")
    plain.write_text("b = 1\n" + "a = 1\n" * 29)
    secret.write_text("a = 1\n" * 15 + f"api_key = 'aB3x'\n{KEY}\n" + "a = 1\n" * 14 + "c = 2\n")
    redacted, changed = redact_diff(git("diff"))
    assert changed == ["ünïcode name.py @@ -13,6 +13,13 @@"]
    assert "aB3" not in redacted
    assert not any(line in redacted for line in KEY_LINES)
    git("stash", "-q")
    git("apply", given=redacted)
    assert plain.read_text().startswith("b = 1")
    assert "api_key = '***'" in secret.read_text()
