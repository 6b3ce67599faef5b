"""Bringing a prepared file in: CSV and the ``model.json`` beside it → checked Parquet, keyed by customer ID."""

from enrichments.importing.problems import ImportProblem, SourceChanged
from enrichments.importing.run import LEFT_OUT, REJECTED, Imported, run_import

__all__ = ["LEFT_OUT", "REJECTED", "ImportProblem", "Imported", "SourceChanged", "run_import"]
