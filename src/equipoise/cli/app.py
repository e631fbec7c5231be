"""The commands under one roof."""

from __future__ import annotations

from cyclopts import App

import equipoise
from equipoise.cli.audit import audit
from equipoise.cli.augment import augment
from equipoise.cli.data import data
from equipoise.cli.debias import debias
from equipoise.cli.demo import demo
from equipoise.cli.evaluate import evaluate
from equipoise.cli.explore import explore
from equipoise.cli.export import export
from equipoise.cli.find import find
from equipoise.cli.fix import fix
from equipoise.cli.recipes import recipes
from equipoise.cli.report import report
from equipoise.cli.score import score
from equipoise.cli.settings_file import apply_config
from equipoise.cli.sweep import sweep
from equipoise.cli.train import train
from equipoise.cli.train_generator import train_generator

__all__ = ["app"]

HELP = "\n\n".join(
    (
        "Find, measure and fix what an image classifier has not seen enough of, without demographic labels.",
        "`equipoise demo` shows in minutes, without data, how those whom a network fails are found and helped. "
        "`equipoise debias` trains a plain and a debiased classifier and shows what changed, by group; without data "
        "it works on an embedded set. Every command takes its settings from flags or from one TOML file (--config).",
        "Exit codes: 0 done; 1 the work failed (training, a full disk, a defect); 2 flags, settings or data are not "
        "as expected; 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by SIGHUP (128 + signal); 141 whoever read the "
        "output has gone.",
    )
)

app = App(
    name="equipoise",
    help=HELP,
    help_format="plaintext",
    version=lambda: equipoise.__version__,
    config=apply_config,
    print_error=False,
    exit_on_error=False,
    verbose=False,
    suppress_keyboard_interrupt=False,
    result_action="return_value",
)
for command in (
    demo,
    debias,
    sweep,
    train,
    evaluate,
    score,
    audit,
    find,
    fix,
    explore,
    export,
    augment,
    train_generator,
    report,
    recipes,
    data,
):
    app.command(command)
