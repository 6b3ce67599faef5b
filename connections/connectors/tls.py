"""Who is believed over TLS: public authorities, and the operator's own."""

import ssl

import certifi


def authorities(ca_file: str) -> ssl.SSLContext:
    """A context that checks names and certificates; ``ca_file`` is as for ``Gateway``. Raises OSError for one that
    cannot be read.
    """
    context = ssl.create_default_context(cafile=certifi.where())
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    return context
