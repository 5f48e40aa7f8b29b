"""Nothing that lazytrack captures by itself holds a recognised secret: free text and URLs."""

import base64
import html
import json
import string
import threading
import urllib.parse

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from lazytrack.provenance.redact import (
    add_pattern,
    add_secret,
    redact,
    redact_command,
    redact_data,
    redact_diff,
    redact_url,
)

unhurried = settings(deadline=None, max_examples=300)

LETTERS = string.ascii_letters + string.digits
HEX = "0123456789abcdef"
BASE64 = LETTERS + "+/"


def drawn(length, alphabet=LETTERS, start=""):
    """Make random characters, with a digit and a capital among them, as real ones have."""
    tail = "7Q" if alphabet.startswith(LETTERS) else "7"
    return st.text(alphabet, min_size=length - len(tail), max_size=length - len(tail)).map(
        lambda text: start + text + tail
    )


# Fake ones, put together here, so that nobody who looks for secrets takes this file for a leak.
TOKENS = {
    "GitHub": drawn(36, start="gh" + "p_"),
    "GitHub of an app": drawn(36, start="gh" + "s_"),
    "GitHub fine-grained": drawn(82, LETTERS + "_", start="github" + "_pat_"),
    "GitLab": drawn(20, LETTERS + "-_", start="gl" + "pat-"),
    "Hugging Face": drawn(34, start="h" + "f_"),
    "OpenAI": drawn(48, start="s" + "k-"),
    "OpenAI of a project": drawn(100, LETTERS + "-_", start="s" + "k-proj-"),
    "Anthropic": drawn(95, LETTERS + "-_", start="s" + "k-ant-api03-"),
    "Slack": drawn(24, start="xo" + "xb-123456789012-123456789012-"),
    "Stripe": drawn(24, start="s" + "k_live_"),
    "npm": drawn(36, start="np" + "m_"),
    "PyPI": drawn(80, LETTERS + "-_", start="py" + "pi-AgEIcHlwaS5vcmc"),
    "AWS": drawn(16, string.ascii_uppercase + "234567", start="AK" + "IA"),
    "AWS for a session": drawn(16, string.ascii_uppercase + "234567", start="AS" + "IA"),
    "Google": drawn(35, LETTERS + "-_", start="AI" + "za"),
    "Google OAuth": drawn(60, LETTERS + "-_", start="ya" + "29.a0"),
    "Azure AD": drawn(34, LETTERS + "-_~", start="abc8" + "Q~"),
    "SendGrid": st.tuples(drawn(22), drawn(43)).map(lambda parts: "S" + "G." + ".".join(parts)),
    "Twilio": drawn(32, HEX, start="S" + "K"),
    "Databricks": drawn(32, HEX, start="da" + "pi"),
    "Replicate": drawn(37, start="r" + "8_"),
    "Groq": drawn(52, start="gs" + "k_"),
    "Vault": drawn(90, LETTERS + "-_", start="hv" + "s."),
    "Weights & Biases": drawn(77, LETTERS + "_", start="wan" + "db_v1_"),
    "Sentry": st.tuples(drawn(90), drawn(43, BASE64)).map(lambda parts: "snt" + "rys_eyJ" + "==_".join(parts)),
    "Sentry of a user": drawn(64, HEX, start="snt" + "ryu_"),
    "Doppler": drawn(43, start="dp" + ".pt."),
    "Doppler of a config": drawn(43, start="dp" + ".st.prd."),
    "Terraform": drawn(67, LETTERS + "-_", start="aB3dEf7hIj2kLm" + ".atlas" + "v1."),
    "Grafana Cloud": drawn(60, BASE64, start="gl" + "c_"),
    "PlanetScale": drawn(43, LETTERS + "-_", start="psc" + "ale_tkn_"),
    "Heroku": drawn(58, LETTERS + "-_", start="HRK" + "U-AA"),
    "1Password": drawn(260, BASE64, start="op" + "s_eyJ"),
    "Dynatrace": st.tuples(drawn(24), drawn(64)).map(lambda parts: "dt0" + "c01." + ".".join(parts)),
    "Bedrock": drawn(120, BASE64, start="AB" + "SK"),
    "Prefect": drawn(36, start="pn" + "u_"),
    "GitLab OAuth": drawn(64, LETTERS + "-_", start="gl" + "oas-"),
    "a JWT": st.tuples(drawn(30), drawn(40), drawn(43, LETTERS + "-_")).map(lambda p: "ey" + "J" + ".".join(p)),
}
MAY_HAVE_A_SLASH = ("gl" + "c_", "op" + "s_", "AB" + "SK")
"""How those begin that cannot be told from the rest of a path."""
token_of_some_kind = st.sampled_from(sorted(TOKENS)).flatmap(TOKENS.__getitem__)

