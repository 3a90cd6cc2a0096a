"""Secrets sealed under a key, each bound to the place where it rests."""

import os

from ocelog.secrets.secret import Secret

KEY_BYTES = 32
_NONCE_BYTES = 12


def seal(key: bytes, secret: Secret, place: bytes) -> bytes:
    """Return `secret` encrypted with AES-256-GCM behind a nonce of its own, so that it opens in `place` alone."""
    # Imported where it is used: it takes 10 ms, and most commands need no secret.
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

    nonce = os.urandom(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret.reveal().encode(), place)


def unseal(key: bytes, sealed: bytes, place: bytes) -> Secret:
    """Return what was sealed. Raises ValueError if it was under another key, in another place, or was changed."""
    from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

    try:
        plain = AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], place)
    except InvalidTag as error:
        raise ValueError("The key does not open this.") from error
    return Secret(plain.decode())
