"""Tokenizers and a transformer that are made in the test, with no download."""

from typing import Any

import torch
from torch import nn

CORPUS = ["a bed of wood", "a table of glass and wood", "some potatoes", "one chair for the table", "two phones"]


def make_tokenizer(padding_side: str = "right", pad_token: str | None = "[PAD]") -> Any:
    """Give a WordPiece tokenizer of transformers that was trained on the corpus."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordPieceTrainer(vocab_size=80, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token=pad_token,
        padding_side=padding_side,
        model_max_length=128,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def make_bert(dim: int = 16) -> nn.Module:
    """Give a BERT of one layer with random weights for this tokenizer."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=80,
        hidden_size=dim,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * dim,
        max_position_embeddings=128,
    )
    return BertModel(config, add_pooling_layer=False).eval()