passwords = st.one_of(
    drawn(12, LETTERS + "-_+/=@%^~#!."),
    drawn(40, HEX),
    drawn(40, BASE64),
    st.sampled_from(["hunter2", "p@ss:w0rd", "aB3c-", "x4711yz", "wJalrXUtnFEMI/K7MDENG/bPxRfi" + "CYEXAMPLEKEY"]),
).filter(lambda value: value[0].isalnum() and sum(map(str.isalpha, value)) > 2)
anything = st.text(min_size=1, max_size=30).filter(
    lambda value: redact_data(value, "api_key") == "***" and not value.startswith("-")
)

# Where a token is found by its look alone.
PLACES = [
    "{}",
    "loading with {} now",
    "login('{}')",
    'headers = ["{}", "b"]',
    "ValueError: 401 for {}.",
    "  File \"a.py\", line 3, in f\n    login('{}')\n",
    "\x1b[32m{}\x1b[0m",
    "`{}`",
    "https://host.org/api/{}/models?x=1",
    "+    login('{}')",
    "-{},",
    "- {}  # yaml",
    r'{{"text": "one\n{}\ntwo"}}',
    "{{'a': ['{}']}}",
    "a=%20{}&b=1",
    "| {} | 3 |",
]

# Where any value is found by the name beside it.
NAMED = [
    "API_KEY={}",
    "export DB_PASSWORD={}",
    'DB_PASSWORD="{}"',
    "HF_TOKEN='{}'",
    "$ TOKEN={} python train.py --lr 0.1",
    "docker run -e API_TOKEN={} image",
    "[2026-11-20 08:22:33] INFO token={} lr=0.1",
    "INFO: token: {}",
    "api_key: {}",
    "  - secret: {}  # a comment",
    'token: "{}"',
    "api_key = '{}'",
    'connect(api_key="{}", lr=0.1)',
    "connect(password=f'{}')",
    'api_key: str = "{}"',
    'token: Optional[str] = "{}"',
    'token: str | None = "{}"',
    'os.environ["API_KEY"] = "{}"',
    'os.environ.get("API_KEY", "{}")',
    'if password == "{}":',
    'token = """{}"""',
    '{{"api_key": "{}", "lr": 0.1}}',
    '{{"api_key":"{}"}}',
    "{{'api_key': '{}', 'lr': 0.1}}",
    "{{'token': b'{}'}}",
    'Namespace(lr=0.1, hub_token="{}")',
    'auth=("{}", "{}")',
    '"credentials": {{"user": "{}", "n": 1}}',
    "{{'credentials': ['{}', 1, None]}}",
    r'"{{\"api_key\": \"{}\", \"lr\": 1}}"',
    r'"\"{{\\\"api_key\\\": \\\"{}\\\"}}\""',
    "python train.py --api-key {} --lr 0.1",
    "python train.py --api-key={} --lr 0.1",
    "python train.py wandb.api_key={} lr=0.1",
    "Command '['train', '--api-key', '{}', '--lr', '1']' returned 1",
    "['train', '--api-key={}', '--lr', '1']",
    "Authorization: Bearer {}",
    "authorization: basic {}",
    "curl -H 'Authorization: Bearer {}' https://host.org",
    "{{'Authorization': '{}', 'Accept': '*/*'}}",
    "[('Authorization', '{}'), ('Accept', '*/*')]",
    '{{"headers": {{"X-Api-Key": "{}"}}}}',
    '-H "X-Api-Key: {}" https://host.org',
    "curl -u dana:{} https://host.org",
    "<password>{}</password>",
    "machine host.org login dana password {}",
    "secret := '{}'",
    "'token' => '{}',",
    "+API_KEY={}",
    '-    "api_key": "{}",',
    "+api_key: {}",
    r'{{"env": "LR=1\nAPI_KEY={}\nN=2"}}',
    "\x1b[31mAPI_KEY={}",
    "it's the token: '{}'",
    'say "hello" token="{}"',
    "token = {}\r\nlr = 1\r\n",
    "password: |\n  {}\nlr: 1",
    'add_argument("--password", default="{}")',
    'add_argument("-p", "--password", type=str, help="it", default="{}")',
    'parser.add_argument(\n    "--api-key",  # it\'s new\n    default=os.getenv("X", "{}"),\n)',
    '@click.option("--token", "-t", default="{}", show_default=True)',
    'token: str = typer.Option("{}", "--token", help="it")',
    'key = config("API_KEY", default="{}")',
    'SecretStr("{}")',
    "x = pydantic.SecretBytes(b'{}')",
    'API_KEY = os.getenv("X") or "{}"',
    'API_KEY = os.environ.get("X", "{}")',
    'API_KEY = (\n    os.getenv("X")\n    or "{}"\n)',
    'API_KEY = x.key if x else "{}"',
    'key = os.environ.get("API_KEY") or "{}"',
    "const token = process.env.TOKEN || '{}';",
    'password: str = field(default="{}")',
    'password: SecretStr = Field("{}", description="it")',
    'api_key: str | None = Field(default_factory=lambda: "{}")',
    'password = attrs.field(default="{}")',
    'wandb.login(key="{}")',
    'wandb.login(\n    relogin=True,\n    key="{}",\n)',
    '{{"name": "DB_PASSWORD", "value": "{}"}}',
    "{{'value': '{}', 'name': 'DB_PASSWORD'}}",
    '{{\n  "name": "DB_PASSWORD",\n  "type": "plain",\n  "value": "{}"\n}}',
    r'"{{\"name\": \"DB_PASSWORD\", \"value\": \"{}\"}}"',
    'EnvVar(name="API_KEY", value="{}")',
    '<input name="password" type="hidden" value="{}">',
    "- name: API_KEY\n  value: {}\n- name: LR\n  value: 0.1",
    '- name: API_KEY\n  value: "{}"\n',
    "ENV API_KEY {}",
    "\x1b[1mpassword\x1b[0m=\x1b[32m{}\x1b[0m",
    "\x1b[1;34mapi\x1b[0m_key: \x1b[32m'{}'\x1b[0m",
    r'"\u001b[1mpassword\u001b[0m=\u001b[32m{}\u001b[0m"',
    "# API_KEY={}",
    "train --pass {} --lr 1",
]

