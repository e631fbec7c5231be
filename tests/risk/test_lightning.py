import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from equipoise.errors import InputError
from equipoise.risk import Histogram

pl = pytest.importorskip("pytorch_lightning")
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*num_workers.*:UserWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*ModelCheckpoint.*:UserWarning"),
]


def loader(rows, seed):
    generator = torch.Generator().manual_seed(seed)
    inputs = torch.randn(rows, 4, generator=generator)
    return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=32
    )


class Module(pl.LightningModule):
    def __init__(self, queue=200):
        super().__init__()
        self.network = Histogram(queue=queue)(
            nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 2))
        )

    def training_step(self, batch, _):
        inputs, labels = batch
        logits, extra = self.network(inputs, return_loss=True, targets=labels)
        return cross_entropy(logits, labels) + extra

    def validation_step(self, batch, _):
        self.log("loss", cross_entropy(self.network(batch[0]), batch[1]))

    def configure_optimizers(self):
        return torch.optim.Adam(self.network.parameters(), 0.01)


def trained(module, callback, tmp_path, epochs=2):
    trainer = pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[callback],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(module, loader(160, 0), loader(64, 1))
    return trainer


def test_risks_are_logged_and_percentiles_calibrated(tmp_path):
    from equipoise.risk.lightning import RiskCallback

    module = Module()
    trainer = trained(module, RiskCallback(), tmp_path)
    wrapped = module.network.eval()
    assert int(wrapped.methods["histogram"].running.position[1]) == 200
    inputs = torch.cat([batch[0] for batch in loader(64, 1)])
    _, risk = wrapped(inputs, return_risk=True)
    assert trainer.callback_metrics["risk/representation"] == pytest.approx(
        float(risk.representation.mean()), rel=1e-5
    )
    ranks = wrapped.percentile(risk).representation
    assert float(ranks.mean()) == pytest.approx(0.5, abs=0.02)


def test_nothing_is_logged_while_the_queue_is_too_short(tmp_path):
    from equipoise.risk.lightning import RiskCallback

    module = Module()
    module.network = Histogram(bins=20, queue=5000)(module.network.model)  # asks for 200 samples, gets 160
    with pytest.warns(UserWarning, match="not calibrated: Expected at least 200 samples"):
        trainer = trained(module, RiskCallback(), tmp_path, epochs=1)
    assert "risk/representation" not in trainer.callback_metrics
    trainer = trained(module, RiskCallback("network", name="doubt"), tmp_path, epochs=1)
    assert "doubt/representation" in trainer.callback_metrics


def test_a_module_without_a_wrapped_model_is_told(tmp_path):
    from equipoise.risk.lightning import RiskCallback

    module = Module()
    with pytest.raises(InputError, match="as attribute 'other' of Module; got NoneType"):
        trained(module, RiskCallback("other"), tmp_path)
    module.second = Histogram()(nn.Linear(2, 2))
    with pytest.raises(InputError, match="got network, second"):
        trained(module, RiskCallback(), tmp_path)


@pytest.mark.slow
def test_without_lightning_the_extra_is_named():
    code = (
        "import sys; sys.modules['pytorch_lightning'] = sys.modules['lightning'] = None\n"
        "sys.modules['lightning.pytorch'] = None\n"
        "import equipoise.risk\n"
        "from equipoise.errors import MissingExtraError\n"
        "try:\n    import equipoise.risk.lightning\n"
        "except MissingExtraError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'equipoise[lightning]'" in done.stdout
