import json

import pytest
import torch
from safetensors import safe_open

from oml.errors import InvalidInputError
from oml.retrieval import LabelGroundTruth, RetrievalResults
from tests.retrieval.test_arrays import make_labelled, make_results, to_lists


@pytest.mark.parametrize(
    "make",
    [
        make_results,
        make_labelled,
        lambda: make_results(with_gts=False),
        lambda: RetrievalResults([], []),
        lambda: RetrievalResults([], [], []),
        lambda: make_results()[[1]],
        lambda: make_labelled()[1:5:2],
        lambda: RetrievalResults([torch.tensor([0.1, 0.2], dtype=torch.float64)], [torch.tensor([1, 0])]),
        lambda: RetrievalResults([torch.tensor([0.1, 0.2, 0.5], dtype=torch.bfloat16)], [torch.tensor([1, 0, 4])]),
    ],
)
def test_round_trip(tmp_path, make):
    rr = make()
    path = tmp_path / "new" / "results.any"
    rr.save(path)
    found = RetrievalResults.load(str(path))
    assert found == rr
    assert found.distances.values.dtype == rr.distances.values.dtype
    assert (found.ground_truth is None) == (rr.ground_truth is None)
    assert isinstance(found.ground_truth, LabelGroundTruth) == isinstance(rr.ground_truth, LabelGroundTruth)
    if rr.ground_truth is not None:
        assert torch.equal(found.calc_hits().is_hit, rr.calc_hits().is_hit)
        assert torch.equal(found.calc_hits().n_gts, rr.calc_hits().n_gts)
    assert [p.name for p in path.parent.iterdir()] == ["results.any"]


def test_the_format_is_that_of_the_library(tmp_path):
    rr = make_labelled()
    rr.save(tmp_path / "rr")
    with safe_open(tmp_path / "rr", framework="pt") as file:
        assert file.metadata() == {"format": "oml.retrieval_results", "version": "1"}
        assert torch.equal(file.get_tensor("ids"), rr.retrieved_ids.values)
        assert torch.equal(file.get_tensor("distances"), rr.distances.values)


def test_loaded_results_can_be_written_to_and_the_file_stays(tmp_path):
    rr = make_results()
    rr.save(tmp_path / "rr")
    content = (tmp_path / "rr").read_bytes()
    found = RetrievalResults.load(tmp_path / "rr")
    found.retrieved_ids[0][:] = torch.tensor([1, 2, 3])
    found.distances[2][0] = 9.0
    assert to_lists(found.retrieved_ids) == [[1, 2, 3], [], [2]]
    assert (tmp_path / "rr").read_bytes() == content
    found.save(tmp_path / "rr")  # over the file that it lies in
    assert RetrievalResults.load(tmp_path / "rr") == found


def test_files_that_hold_no_results(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"There is no file .*nothing to load retrieval results from"):
        RetrievalResults.load(tmp_path / "nothing")
    rr = make_labelled()
    rr.save(tmp_path / "rr")
    content = (tmp_path / "rr").read_bytes()
    n_header = int.from_bytes(content[:8], "little")
    for foreign in (b"", b"text", b"x" * 500, content[:40], (2).to_bytes(8, "little") + b"[]"):
        (tmp_path / "rr").write_bytes(foreign)
        with pytest.raises(InvalidInputError, match=r"rr is no file of retrieval results, or only its beginning"):
            RetrievalResults.load(tmp_path / "rr")
    for n_missing in (1, 8, len(content) - 8 - n_header):
        (tmp_path / "rr").write_bytes(content[:-n_missing])
        n_kept = len(content) - n_missing
        with pytest.raises(InvalidInputError, match=f"rr is cut off: it has {n_kept} bytes of {len(content)}"):
            RetrievalResults.load(tmp_path / "rr")


def edit_header(path, edit):
    content = path.read_bytes()
    n_header = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + n_header])
    edit(header)
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + n_header :])


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda header: header["__metadata__"].update(version="9"), "has version 9 of the format, known is 1"),
        (lambda header: header["__metadata__"].update(format="other"), "is no file of retrieval results"),
        (lambda header: header.pop("__metadata__"), "is no file of retrieval results"),
        (lambda header: header.pop("ids"), "is no file of retrieval results"),
        (lambda header: header["ids"].pop("shape"), "is no file of retrieval results"),
        (lambda header: header["ids"].update(dtype="Q7"), "is no file of retrieval results"),
        (lambda header: header["ids"].update(shape=[3, 6]), "do not fit together: the file is damaged"),
        (lambda header: header["ids"].update(shape=[99]), "do not fit together: the file is damaged"),
        (lambda header: header["ids"].update(data_offsets=[3, 11]), "do not fit together: the file is damaged"),
        (lambda header: header.pop("labels_gallery"), "do not fit together: the file is damaged"),
    ],
)
def test_damaged_header(tmp_path, edit, message):
    make_labelled().save(tmp_path / "rr")
    edit_header(tmp_path / "rr", edit)
    with pytest.raises(InvalidInputError, match=message):
        RetrievalResults.load(tmp_path / "rr")


def test_lengths_that_do_not_fit(tmp_path):
    rr = make_results()
    rr.lengths[0] = 4
    rr.save(tmp_path / "rr")
    with pytest.raises(InvalidInputError, match="do not fit together"):
        RetrievalResults.load(tmp_path / "rr")


def test_table():
    table = make_results().to_dataframe()
    assert table.to_dict("list") == {
        "query_id": [0, 0, 0, 2],
        "rank": [1, 2, 3, 1],
        "retrieved_id": [5, 2, 9, 2],
        "distance": [0.5, 0.5, 2.0, 1.0],
        "is_relevant": [False, False, True, True],
    }
    unknown = make_results(with_gts=False).to_dataframe()
    assert list(unknown) == ["query_id", "rank", "retrieved_id", "distance"]
    assert len(RetrievalResults([], []).to_dataframe()) == 0