# Where a value may have spaces, as it has its line, or its string, for itself.
ALONE = [
    "DB_PASSWORD={}",
    "DB_PASSWORD = {}",
    "export DB_PASSWORD={}",
    "# DB_PASSWORD={}",
    "+DB_PASSWORD={}",
    "-DB_PASSWORD={}",
    "- DB_PASSWORD={}",
    "db.password={}",
    "password = {}",
    "passphrase: {}",
    "passphrase: {}\r\nlr: 1",
    "  - passphrase: {}  # a comment",
    "client_secret: {}",
    "DB_PASSWORD: {}",
    "ENV DB_PASSWORD {}",
    "setenv DB_PASSWORD {}",
    "- name: DB_PASSWORD\n  value: {}\n",
    'docker run -e "DB_PASSWORD={}" image',
    "['train', '--password={}', '--lr=1']",
    r'{{"env": "LR=1\nDB_PASSWORD={}\nN=2"}}',
    "\x1b[1mpassphrase\x1b[0m: \x1b[32m{}\x1b[0m",
]
WORDS = ["correct", "horse", "battery", "staple,", "Zebra", "m4gic", "Käse", "lake!", "salt", "on", "12", "R&B"]
phrases = st.lists(st.sampled_from(WORDS), max_size=5).map(lambda words: " ".join(["purple", *words, "4ever"]))

