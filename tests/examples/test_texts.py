from html import unescape
from pathlib import Path

import pytest

from examples import texts
from oml.utils import get_mock_texts_dataset


@pytest.mark.slow
def test_a_real_model_finds_products_that_it_has_never_seen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before, after = texts.main(n_epochs=3, page=tmp_path / "found.html")
    assert before["map@r"] > 0.65  # of weights that know no English: about 0.3
    assert after["map@r"] > before["map@r"]
    assert after["cmc@1"] == 1
    page = unescape((tmp_path / "found.html").read_text())
    assert all(text in page for text in get_mock_texts_dataset()[1]["text"])
    assert "after:" in capsys.readouterr().out
