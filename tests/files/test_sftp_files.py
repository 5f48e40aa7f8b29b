"""What is particular to files that are reached by SFTP."""

import gc
import threading
import time

import paramiko

from lazytrack.files import open_files


def connections():
    return [thread for thread in threading.enumerate() if isinstance(thread, paramiko.Transport)]


def test_a_connection_ends_with_its_thread(sftp):
    url, options = sftp
    files = open_files(url, **options)
    files.create("log/a.json", b"1")
    before = len(connections())
    threads = [threading.Thread(target=files.read, args=("log/a.json",)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    del thread, threads
    gc.collect()
    for _ in range(500):  # a connection takes a moment to end
        if len(connections()) <= before:
            break
        time.sleep(0.02)
    assert len(connections()) <= before
    assert files.read("log/a.json") == b"1"