# Text without secrets: none of it may change.
HARMLESS = [
    "commit 0318b87093cb4f9ee7a8f04ea5a1c90f9513418a",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "request 123e4567-e89b-12d3-a456-426614174000",
    "baseline-20261120082233-x7k2m9qa sk-20261120082233-x7k2m9qa task-20261120082233-x7k2m9qa",
    "xai-baseline-20261120082233-x7k2m9qa xapp-20261120082233-x7k2m9qa",
    "20261120T082233.123456Z-k3f9x2ab",
    "project/log/20261120T082233.123456Z-k3f9x2ab.json",
    "token=512 tokens: 1024 max_tokens=4096 loss: 0.1 tokens/s: 1.2e4 token=12ms token: 3/4",
    "epoch 3 token_acc=0.93 eos_token=</s> pad_token='<pad>' key=abc1",
    "password: str",
    "token: Optional[str] = None",
    "def f(user, password=None, token: str | None = None, *, secret: bytes = b''): ...",
    'os.environ["TOKEN"]',
    'token = os.environ["HF_TOKEN"]',
    "token = get_token()",
    "token = self.token or load(path).token2",
    "f(api_key=api_key, token=args.token, password=password)",
    "    password=password,",
    'parser.add_argument("--token", "-t", help="what to log in with")',
    'parser.add_argument("--api-key", type=str, default=None)',
    "@click.option('--password', prompt=True)",
    'fields = ["user", "password", "token"]',
    "('password', 'token')",
    "if token == other_token:",
    'print("token:", str(x1))',
    'print("the token: " + str(x1), end="")',
    "log.info('token=' + str(x1))",
    'size = len(b"Cookie: ")',
    'headers["Authorization"] = f"Bearer {self.token}"',
    "prefix, token = (query.get(name, '') for name in ('prefix', 'pageToken1'))",
    "f(key_sha256=x, encryption_key_sha256=_encryption_key_sha256)",
    "    :type credentials: :class:`auth.v1.Credentials`",
    "`token=` as requests has it, `secret` or the `password:` of aiohttp1",
    "CREATE_SECRET = 0x0020",
    "entry(SECRET, 'artifacts/it1.json')",
    'raise ValueError("no token: set HF_TOKEN")',
    "KeyError: 'token'",
    '  File "/home/dana/auth.py", line 12, in get_token',
    "secrets.py:12:3: E501 line too long",
    "SyntaxError: invalid token: unexpected indent",
    "TokenError: line 3 column 4",
    "Authorization: required",
    "authorization: basic auth is needed here",
    "Enter your password: ",
    "the password: it must have been changed",
    "usage: train [--api-key API_KEY] [--token TOKEN]  the token to use",
    "password: ********",
    "API_KEY=${API_KEY} TOKEN=$TOKEN PASSWORD=$(pass show db) SECRET={{ secret }}",
    'token: "${HF_TOKEN}"',
    "token: ${{ secrets.TOKEN }}",
    "url = f'https://{user}:{token}@host.org'",
    "PWD=/home/dana/churn",
    "token=None api_key=null secret=false password='' use_auth_token=True auth: ok",
    "numpy==2.1.0\ntokenizers==0.20.1\npkg @ git+https://github.com/o/r@0318b87093cb4f9ee7a8f04ea5a1c90f9513418a",
    "git@github.com:org/repo.git ssh://git@github.com/org/repo.git sftp://dana@host/data abfs://c@acc.dfs.core/x",
    "http://127.0.0.1:8787/status http://[::1]:80/a@b https://host.org/pkg@1.0?page=2&n=3",
    "C:\\Users\\dana\\token_model /home/dana/secrets/model.pt",
    "hf_bert_base_uncased_v2 llama2_7b_hf_model2024 disk_test_results2024 npm_config_registry_https_x1",
    "risk-management-strategy-2024-edition task-force-one-two-three-4",
    "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 4).decode(),
    "-----BEGIN CERTIFICATE-----\nMIIEaB3\n-----END CERTIFICATE-----",
    "-----BEGIN PRIVATE KEY----- is how such a file begins",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHk dana@host",
    "İİİ token: İİ",
    "",
    "tokens: list of words\npassword: str, optional\napi_key: key of the service",
    "    password: The password of the user.\n    passphrase: what unlocks the key\n    secret: not used here",
    "password: str | None  # the one to use",
    "password: string | undefined;",
    "password = None  # it is not needed",
    "DB_PASSWORD=none  # not needed here",
    "DB_PASSWORD=  # set it before you begin",
    "API_KEY=<your key>  # from the site",
    "password = a if b else c\npassword = first and last\npassword = await ask(user)",
    "Password: not set\nPassword: field required",
    "passphrase: ${PASSPHRASE} # of the key",
    "USE_AUTH_TOKEN=1 python train.py --lr 0.1",
    "ENV PATH /usr/bin\nENV TOKEN is required here",
    'parser.add_argument("--password-file", default="x.txt")\nparser.add_argument("--max-tokens", default="x1")',
    'parser.add_argument("--token", help="a, b")\nparser.add_argument("--name", default="x1")',
    "token: str = typer.Option(None, '--token', help='x1')",
    "api_key: str = Field(..., description='x1')",
    'password = getpass.getpass("Password 1: ")',
    'token = os.getenv("HF_TOKEN1") or load("x1.txt") or self.read("x1")',
    'token = config.get("auth", "token")',
    'token = prefix + "-" + name',
    'token = "" if x else None',
    'login(key="username")\nSecretStr("")\nSecretStr(value)',
    '{"name": "lr", "value": "x1"}, {"name": "token_acc", "value": "x1"}',
    "- name: LR\n  value: x1\n- name: API_KEY\n  valueFrom:\n    secretKeyRef: x",
    "name = token, value = x1",
    "https://discuss.pytorch.org/t/how-to-use-gpt2-with-fp16/12345 https://host.org/t/page-1 /t/12345",
    "https://conda.anaconda.org/t/<TOKEN>/main",
    "\x1b[1mtoken_acc\x1b[0m=\x1b[32m0.93\x1b[0m \x1b]8;;https://host.org\x1b\\a link\x1b]8;;\x1b\\",
    "x264 --pass 2 --key column",
    "wandb_v1_model sntrys_eyJ dp.pt.x x.atlasv1.y ops_eyJ",
]
surroundings = st.one_of(st.sampled_from(HARMLESS), st.text(max_size=40)).filter(lambda text: redact(text) == text)


def filled(place, secret):
    return place.format(*[secret] * place.count("{}"))


# --- tokens and values of secret names ---


@unhurried
@given(token_of_some_kind, st.sampled_from(PLACES + NAMED), surroundings, surroundings)
def test_a_token_of_any_kind_is_masked_in_any_place_and_the_rest_stays(token, place, before, after):
    assume(not (token.startswith(MAY_HAVE_A_SLASH) and place.startswith("https")))
    masked = redact(f"{before}\n{filled(place, token)}\n{after}")
    assert masked == f"{before}\n{filled(place, '***')}\n{after}"


@unhurried
@given(passwords, st.sampled_from(NAMED), surroundings, surroundings)
def test_any_value_beside_a_secret_name_is_masked_and_the_rest_stays(value, place, before, after):
    masked = redact(f"{before}\n{filled(place, value)}\n{after}")
    assert masked == f"{before}\n{filled(place, '***')}\n{after}"


