"""The embedding that a run was given."""

import pytest
from torch import nn

from equipoise.errors import InputError, MissingExtraError
from equipoise.run.embedding_source import embedding_source
from equipoise.train import Resampling


def test_what_a_run_can_be_given_and_how_it_is_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_backbones.py").write_text(
        "from torch import nn\n\ndef pooled():\n    return nn.AdaptiveAvgPool2d(1)\n\nready = nn.Flatten()\nsize = 3\n"
    )
    ours = Resampling(rule="appearance")
    named = embedding_source("my_backbones:pooled", None)
    assert isinstance(named.embedding, nn.AdaptiveAvgPool2d)
    assert named.settings() == {"embedding": "my_backbones:pooled", "embedding_column": None}
    assert named.representation(ours) == "embedding my_backbones:pooled (cosine)"
    assert named.rule(ours) == "neighbours"
    assert named.rule(Resampling(rule="max")) == "max"
    assert isinstance(embedding_source("my_backbones:ready", None).embedding, nn.Flatten)
    column = embedding_source(None, "clip")
    assert column.embedding == "clip"
    assert column.representation(Resampling(normalisation="raw")) == "column clip (as they are)"
    assert embedding_source(nn.Flatten(), None).representation(ours) == "embedding Flatten (cosine)"
    none = embedding_source(None, None)
    assert none.embedding is None
    assert none.rule(ours) == "appearance"
    assert none.representation(ours) == "the pictures themselves"
    assert none.representation(Resampling(rule="max")) == "the model's latent codes"
    with pytest.raises(InputError, match=r"to give a torch nn\.Module; got int"):
        embedding_source("my_backbones:size", None)
    with pytest.raises(InputError, match="Give the network or the column"):
        embedding_source("my_backbones:ready", "clip")
    with pytest.raises(InputError, match=r"or package\.module:callable"):
        embedding_source("clip", None)
    with pytest.raises(MissingExtraError, match="no_such_module_here"):
        embedding_source("no_such_module_here:net", None)
