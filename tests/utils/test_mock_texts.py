from oml.utils import get_mock_texts_dataset
from oml.utils.dataframe_format import check_retrieval_dataframe_format


def test_numbers_and_columns_are_the_documented_ones() -> None:
    df_train, df_val = get_mock_texts_dataset()
    assert df_train["label"].value_counts(sort=False).to_dict() == {0: 4, 1: 6, 2: 4, 3: 5}
    assert df_val["label"].value_counts(sort=False).to_dict() == {4: 4, 5: 6, 6: 6}
    assert set(df_train["category"]) == {"furniture", "electronic", "food"}
    assert set(df_val["category"]) == {"furniture", "electronic"}
    assert df_train["is_query"].isna().all()
    assert df_train["is_gallery"].isna().all()
    assert df_val["is_query"].dtype == df_val["is_gallery"].dtype == bool
    assert df_val["is_query"].all()
    assert df_val["is_gallery"].all()
    for df, split in ((df_train, "train"), (df_val, "validation")):
        check_retrieval_dataframe_format(df)
        assert set(df["split"]) == {split}
        assert df.index.tolist() == list(range(len(df)))
        assert not df["text"].duplicated().any()
        assert df["text"].str.len().between(20, 60).all()


def test_tables_are_new_each_time() -> None:
    df, _ = get_mock_texts_dataset()
    df["text"] = "changed"
    assert get_mock_texts_dataset()[0]["text"].iloc[0] != "changed"