@unhurried
@given(phrases, st.sampled_from(ALONE), surroundings, surroundings)
@example("purple battery staple", "DB_PASSWORD={}", "", "")
def test_a_value_with_spaces_is_masked_to_the_end_of_its_line(phrase, place, before, after):
    masked = redact(f"{before}\n{filled(place, phrase)}\n{after}")
    assert masked == f"{before}\n{filled(place, '***')}\n{after}"


@unhurried
@given(anything, st.integers(0, 3))
def test_any_text_beside_a_secret_name_is_masked_in_json_however_deeply_it_is_within_json(value, depth):
    text, expected = json.dumps({"api_key": value, "lr": 1}), json.dumps({"api_key": "***", "lr": 1})
    for _ in range(depth):
        text, expected = json.dumps({"log": text}), json.dumps({"log": expected})
    assert redact(text) == expected


@unhurried
@given(anything)
@example("it's")
@example('a"b')
@example("A=")
def test_any_text_beside_a_secret_name_is_masked_in_what_python_shows_of_a_dict(value):
    shown = redact(repr({"password": value, "lr": 1}))
    assert eval(shown) == {"password": "***", "lr": 1}


@unhurried
@given(st.text(max_size=60), st.sampled_from(NAMED), st.text(max_size=60))
def test_masking_again_changes_nothing(before, place, after):
    once = redact(before + filled(place, after))
    assert redact(once) == once


FRAGMENTS = """
    password token API_KEY api_key Authorization Cookie --token lr = : == , => := > < ' " \\" \\\\\\" `
    ( ) [ ] { } | hunter2 abc x1 1 *** * a.b Bearer https:// ssh:// u:p@ @ host / ? & key= eyJaaaaaaaaa.
    \\n \\ + - $ ${X} ; str None curl -u login machine ''' %20 İ 8Q~
""".split()  # noqa: SIM905  (a table to read)
FRAGMENTS += [
    " ",
    "\n",
    "\t",
    "\x1b[31m",
    "-----BEGIN PRIVATE KEY-----",
    "-----END PRIVATE KEY-----",
    "MIIE" + "aB3/" * 10,
    " or ",
    "\x1b",
    "\nPASSWORD=",
    "\n- name: ",
    "\n  value: ",
    "\nENV API_KEY ",
    "get('API_KEY', default=",
    "SecretStr(",
    "https://conda.org/t/",
]
FRAGMENTS += ["s" + "k-" + "aB3" * 8, "gh" + "p_" + "a1" * 10]


@unhurried
@given(st.lists(st.sampled_from(FRAGMENTS)).map("".join))
@example(r"""curl -u API_KEY%20password-u:p@https://host\\\"lr/)hunter2\"+str""")
def test_masking_again_changes_nothing_whatever_was_next_to_a_mask(text):
    once = redact(text)
    assert redact(once) == once
    words = redact_command(text.split(" "))
    assert redact_command(words) == words
    diff, _ = redact_diff(text)
    assert diff.count("\n") == text.count("\n")
    assert redact_diff(diff) == (diff, [])


@given(st.text())
@example("\ud800 token=\udfff1")
@example("\0token=\0a1")
@example("İ" * 10 + "API_KEY=hunter2")
@example("token='")
@example("https://")
def test_no_text_is_refused(text):
    assert redact(redact(text)) == redact(text)


def test_letters_that_are_longer_in_lower_case_do_not_move_the_mask():
    assert redact("İİİ API_KEY=hunter2 İ") == "İİİ API_KEY=*** İ"


@pytest.mark.parametrize("text", HARMLESS)
def test_text_without_secrets_stays_to_the_letter(text):
    assert redact(text) == text


