"""Google credentials that fail: some only at the moment, as the metadata server falters; others end the export."""

from google.auth.exceptions import GoogleAuthError, TransportError

from beam_job.images.fetch import CredentialsError
from beam_job.messages.quoting import shown


def may_pass(error: Exception) -> bool:
    """Whether credentials are only not to be had just now, as in ``images.download``.

    On Compute Engine a metadata server that falters comes as a ``RefreshError`` that calls itself final.
    """
    transient = isinstance(error, TransportError) or isinstance(error.__cause__, TransportError)
    return transient or (isinstance(error, GoogleAuthError) and error.retryable)


def no_credentials(error: Exception) -> CredentialsError:
    """What ends the export: one sentence that says what to do."""
    reason = error.args[0] if isinstance(error, GoogleAuthError) and error.args else error
    return CredentialsError(
        "sidecars on gs:// cannot be read or written without Google credentials that work "
        f"({shown(str(reason), 200)}); correct GOOGLE_APPLICATION_CREDENTIALS, or run "
        "`gcloud auth application-default login`."
    )
