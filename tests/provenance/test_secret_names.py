"""Which names are those of secrets, in whatever spelling, and which are those of hyperparameters and metrics."""

import pytest

from lazytrack.provenance.redact import add_secret_name, looks_secret, redact, redact_command, redact_data

SECRET = """
password passwd pwd passphrase passcode secret token api_key apikey api-key access_key private_key credential
credentials auth bearer cookie cookies jwt session-id session_token sessionToken session_key sessionid client_secret
connection_string conn_str signing_key encryption_key webhook webhook_url dsn authorization MY_DB_PASSWORD DB_PASS
DB_PW dbpass PGPASSWORD MYSQL_PWD rootPassword password1 passwords db.password.value passwordHash --hub-token
--hub_token -token hub_token hubToken hub.token trainer.hub.token HUB_TOKEN HF_TOKEN HFToken hftoken token2 token_prod
ACCESS_TOKEN accessToken access_tokens refreshToken id_token csrf_token X-Auth-Token use_auth_token oauth2_token
openaiApiKey OPENAI_API_KEY openai_key openAIKey WANDB_API_KEY wandb.api_key api_keys api_key_openai APIKey x-api-key
AWS_SECRET_ACCESS_KEY aws_access_key_id AWSAccessKeyId x-amz-security-token AccountKey SharedAccessKey ed25519_key
SharedAccessSignature connectionString private_key_id service_account_key SECRET_KEY_BASE secret_id secrets JWT_SECRET
Proxy-Authorization Set-Cookie _authToken npm_config__auth http.auth SENTRY_DSN slack_webhook_url SSH_KEY fernet_key
basicAuth kubernetesToken DATABASE_PASSWORD_FOR_ADMIN authtoken accesskey ghToken CI_JOB_TOKEN VAULT_TOKEN
NEPTUNE_API_TOKEN COMET_API_KEY session.cookie master-key unsealKey smtp_pass --pass --pw -pass
""".split()  # noqa: SIM905  (a table to read)

HARMLESS = """
max_tokens max_new_tokens num_tokens n_tokens tokens tokens_per_second tokens_seen train_tokens tokenizer
tokenizer_name tokenizer.model_max_length tokenization token_count token_type_ids token_embedding_dim token_dropout
pad_token pad_token_id padToken eos_token eostoken bos_token cls_token use_cls_token mask_token image_token
special_tokens next_token is_token decoder_start_token_id word_delimiter_token time_to_first_token loss_per_token
subtoken_count author authors authority authenticated auth_enabled auth_type auth_url oauth_provider key keys key_dim
keyword keyboard keypoint keypoints primary_key foreign_key public_key cache_key partition_key sort_key rng_key
prng_key metric_key num_key_value_heads query_key_value key_padding_mask kv_cache monkey turkey hockey secretary
secretion secret_name num_secrets secrets.py token.py session sessions session_length session_count connection
connections cookiecutter cookie_domain webhooks_enabled pass passes n_passes passed forward_pass bypass compass
passthrough passage passenger OLDPWD password_file password_length max_password_length password_policy
credentials_path token_url lr learning_rate batch_size epochs loss val_acc seed optimizer hidden_dim dropout
trust_remote_code signature
""".split()  # noqa: SIM905  (a table to read)


@pytest.mark.parametrize("name", SECRET)
def test_a_name_of_a_secret_is_known_in_any_spelling(name):
    assert looks_secret(name)


@pytest.mark.parametrize("name", HARMLESS)
def test_a_name_of_a_hyperparameter_or_a_metric_is_no_name_of_a_secret(name):
    assert not looks_secret(name)


@pytest.mark.parametrize("name", [*HARMLESS, "", "é", "\ud800", "x" * 100_000, "A" * 100_000 + "b"])
def test_values_of_other_names_stay(name):
    assert redact_data({name: "abc-1"}) == {name: "abc-1"}


def test_a_long_name_is_known_by_its_end():
    assert looks_secret("x." * 50_000 + "token")


def test_a_name_that_only_a_user_knows_can_be_added_and_taken_back():
    name, text = "blood_type", "blood_type: x1, lr: 1"
    assert not looks_secret(name)
    forget = add_secret_name("^blood")
    again = add_secret_name("^blood")
    try:
        assert looks_secret("BLOOD_TYPE")
        assert not looks_secret("no_blood")
        assert redact(text) == "blood_type: ***, lr: 1"
        assert redact_data({name: "A"}) == {name: "***"}
        assert redact_command(["--blood-type", "A"]) == ["--blood-type", "***"]
        forget()
        forget()
        assert looks_secret(name)
    finally:
        forget()
        again()
    assert not looks_secret(name)
    assert redact(text) == text