def test_all_of_it_together_stays_too():
    text = "\n".join(HARMLESS)
    assert redact(text) == text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("password=123456 token=123456", "password=*** token=123456"),
        ("password: hunter\nlr: 1", "password: ***\nlr: 1"),
        ("POSTGRES_PASSWORD: example", "POSTGRES_PASSWORD: ***"),
        ("db.password=hunter lr=1", "db.password=*** lr=1"),
        ("Server=db;User Id=dana;Password=aB3;Port=1", "Server=db;User Id=dana;Password=***;Port=1"),
        ("AccountName=acc;AccountKey=aB3/x+y==;Suffix=core", "AccountName=acc;AccountKey=***;Suffix=core"),
        ("SharedAccessKeyName=Root;SharedAccessKey=aB3=", "SharedAccessKeyName=Root;SharedAccessKey=***"),
        ("Cookie: session=aB3; theme=dark\nAccept: */*", "Cookie: ***\nAccept: */*"),
        ("Authorization: Digest a=b, c=d\nAccept: */*", "Authorization: Digest ***\nAccept: */*"),
        ("password: |\n  aB3\n\n  cD4\nlr: 1", "password: |\n  ***\nlr: 1"),
        ("Authorization: Bearer abcdef", "Authorization: Bearer ***"),
        ("PASSWORD=(aB3)x{y}", "PASSWORD=***"),
        ("PASSWORD=aB3\"x\"'y z' lr=1", "PASSWORD=*** lr=1"),
        ("DB_PASSWORD=aB3 cD4 # eF5", "DB_PASSWORD=***"),
        ("DB_PASSWORD=on the road", "DB_PASSWORD=***"),
        ("DB_PASSWORD=<aB3 cD4", "DB_PASSWORD=***"),
        ("passphrase: aB3 cD4 # eF5", "passphrase: *** # eF5"),
        ("export TOKEN=aB3 && train --lr 1", "export TOKEN=*** && train --lr 1"),
        ("ENV TOKEN=aB3 \\\n    LR=1", "ENV TOKEN=*** \\\n    LR=1"),
        ("    --token=aB3 --lr=1 \\", "    --token=*** --lr=1 \\"),
        ("f(\n    password=aB3, lr=1)", "f(\n    password=***, lr=1)"),
        ("password = 'aB3' + 'cd' + x + ':'", "password = '***' + '***' + x + ':'"),
        ("get('API_KEY', default='aB3', api_key='cD4')", "get('API_KEY', default='***', api_key='***')"),
        ("\x1b[32mhub\x1b[0m_token=a\x1b[1mB3\x1b[0m", "\x1b[32mhub\x1b[0m_token=***\x1b[0m"),
        ("x\x1b[32m" + "s" + "k-" + "aB3" * 9 + "\x1b[0m", "x\x1b[32m***\x1b[0m"),
        ("wandb login --relogin " + "a1" * 20, "wandb login --relogin ***"),
        ("//registry.npmjs.org/:_authToken=aB3", "//registry.npmjs.org/:_authToken=***"),
        ("bot123456789:" + "AA" + "b7" * 16 + "c", "bot123456789:***"),
    ],
)  # fmt: skip
def test_what_is_masked_is_the_value_and_no_more(text, masked):
    assert redact(text) == masked


# --- private keys ---

LINES = [base64.b64encode(bytes(range(n, n + 48))).decode() for n in (3, 60, 120)] + ["aB3dEf=="]
KINDS = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "OPENSSH PRIVATE KEY"]
KINDS += ["PGP PRIVATE KEY BLOCK"]


def private_key(kind="RSA PRIVATE KEY", lines=LINES, head=()):
    begin, end = f"-----BEGIN {kind}-----", f"-----END {kind}-----"
    return "\n".join([begin, *head, *lines, end, ""])


def holds_material(text):
    return any(line[place : place + 8] in text for line in LINES for place in range(max(len(line) - 8, 1)))


HEADS = [(), ("Proc-Type: 4,ENCRYPTED", "DEK-Info: AES-256-CBC,0123456789ABCDEF", ""), ("Version: 1", "")]
WRITTEN = [
    str,
    lambda key: key.replace("\n", "\r\n"),
    lambda key: key.replace("\n", "\n    "),
    lambda key: "+" + key.replace("\n", "\n+"),
    lambda key: json.dumps({"key": key}),
    lambda key: json.dumps({"log": json.dumps({"key": key})}),
    lambda key: repr({"key": key}),
    lambda key: "\n".join(f"    '{line}\\n'" for line in key.split("\n")),
]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("written", WRITTEN)
def test_the_material_of_a_private_key_is_masked_however_it_is_written(kind, head, written):
    masked = redact(f"before\n{written(private_key(kind, head=head))}\nafter")
    assert not holds_material(masked)
    assert f"-----BEGIN {kind}-----" in masked
    assert masked.startswith("before\n")
    assert masked.endswith("\nafter")
    assert redact(masked) == masked


@given(st.integers(1, 250), st.sampled_from(WRITTEN), st.sampled_from(HEADS))
def test_a_private_key_whose_end_is_cut_off_is_masked_as_far_as_there_is_of_it(cut, written, head):
    whole = private_key(head=head).rstrip("\n")
    begin = len(whole) - len("\n".join(LINES)) - len("-----END RSA PRIVATE KEY-----")
    assert not holds_material(redact(written(whole[: begin + cut])))


@given(st.integers(1, 170))
def test_a_private_key_whose_beginning_is_cut_off_is_masked_too(cut):
    masked = redact(private_key()[len("-----BEGIN RSA PRIVATE KEY-----") + cut :])
    assert not holds_material(masked)


def test_text_after_a_private_key_that_is_cut_off_stays():
    text = f"-----BEGIN RSA PRIVATE KEY-----\n{LINES[0]}\n{LINES[1][:20]}\nepoch 1: loss 0.3\n"
    assert redact(text) == "-----BEGIN RSA PRIVATE KEY-----\n***\nepoch 1: loss 0.3\n"


