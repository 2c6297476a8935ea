"""The package index that the user's machine is set up for: where it is, with which certificates and credentials.

Asked in the order of uv and pip: environment variables, uv's configuration, pip's configuration, pypi_simple's default.
"""

import configparser
import os
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT
from requests.auth import HTTPBasicAuth

FIRST = ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL")
MORE = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL")
CERTIFICATES = ("REQUESTS_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE", "CURL_CA_BUNDLE")


def indexes() -> list[str]:
    """The addresses of the indexes to ask, the main one first. Only http and https ones: others cannot be fetched from.

    The first variable or file that names a main index decides on it; extra indexes add up.
    """
    main: list[str] = []
    extra: list[str] = []
    for variables, urls in ((FIRST, main), (MORE, extra)):
        for word in (word for variable in variables for word in _words(os.environ.get(variable))):
            urls.append(word.partition("=")[2] if _is_named(word) else word)
    for config in _uv_configs():
        listed = config.get("index", [])
        main += [entry["url"] for entry in listed if entry.get("default")] + _words(config.get("index-url"))
        extra += [entry["url"] for entry in listed if not entry.get("default") and not entry.get("explicit")]
        extra += _words(config.get("extra-index-url"))
    for section in _pip_sections():
        main += _words(section.get("index-url"))
        extra += _words(section.get("extra-index-url"))
    wanted = [*(main or [PYPI_SIMPLE_ENDPOINT])[:1], *extra]
    return list(dict.fromkeys(url for url in wanted if url.startswith(("https://", "http://"))))


def open_session(index: str | None = None) -> requests.Session:
    """A session with the user's certificates, proxies and netrc; credentials in the index's address go to it alone."""
    session = requests.Session()
    bundles = [os.environ.get(name) for name in CERTIFICATES] + [section.get("cert") for section in _pip_sections()]
    session.verify = next((bundle for bundle in bundles if bundle and Path(bundle).exists()), True)
    parts = urlsplit(index or "")
    if parts.username is not None:
        session.auth = _OnlyFor(parts.hostname, unquote(parts.username), unquote(parts.password or ""))
    return session


def shown(url: str) -> str:
    """The address without its credentials, for messages."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class _OnlyFor(HTTPBasicAuth):
    """The index's password must not travel to another host that its pages point to."""

    def __init__(self, host: str | None, username: str, password: str) -> None:
        super().__init__(username, password)
        self.host = host

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        same = urlsplit(request.url or "").hostname == self.host
        signed: requests.PreparedRequest = super().__call__(request) if same else request
        return signed


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return str(value).split() if value else []


def _is_named(word: str) -> bool:
    return "=" in word and "://" not in word.partition("=")[0]  # UV_INDEX holds NAME=URL or URL


def _uv_configs() -> Iterator[dict[str, Any]]:
    """uv's settings, the ones that win first: the project's, the user's, the machine's."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    machine = [Path(folder) for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files = [Path(os.environ.get("UV_CONFIG_FILE") or "uv.toml"), Path("pyproject.toml"), home / "uv/uv.toml"]
    for file in [*files, *(folder / "uv/uv.toml" for folder in machine), Path("/etc/uv/uv.toml")]:
        if file.is_file():
            try:
                config = tomllib.loads(file.read_text())
            except (tomllib.TOMLDecodeError, OSError):
                continue  # uv itself complains about it, and says it better
            config = config.get("tool", {}).get("uv", {}) if file.name == "pyproject.toml" else config
            yield config
            yield config.get("pip", {})


def _pip_sections() -> Iterator[configparser.SectionProxy]:
    """pip's settings, the ones that win first: PIP_CONFIG_FILE, the environment's, the user's, the machine's."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    machine = [Path(folder) for folder in os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")]
    files = [Path(sys.prefix, "pip.conf"), home / "pip/pip.conf", Path.home() / ".pip/pip.conf"]
    files += [Path("/etc/pip.conf"), *(folder / "pip/pip.conf" for folder in machine)]
    named = os.environ.get("PIP_CONFIG_FILE")
    if named == os.devnull:
        return  # pip's way to say: no configuration files
    for file in [*([Path(named)] if named else []), *files]:
        parser = configparser.RawConfigParser()
        try:
            parser.read(file)
        except configparser.Error:
            continue
        yield from (parser[name] for name in ("install", "global") if parser.has_section(name))
