import pytest


def test_texts_find_pictures():
    pytest.importorskip("transformers")
    from examples.text_to_image import main

    before, after = main(n_pictures=4, n_epochs=8)
    assert after["cmc@1"] > before["cmc@1"] + 0.2