def test_two_keys_and_what_is_between_them():
    text = f"{private_key()}between\n{private_key('EC PRIVATE KEY')}"
    assert redact(text) == f"{private_key(lines=['***'])}between\n{private_key('EC PRIVATE KEY', lines=['***'])}"


def test_the_key_of_a_service_account_is_masked_with_its_id():
    account = {"type": "service_account", "private_key_id": "a1" * 20, "private_key": private_key(), "client_id": "12"}
    expected = account | {"private_key_id": "***", "private_key": "***"}
    assert json.loads(redact(json.dumps(account, indent=2))) == expected
    assert redact_data(account) == expected


# --- URLs ---


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://dana:aB3@github.com/org/repo.git", "https://***@github.com/org/repo.git"),
        ("https://aB3@github.com/org/repo.git", "https://***@github.com/org/repo.git"),
        ("git+https://aB3:x-oauth-basic@host.org/r@v1", "git+https://***@host.org/r@v1"),
        ("HTTPS://dana:aB3@host.org", "HTTPS://***@host.org"),
        ("ssh://dana:aB3@host.org/r.git", "ssh://dana:***@host.org/r.git"),
        ("postgres://dana:aB3@host.org:5432/db", "postgres://dana:***@host.org:5432/db"),
        ("postgresql+psycopg://dana:a/B?3#@host.org/db", "postgresql+psycopg://dana:***@host.org/db"),
        ("redis://:aB3@host.org:6379/0", "redis://:***@host.org:6379/0"),
        ("mongodb+srv://dana:aB%403@host.org/?w=1", "mongodb+srv://dana:***@host.org/?w=1"),
        ("amqp://dana:a@B3@host.org//", "amqp://dana:***@host.org//"),
        (r"https:\/\/dana:aB3@host.org\/r", r"https:\/\/***@host.org\/r"),
        ("ssh://git@github.com/org/repo.git", "ssh://git@github.com/org/repo.git"),
        ("git@github.com:org/repo.git", "git@github.com:org/repo.git"),
        ("file:///home/dana/repo@2", "file:///home/dana/repo@2"),
        ("https://h.org/o?X-Amz-Credential=A%2F1&X-Amz-Expires=6&X-Amz-Signature=a1&X-Amz-Security-Token=aB3",
         "https://h.org/o?X-Amz-Credential=***&X-Amz-Expires=6&X-Amz-Signature=***&X-Amz-Security-Token=***"),
        ("https://h.org/o?AWSAccessKeyId=AK&Expires=1&Signature=aB3%3D",
         "https://h.org/o?AWSAccessKeyId=***&Expires=1&Signature=***"),
        ("https://h.org/o?X-Goog-Credential=a%40b&X-Goog-Signature=ab12",
         "https://h.org/o?X-Goog-Credential=***&X-Goog-Signature=***"),
        ("https://acc.blob/c?sv=2022&se=2026-01-01&sig=aB%2B3%3D", "https://acc.blob/c?sv=2022&se=2026-01-01&sig=***"),
        ("https://host.org/?key=aB3&page=2&access_token=x1&n=3", "https://host.org/?key=***&page=2&access_token=***&n=3"),
        ("https://host.org/?a=1&amp;api_key=aB3", "https://host.org/?a=1&amp;api_key=***"),
        ("https://conda.anaconda.org/t/ab-1a2b3c4d-5e6f-" + "7a8b-9c0d-1e2f3a4b5c6d/channel/linux-64",
         "https://conda.anaconda.org/t/***/channel/linux-64"),
        ("https://repo.anaconda.cloud:443/t/" + "aB3dEf7h/repo/main", "https://repo.anaconda.cloud:443/t/***/repo/main"),
        ("https://host.org/t/" + "a1B2" * 9 + "/main", "https://host.org/t/***/main"),
        ("https://hooks." + "slack.com/services/T0AB/B0CD/" + "aB3dEfG7", "https://hooks.slack.com/***"),
    ],
)  # fmt: skip
def test_a_url_keeps_its_scheme_host_and_path_and_loses_its_secrets(url, masked):
    assert redact_url(url) == masked
    assert redact(f"fetching ({url}), please wait") == f"fetching ({masked}), please wait"
    assert redact_url(masked) == masked


@given(st.text(min_size=1).filter(lambda password: not set("/?#*") & set(password)))
def test_a_url_that_stands_alone_may_have_any_password(password):
    assert redact_url(f"https://dana:{password}@host.org/r") == "https://***@host.org/r"


def test_a_remote_without_a_scheme_may_have_a_password():
    assert redact_url("dana:aB3@host.org/r.git") == "dana:***@host.org/r.git"


# --- what users add ---


