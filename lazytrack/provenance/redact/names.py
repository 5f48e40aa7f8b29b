"""Which names are those of secrets: names of options, parameters, variables, headers and JSON keys."""

import enum
import functools
import re
from collections.abc import Callable

from lazytrack.provenance.redact.added import Added

_LONGEST = 120
"""Characters of a name that are looked at, from its end, where it says what it is."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


_added: Added[re.Pattern[str]] = Added()


class Secrecy(enum.IntEnum):
    """What a name says of its value."""

    NONE = 0
    SECRET = 1
    PASSWORD = 2
    """People choose passwords, so one may be a plain number or a word."""


def looks_secret(name: str) -> bool:
    """Tell whether the value of a parameter, an option or a variable of this name is likely to be a secret.

    Spelling does not matter: ``hub_token``, ``--hub-token``, ``hubToken``, ``trainer.hub.token`` and ``HUB_TOKEN`` are
    one name. Names of hyperparameters and metrics, such as ``max_tokens``, ``eos_token`` and ``num_key_value_heads``,
    are not those of secrets.
    """
    return secrecy(name) is not Secrecy.NONE


def secrecy(name: str) -> Secrecy:
    """Return what `name` says of its value."""
    if _added:
        spelled = name.lstrip("-+~").replace("-", "_")
        if any(pattern.search(name) or pattern.search(spelled) for pattern in _added):
            return Secrecy.SECRET
    return _secrecy(name[-_LONGEST:])


def add_secret_name(pattern: str) -> Callable[[], None]:
    """Take names in which `pattern` is found, whatever their case, for names of secrets; return what undoes it.

    Parameters
    ----------
    pattern
        A regular expression. ``"^pin$"`` is the name ``pin`` alone, and ``--pin``.

    Raises
    ------
    re.error
        When `pattern` is no regular expression.
    """
    return _added.add(re.compile(pattern, re.IGNORECASE))


def has_added_names() -> bool:
    """Tell whether names are secret that only a user knows of."""
    return bool(_added)


# --- the words of names ---

HINTS = (
    "pass", "pwd", "secret", "token", "key", "cred", "auth", "bearer", "cookie", "session", "dsn", "webhook", "conn",
    "shared", "jwt", "pw",
)  # fmt: skip
"""Each name of a secret holds one of these, in lower case. They stand where a search for names begins."""

_PEOPLE = (
    "db database user root admin mysql mariadb postgres pg redis mongo mongodb amqp rabbitmq smtp imap mail email ftp"
    " sftp ssh sudo ldap proxy login basic http my"
)
"""Before ``pass`` and ``pw``, which alone may be the pass of an optimiser."""

_OPTIONS = frozenset({"pass", "pw"})
"""Options that take a password, and in programs that go over something more than once its number, which may be seen."""

_KEYS = (
    "api access private secret signing signature encryption encrypt decryption decrypt account auth authentication"
    " authorization master ssh rsa dsa ecdsa ed pgp gpg aes des hmac fernet jwt session service storage shared"
    " consumer deploy deployment license licence subscription admin root webhook app vault unseal recovery bot write"
    " aws azure gcp google openai ai anthropic claude gemini hf huggingface wandb neptune comet mlflow clearml cohere"
    " mistral groq replicate pinecone stripe twilio sendgrid mailgun github gitlab slack databricks snowflake datadog"
    " sentry algolia langsmith langchain tavily serper modal kaggle"
)
"""Before ``key``, which alone may be the key of a dict."""

_GLUED_KEYS = "api|access|private|secret|signing|encryption|account|auth|master|ssh"

_MODELS = (
    "bos eos pad unk cls sep mask sos eot eod eop eom eoh bot boi eoi img image video audio vision prefix suffix"
    " middle start end stop begin first last next prev previous current special added per each every any all single"
    " multi sub word char byte bpe blank oov unknown null newline space delimiter input output prompt completion"
    " generated sampled draft target source src tgt speculative bonus think thinking reasoning query class register"
    " dist distillation patch latent memory summary pause text fim reserved separator chat assistant system role"
    " language lang sentinel attention global local top sink bad forced suppress banned allowed decoder encoder is"
)
"""Before ``token``: what language models read and write."""

_SAID_OF_IT = (
    "file files filename path paths dir folder length len size count counts num number policy policies required"
    " enabled disabled field fields type kind version name names provider manager store reset expiry expires"
    " expired expiration attempts retries strength score min max url uri endpoint var variable arn rotation"
    " set present missing valid invalid error exception warning found prompt label help hint source backend"
    " engine mount format encoding algorithm alg created updated at age ttl rule rules scanner detector regex"
    " pattern py pyc js ts json yaml yml toml txt ini md html sh rs go java cpp cc hpp"
)
"""After the name of a secret: what is said about it, not the secret."""

_STILL = r"(?: (?:[0-9]+|[a-z]|value|text|string|str|raw|plain|old|new|prod|production|dev|staging|live|env|header))*"
"""After a word that could mean something else: what leaves it the name of a secret."""


def _one_of(words: str) -> str:
    return f"(?:{'|'.join(words.split())})"


_PASSWORD = re.compile(
    rf"\b(?:[a-z]*(?:password|passwd|passphrase|passcode|(?<!old)pwd)s?|{_one_of(_PEOPLE)} ?(?:pass|pw))\b"
)
_CLEAR = re.compile(
    rf"\b(?:[a-z]*secrets?|{_one_of(_KEYS)} (?:[0-9]+ )?keys?|[a-z]*(?:{_GLUED_KEYS})keys?|credentials?|creds?"
    r"|conn(?:ection)? ?str(?:ing)?|shared access signature|(?:api|access|auth|refresh|bearer) tokens)\b"
)
_VAGUE = re.compile(
    rf"(?:^|(?:^| )(?!{_one_of(_MODELS)}\b)[a-z0-9]+ )(?!{_one_of(_MODELS)}token)[a-z]*token{_STILL}$"
    rf"|\b(?:auth|authorization|bearer|jwt|cookies?|session ?(?:id|cookie)|dsn|webhook(?: ur[il])?){_STILL}$"
)
_COUNTED = re.compile(r"(?:num|n|max|min|total|avg|mean|count) ")
_ABOUT = frozenset(_SAID_OF_IT.split())


@functools.lru_cache(4096)
def _secrecy(name: str) -> Secrecy:
    words = " ".join(word.lower() for word in _WORD.findall(name.removeprefix("-D")))  # Java's -Dname=value
    if _COUNTED.match(words):
        return Secrecy.NONE
    if words in _OPTIONS and name.startswith("-"):
        return Secrecy.SECRET
    before, _, last = words.rpartition(" ")
    about = before and last in _ABOUT
    if not about and _PASSWORD.search(words):
        return Secrecy.PASSWORD
    if _VAGUE.search(words) or (not about and _CLEAR.search(words)):
        return Secrecy.SECRET
    return Secrecy.NONE
