"""`python -m equipoise` is the same as `equipoise`."""

from equipoise.cli import main

raise SystemExit(main())