def test_a_value_that_was_told_is_masked_in_every_spelling():
    value = 'kölsch "und" 2/3&more\n'
    octets = value.encode()
    spellings = [value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1], repr(value)[1:-1]]
    spellings += [urllib.parse.quote(value), urllib.parse.quote(value, safe=""), urllib.parse.quote_plus(value)]
    spellings += [urllib.parse.quote(value, safe="").replace("%C3%B6", "%c3%b6").replace("%2F", "%2f").lower()]
    spellings += [html.escape(value), base64.b64encode(octets).decode().rstrip("=")]
    spellings += [base64.urlsafe_b64encode(octets).decode().rstrip("="), json.dumps(json.dumps(value))[3:-3]]
    text = "\n--\n".join(f"a {spelling} b" for spelling in spellings)
    forget = add_secret(value)
    try:
        assert redact(text) == "\n--\n".join(["a *** b"] * len(spellings))
        assert redact_data({"note": [value]}) == {"note": ["***"]}
    finally:
        forget()
    assert redact(text) == text


@given(st.binary(max_size=7), st.binary(max_size=7))
def test_a_value_that_was_told_is_masked_within_a_longer_one_in_base64(before, after):
    value = b"correct horse"
    forget = add_secret(value.decode())
    try:
        masked = redact(base64.b64encode(before + value + after).decode())
    finally:
        forget()
    assert "***" in masked
    assert len(masked) <= (len(before) + len(after)) * 4 / 3 + 3 + 4 + 4


@pytest.mark.parametrize("value", ["", "short", "******", "   \n   "])
def test_a_value_that_would_be_found_everywhere_is_refused(value):
    with pytest.raises(ValueError, match="a secret of"):
        add_secret(value)


def test_a_pattern_can_be_added_for_all_or_a_part_of_what_it_matches_and_taken_back():
    text = "patient 0815 of ward 7"
    forget_all = add_pattern(r"ward \d")
    forget_part = add_pattern(r"patient (?P<number>\d+)", group="number")
    try:
        assert redact(text) == "patient *** of ***"
        forget_all()
        assert redact(text) == "patient *** of ward 7"
    finally:
        forget_all()
        forget_part()
    assert redact(text) == text


@pytest.mark.parametrize("group", [2, -1, "name"])
def test_a_pattern_without_the_group_it_names_is_refused_at_once(group):
    with pytest.raises(IndexError, match="has no group"):
        add_pattern("(a)b", group=group)


def test_secrets_can_be_added_and_forgotten_while_others_redact():
    errors = []

    def work(number):
        value = f"value-of-thread-{number}"
        for _ in range(50):
            forget = add_secret(value)
            if redact(f"x {value} y") != "x *** y":
                errors.append("not masked")
            forget()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert redact("value-of-thread-1") == "value-of-thread-1"


# --- text that was made to take long: where a search went over it again and again, this would not end ---

REPEATED = r"""
a= eyJ eyJ. eyJ- eyJaaaaaaaaaa. -----BEGIN - token token= token: token=a( TOKEN=a( token=( token=(' token=[{'a':
"token":" 'token':'" \"token\":\" \ token=\ token="\ token=''' https:// https://a:b http://u:p@ ?a= &token= sk- sk-a
<token> --token token.a= token:a| token,a= token=${ token={{ AKIA SG. 8Q~ 8Q~. '" xoxb- bearer curl-u {"token":{
""".split()  # noqa: SIM905  (a table to read)
REPEATED += [
    "token: ",
    "login -a ",
    "curl -u a:",
    "cookie: a ",
    "-----BEGIN PRIVATE KEY-----\n",
    "token: |\n",
    "\n",
    " ",
]
REPEATED += ["-----END PRIVATE KEY-----\n", LINES[0] + "\n", "('token', 'token', ", "token: a.b = "]
REPEATED += r"""
token=a(default=[ token=f(default= token=a(token=[ ('token')or ("token",default= SecretStr( login(key= token=a(,,)
TOKEN=a' TOKEN=a" 'TOKEN=a \nTOKEN=a value=' value=" value="a", name=token,a=b, "name":"token","value": token=not
https://conda.org/t/ /t/a t/ token=(a( token=a?. .atlasv1. dp.st.a. \x1b[m \x1b[mtoken= 'value':'x','name':
""".split()  # noqa: SIM905  (a table to read)
REPEATED += [
    "('token') or ",
    "token = a or ",
    "token = a if ",
    "add_argument('--token', ",
    "token=a\n\n(",
    "ENV TOKEN a ",
]
REPEATED += [
    "name: token value: ",
    "- name: token\n",
    "value: a\n",
    "TOKEN=a ",
    "password: a b ",
    "password: a #",
    "# TOKEN=a",
]
REPEATED += [
    "\x1b",
    "\x1b[",
    "\x1b[0m",
    "\x1b[1mtoken\x1b[0m=",
    "\x1b]8;;",
    "PASSWORD=on ",
    "token: a, ",
    "token=lambda:",
]
REPEATED += ["authorization: basic ", "-----BEGIN PRIVATE KEY-----\\n\\n", '("token", "']


@pytest.mark.parametrize("piece", REPEATED)
def test_text_that_was_made_to_take_long_does_not(piece):
    once = redact(piece * (200_000 // len(piece)))
    assert redact(once) == once
