"""The errors Quell raises at its edges; the command line turns each into one sentence and exit code 2.

    QuellError
    ├── DocumentError     a snapshot, plan, bundle or settings file is not as specified
    ├── TraceError        a trace is missing, cut short or not in its published format
    ├── BundleError       an exported policy is damaged, tampered with or of an unknown version
    └── StoreError        a place to write to (MLflow store, output folder) cannot be used

"Not allowed by a rule" is no error but a `Violation` (see `rules.py`).
"""


class QuellError(Exception):
    """Wrong input or a fault outside Quell, told in one sentence with file, key and value."""


class DocumentError(QuellError):
    """A JSON document or a setting is not as specified."""


class TraceError(QuellError):
    """A trace is missing, cut short or not in its published format."""


class BundleError(QuellError):
    """An exported policy cannot be trusted or read."""


class StoreError(QuellError):
    """A store or folder cannot be written."""
