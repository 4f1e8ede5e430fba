"""The table of image data sets."""

from __future__ import annotations

from combsearch.tasks.images import DATA_SETS


def test_the_table_is_sound() -> None:
    for name, data_set in DATA_SETS.items():
        assert name == data_set.name and "public" in data_set.downloads
        assert len(data_set.mean) == len(data_set.deviation) == data_set.channels
        assert not data_set.class_names or len(set(data_set.class_names)) == data_set.classes
        for layout in data_set.layouts:
            names = [file.name for file in layout.files]
            assert len(set(names)) == len(names)
            assert layout.format == "folders" or layout.key in names
            assert all(len(file.md5) == 32 for file in layout.files)
        for items in data_set.downloads.values():
            for one in items:
                assert len(one.checksum) == {"md5": 32, "sha256": 64}[one.algorithm]
                assert all(url.endswith(one.name) for url in one.urls)


def test_sizes_of_binary_files_follow_from_their_formats() -> None:
    for data_set in DATA_SETS.values():
        for layout in data_set.layouts:
            for files, images in zip((layout.train, layout.test), data_set.sizes, strict=True):
                if layout.format == "idx":
                    assert [file.size for file in files] == [16 + images * 28 * 28, 8 + images]
                elif layout.format == "cifar-binary":
                    record = 3072 + (1 if data_set.classes == 10 else 2)
                    assert sum(file.size or 0 for file in files) == images * record
