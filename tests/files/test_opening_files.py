import os
import subprocess
import sys
from pathlib import Path

import fsspec
import pytest

from lazytrack import naming
from lazytrack.files import open_files, split
from lazytrack.files.local import LocalFiles
from lazytrack.files.memory import MemoryFiles

# --- open_files ---


@pytest.mark.parametrize("form", [str, Path, "file://{}".format, "FILE://{}".format, "local://{}".format])
def test_a_local_folder_is_opened_by_path_or_url(tmp_path, form):
    files = open_files(form(tmp_path / "my store"))
    assert isinstance(files, LocalFiles)
    files.create("a.json", b"1")
    assert (tmp_path / "my store" / "a.json").read_bytes() == b"1"


def test_a_memory_folder_is_opened_by_url():
    name = naming.unique()
    files = open_files(f"memory://{name}")
    assert isinstance(files, MemoryFiles)
    files.create("a.json", b"1")
    assert open_files(f"Memory:///{name}/").read("a.json") == b"1"
    files.fs.rm(files.url, recursive=True)


def test_options_reach_the_fsspec_filesystem(tmp_path):
    assert open_files(tmp_path, auto_mkdir=True).fs.auto_mkdir is True
    assert open_files(tmp_path, auto_mkdir=True).below("a").below("b").fs.auto_mkdir is True


@pytest.mark.parametrize(
    "path",
    ["C:\\runs\\churn", "C:/runs/churn", "c:churn", "./a::b", "what?", "a#b", "50%", "a|b", "./a:b", "~x", "x:y"],
)
def test_a_path_without_a_protocol_is_local_whatever_it_contains(path):
    files = open_files(path)
    assert isinstance(files, LocalFiles)
    assert files.url == os.path.abspath(path)  # noqa: PTH100  (a URL, not a Path)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    with pytest.raises(
        ValueError, match=r"^cannot keep a store at 'abfs\+x.y-z://a': no adapter for 'abfs\+x.y-z'; known: ab"
    ):
        open_files("abfs+x.y-z://a")


@pytest.mark.parametrize(
    "url",
    [
        "ftps-x://me:hunter2@h/a",
        "ftps-x://me:un@hunter2@h/a",
        "simplecache::sftp://me:hunter2@h/a",
        "sftp:/me:hunter2@h/a",
        "oci://:hunter2@h",
    ],
)
def test_no_error_shows_the_password_of_a_url(url):
    with pytest.raises((ValueError, ModuleNotFoundError), match=r":\*\*\*@h") as caught:
        open_files(url)
    assert "hunter2" not in str(caught.value)


def test_a_filesystem_that_fsspec_knows_needs_its_own_library():
    with pytest.raises(ModuleNotFoundError, match=r"'oci://a' needs the library of its filesystem \(.*ocifs"):
        open_files("oci://a")


@pytest.mark.parametrize(
    ("url", "given", "message"),
    [
        ("churn", {"endpoint_url": "x"}, "no option 'endpoint_url' for a store at 'churn'"),
        (
            "s3://b/churn",
            {"endpoint_ur": "x"},
            r"'endpoint_ur' \(is 'endpoint_url' meant\?\) for a store at 's3://b/churn'",
        ),
        ("s3://b/churn", {"cache_dir": "x"}, "no option 'cache_dir'"),
        ("s3://b/churn", {"endpoint": "x"}, "no option 'endpoint'.*is 'endpoint_url' meant"),
        ("s3://b/churn", {"cach": True}, "no option 'cach' .is 'cache' meant"),
        ("gs://b/churn", {"tokn": "anon"}, "is 'token' meant"),
        ("abfs://b/churn", {"acount_name": "x"}, "is 'account_name' meant"),
        ("sftp://me@machine/churn", {"key_file": "x"}, "is 'key_filename' meant"),
    ],
)
def test_a_misspelt_option_is_refused_when_a_store_is_opened(url, given, message):
    with pytest.raises(TypeError, match=message):
        open_files(url, **given)


def test_options_that_filesystems_take_are_taken():
    s3 = open_files("s3://b/churn", profile="default", anon=True, client_kwargs={"region_name": "eu-west-1"})
    assert s3.fs.anon is True
    gcs = open_files("gs://b/churn", token="anon", an_option_of_tomorrow=1)
    assert gcs.fs.storage_options["an_option_of_tomorrow"] == 1


def test_the_configuration_of_fsspec_counts_where_nothing_is_given(monkeypatch):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"endpoint_url": "https://from.conf"})
    assert open_files("s3://b/churn").fs.endpoint_url == "https://from.conf"
    assert open_files("s3://b/churn", endpoint_url="https://given").fs.endpoint_url == "https://given"


def test_the_environment_counts_where_nothing_is_given():
    code = "from lazytrack.files import open_files; print(open_files('s3://b/churn').fs.endpoint_url)"
    environment = os.environ | {"FSSPEC_S3_ENDPOINT_URL": "https://from.environment"}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout == "https://from.environment\n"


