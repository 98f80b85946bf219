"""Every manifest of the catalogue keeps the contract; a new one is tested on arrival."""

import re
import tomllib

import pytest

from brainenc import datasets
from brainenc.core.errors import DataError
from brainenc.datasets.catalogue import catalogue_folder, choose
from brainenc.datasets.parsing import with_variant
from brainenc.datasets.places import needed_files

NAMES = sorted(path.stem for path in catalogue_folder().glob("*.toml"))


def test_the_catalogue_is_listed():
    assert datasets.names() == NAMES and {"digits69", "haxby2001_slice", "insilico", "objects92", "v4_cowley2023"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
class TestManifest:
    def test_states_what_it_is_and_whom_to_cite(self, name):
        found = datasets.manifest(name)
        assert found.name == name and found.title and found.description and found.licence.name
        assert found.generator or found.citation.text
        assert re.fullmatch(r"(10\.\d{4,9}/\S+)?", found.citation.doi)
        assert name in datasets.describe(name) and found.title in datasets.describe(name)

    def test_sources_are_public_pinned_and_complete(self, name):
        found = datasets.manifest(name)
        if found.generator:
            assert not found.sources
            return
        if found.access.kind != "open":
            assert found.access.url.startswith("https://")
            return
        if not any(source.files for source in found.sources):  # nobody knows the checksums: by hand, and said so
            assert found.sources and all(source.base.startswith("https://") for source in found.sources)
            assert {f"sources[{i}]" for i in range(len(found.sources))} <= set(found.unverified)
            with pytest.raises(DataError, match=re.escape(found.sources[0].base)):
                datasets.fetch_plan(name)
            return
        paths = set()
        for source in found.sources:
            assert source.base.startswith("https://")
            if "githubusercontent" in source.base:
                assert re.search(r"/[0-9a-f]{40}(/|$)", source.base), "a branch can move: pin a commit"
            for item in source.files:
                assert re.fullmatch(r"[0-9a-f]{64}", item.sha256) and item.bytes > 0 and item.path not in paths
                paths.add(item.path)
        for unit in datasets.units(name):
            needed = {file for file in needed_files(with_variant(found, unit["variant"]), unit) if "." in file}
            assert needed <= paths, "what loading needs can be fetched"

    def test_units_are_distinct_and_can_be_chosen(self, name):
        found = datasets.manifest(name)
        listed = datasets.units(name)
        assert len({tuple(unit.values()) for unit in listed}) == len(listed) > 0
        for unit in listed:
            assert choose(found, **unit) == unit

    def test_known_facts_are_checked(self, name):
        found = datasets.manifest(name)
        assert found.checks
        for check in found.checks:
            assert check.subject in (None, *found.subjects) and check.session in (None, *found.sessions())
            assert check.variant in (None, *found.variants)

    def test_file_is_plain_utf8_and_names_no_home(self, name):
        text = (catalogue_folder() / f"{name}.toml").read_bytes().decode("utf-8")
        assert tomllib.loads(text) and not re.search(r"/home/|/Users/|file://", text)
