"""Small models of both kinds, made from scratch: no download, no data set."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from models.build import BuildSettings, build_embedded_model

WORDS = ["apples", "pears", "boys", "girls", "books", "coins", "trains", "miles"]
TINY = BuildSettings(vocabulary=400, hidden=32, heads=2, intermediate=64, steps=4, rows=2, block=128, context=192)


def tiny_corpus(count: int = 24) -> list[tuple[str, str]]:
    """Return worked sums, every third one in Chinese."""
    pairs = []
    for index in range(count):
        first, second, word = index + 2, 2 * index + 1, WORDS[index % len(WORDS)]
        if index % 3 == 0:
            pairs.append(
                (
                    f"小明有{first}个苹果,又买了{second}个,一共有几个?",
                    f"{first}+{second}={first + second},所以一共{first + second}个。",
                )
            )
        else:
            pairs.append(
                (
                    f"Ann has {first} {word} and gets {second} more. How many?",
                    f"{first} + {second} = {first + second} {word}.",
                )
            )
    return pairs


@pytest.fixture(scope="session")
def causal_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A causal language model of 40,000 weights."""
    return build_embedded_model(tiny_corpus(), tmp_path_factory.mktemp("causal"), settings=TINY).path


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT encoder with random weights, 48 dimensions, and a limit of 64 tokens."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["[PAD]", "[UNK]"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator([text for pair in tiny_corpus() for text in pair], trainer)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        config = BertConfig(
            vocab_size=400,
            hidden_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            intermediate_size=96,
            max_position_embeddings=64,
        )
        BertModel(config).save_pretrained(folder)
    return folder