@pytest.mark.parametrize(
    "url",
    [
        "simplecache::s3://bucket/churn",
        "simplecache::file:///tmp/churn",
        "zip://churn::s3://bucket/store.zip",
        "simplecache://churn",
        "memory::s3://bucket/churn",
        "filecache::memory://x",
    ],
)
def test_a_chained_url_is_refused(url):
    with pytest.raises(ValueError, match=r"chained URL .*: give that of the storage itself") as caught:
        open_files(url)
    assert repr(url) in str(caught.value)


@pytest.mark.parametrize(
    ("url", "library", "extra"),
    [
        ("s3://bucket/churn", "s3fs", "s3"),
        ("gs://bucket/churn", "gcsfs", "gcs"),
        ("az://container/churn", "adlfs", "azure"),
        ("sftp://me@machine/churn", "paramiko", "sftp"),
        ("http://machine/churn", "aiohttp", "http"),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(url, library, extra):
    code = f"import sys; sys.modules[{library!r}] = None; from lazytrack.files import open_files; open_files({url!r})"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert f"ModuleNotFoundError: a store at '{url}' needs a library: pip install 'lazytrack[{extra}]'" in done.stderr


def test_opening_touches_nothing(tmp_path):
    open_files(tmp_path / "store").below("log")
    assert list(tmp_path.iterdir()) == []


# --- split ---


@pytest.mark.parametrize(
    ("url", "folder", "name"),
    [
        ("memory://churn/project.json", "memory://churn", "project.json"),
        ("memory://project.json", "memory://", "project.json"),
        ("memory:///churn/project.json", "memory:///churn", "project.json"),
        ("s3://bucket/a b/c#d/project.json", "s3://bucket/a b/c#d", "project.json"),
        ("s3://bucket/churn/", "s3://bucket", "churn"),
        ("S3://bucket/churn", "s3://bucket", "churn"),
        ("simplecache::s3://bucket/churn/project.json", "simplecache::s3://bucket/churn", "project.json"),
    ],
)
def test_a_url_is_split_at_its_last_slash(url, folder, name):
    assert split(url) == (folder, name)


@pytest.mark.parametrize("form", ["{}", "file://{}", "local://{}", "File://{}"])
@pytest.mark.parametrize("name", ["project.json", "a b.json", "what?#50%.json", "Größe.json"])
def test_a_local_url_is_split_into_a_folder_and_a_name(tmp_path, form, name):
    assert split(form.format(os.path.join(tmp_path, "churn", name))) == (str(tmp_path / "churn"), name)  # noqa: PTH118


@pytest.mark.parametrize("path", ["churn/project.json", "./churn/project.json", "churn//x/../project.json", "churn/a/"])
def test_a_relative_path_is_split_below_the_present_folder(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    folder, name = split(path)
    assert folder == str(tmp_path.resolve() / "churn")
    assert name in {"project.json", "a"}


@pytest.mark.parametrize("path", ["C:\\runs\\project.json", "D:/runs/project.json", "c:project.json"])
def test_a_drive_letter_is_no_protocol(path):
    folder, name = split(path)
    assert "://" not in folder
    assert name.endswith("project.json")


@pytest.mark.parametrize("url", ["memory://x/project.json", "memory://x/y/project.json", "churn/project.json"])
def test_what_is_split_can_be_opened_and_named_again(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder, name = split(url)
    assert split(f"{open_files(folder).url}/{name}") == (folder, name)


@pytest.mark.parametrize("path", ["s3:/bucket/churn", Path("s3://bucket/churn"), "gs:/bucket", "ABFS:/container/x"])
def test_a_url_that_was_made_a_path_is_refused(path):
    with pytest.raises(ValueError, match=r"://(bucket|container).* is a URL, which is no Path"):
        open_files(path)


def test_the_configuration_of_s3_in_fsspec_is_not_forgotten(monkeypatch):
    monkeypatch.setitem(fsspec.config.conf, "s3", {"config_kwargs": {"s3": {"addressing_style": "path"}}})
    assert open_files("s3://b/churn").fs.config_kwargs["s3"] == {"addressing_style": "path"}
    given = open_files("s3://b/churn", config_kwargs={"retries": {"max_attempts": 9}})
    assert given.fs.config_kwargs == {
        "max_pool_connections": 64,
        "retries": {"max_attempts": 9},
        "s3": {"addressing_style": "path"},
    }
    open_files("s3://b/churn", config_kwargs=None)


def test_an_archive_that_is_none_is_told_with_its_place(tmp_path):
    (tmp_path / "notes.zip").write_text("notes")
    with pytest.raises(OSError, match=r"BadZipFile.*'zip://churn'"):
        open_files("zip://churn", fo=str(tmp_path / "notes.zip"))


def test_the_url_of_azure_with_its_account_is_the_same_place(azure):
    url, options = azure
    files = open_files(url, **options)
    files.create("log/a.json", b"1")
    container, _, path = url.removeprefix("abfs://").partition("/")
    other = open_files(f"abfss://{container}@devstoreaccount1.dfs.core.windows.net/{path}", **options)
    assert other.names("log") == ["a.json"]
    assert other.read("log/a.json") == b"1"
    other.below("log").create("b.json", b"2")
    assert sorted(files.names("log")) == ["a.json", "b.json"]
    assert other.url.startswith("abfss://container@devstoreaccount1")
